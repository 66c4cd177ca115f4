package posix

import (
	"slices"
	"strings"
	"testing"
)

func TestEnvFile(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"nothing", "", nil},
		{"plain", "A=1\nB_2=two words \n", []string{"A=1", "B_2=two words"}},
		{"no end of line", "A=1", []string{"A=1"}},
		{"comments and blank lines", "# A=1\n\n ; B=2\\\n  \t\nC=3 # no comment\n", []string{"C=3 # no comment"}},
		{"empty values", "A=\nB=''\nC=\"\"\nD=  ", []string{"A=", "B=", "C=", "D="}},
		{"blanks around", "  A =  1\t\n", []string{"A=1"}},
		{"equal signs", "A=b=c==\n", []string{"A=b=c=="}},
		{"dollars are text", "A=$B ${C}\nD=\"$E\"\n", []string{"A=$B ${C}", "D=$E"}},
		{"single quotes", `A='a "b" \n $c '` + "\n", []string{`A=a "b" \n $c `}},
		{"double quotes", `A="a 'b' \" \\ \$ \` + "`" + ` \n"` + "\n", []string{`A=a 'b' " \ $ ` + "`" + ` \n`}},
		{"lines in quotes", "A='x\n#y\n'\nB=\"x\ny\\\nz\"\n", []string{"A=x\n#y\n", "B=x\nyz"}},
		{"joined parts", `A='a' "b"c d` + "\n", []string{"A=abc d"}},
		{"quotes within", `A=it's "so"` + "\n", []string{`A=it's "so"`}},
		{"continuation", "A=a\\\n b \\\n  c  \nB=1\n", []string{"A=a b   c", "B=1"}},
		{"backslashes", `A=\a\\b\'\ ` + "\n" + `B=x\`, []string{`A=a\b' `, "B=x"}},
		{"windows", "A=1\r\nB='2'\r\n", []string{"A=1", "B=2"}},
		{"the last wins later", "A=1\nA=2\n", []string{"A=1", "A=2"}},
		{"any bytes", "A=\xff\xfe\n", []string{"A=\xff\xfe"}},
	} {
		got, _, err := parseEnvFile(c.text)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}

func TestEnvFileErrors(t *testing.T) {
	for _, c := range []struct {
		text string
		line int
		want error
	}{
		{"A=1\nB\n", 2, errEnvEqual},
		{"A", 1, errEnvEqual},
		{"\n\nexport A=1\n", 3, errEnvName},
		{"1A=1\n", 1, errEnvName},
		{"=1\n", 1, errEnvName},
		{"A='x\ny\n", 1, errEnvQuote},
		{"A=\"\\", 1, errEnvQuote},
		{"B='\n'\nA=x\x00", 3, errEnvNUL},
		{"A\x00=x", 1, errEnvName},
	} {
		vars, line, err := parseEnvFile(c.text)
		if err != c.want || line != c.line || vars != nil {
			t.Errorf("%q: got %q, line %d, %v, want line %d, %v", c.text, vars, line, err, c.line, c.want)
		}
	}
}

func TestEnvFileOfManyLines(t *testing.T) {
	lines := strings.Repeat("A=\n", maxEnvFile/len("A=\n"))
	vars, _, err := parseEnvFile(lines)
	if err != nil || len(vars) != strings.Count(lines, "\n") {
		t.Errorf("%d variables, %v", len(vars), err)
	}
}

func FuzzEnvFile(f *testing.F) {
	f.Add("A=1\n# c\nB='x' \"y\\\n\"z\\ \n")
	f.Fuzz(func(t *testing.T, text string) {
		vars, line, err := parseEnvFile(text)
		if err != nil && (line < 1 || line > 1+strings.Count(text, "\n")) {
			t.Errorf("%v in line %d", err, line)
		}
		var again strings.Builder
		for _, v := range vars {
			key, value, ok := strings.Cut(v, "=")
			if !ok || !isEnvName(key) || strings.Contains(v, "\x00") {
				t.Errorf("%q is no variable", v)
			}
			again.WriteString(key + `="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + "\"\n")
		}
		got, _, err := parseEnvFile(again.String())
		if !strings.Contains(text, "\r") && (err != nil || !slices.Equal(got, vars)) {
			t.Errorf("%q is read as %q, %v, and not as %q", again.String(), got, err, vars)
		}
	})
}
