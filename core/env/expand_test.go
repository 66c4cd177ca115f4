package env

import (
	"strings"
	"testing"
)

var expandVars = Table{"A=one", "B=two", "E=", "N=A", "_x9=y", "onetwo=deep", "D=$A", "1=digit"}

var expansions = []struct{ text, want, err string }{
	{"", "", ""},
	{"plain \\ } {", "plain \\ } {", ""},
	{"$A", "one", ""},
	{"$A$B/$_x9.", "onetwo/y.", ""},
	{"x$E-", "x-", ""},
	{"$", "$", ""},
	{"$$A $/ $1 $-", "$one $/ $1 $-", ""},
	{"$AB", "", "Unknown parameter: AB"},
	{"${A}B", "oneB", ""},
	{"${}", "$", ""},
	{"${}A", "$A", ""},
	{"${$N}", "one", ""},
	{"${${N}}", "one", ""},
	{"${$A$B}", "deep", ""},
	{"${1}", "digit", ""},
	{"$D", "$A", ""},
	{"${Z}", "", "Unknown parameter: Z"},
	{"${Z-d}${A-d}${E-d}", "done", ""},
	{"${Z:-d}${A:-d}${E:-d}", "doned", ""},
	{"${Z+a}${A+a}${E+a}", "aa", ""},
	{"${Z:+a}${A:+a}${E:+a}", "a", ""},
	{"${Z-}${A+}", "", ""},
	{"${Z-$A ${Y:-$B}}", "one two", ""},
	{"${Z-a-b:c+d{}}", "a-b:c+d{}", ""},
	{"${A-$Z}", "", "Unknown parameter: Z"},
	{"${Z+$Y}", "", "Unknown parameter: Y"},
	{"${A:x}", "", "Expected operator"},
	{"${A=x}", "", "Expected operator"},
	{"${A b}", "", "Expected operator"},
	{"${", "", "Mismatched braces"},
	{"${A", "", "Mismatched braces"},
	{"${A:", "", "Mismatched braces"},
	{"${A-", "", "Mismatched braces"},
	{"${A-x${B}", "", "Mismatched braces"},
}

func TestExpand(t *testing.T) {
	for _, e := range expansions {
		got, err := Expand(e.text, expandVars.Lookup)
		if err != nil && err.Error() != e.err || err == nil && e.err != "" || got != e.want {
			t.Errorf("%q: got %q, %v; want %q, %q", e.text, got, err, e.want, e.err)
		}
	}
}

func TestExpandIsBounded(t *testing.T) {
	big := func(string) (string, bool) { return strings.Repeat("x", 1<<16), true }
	for _, text := range []string{strings.Repeat("$A", 1000), strings.Repeat("${A-", 1000), strings.Repeat("${", 1<<20)} {
		if got, err := Expand(text, big); err == nil || got != "" {
			t.Errorf("%.10q…: no error, %d bytes", text, len(got))
		}
	}
}

func FuzzExpand(f *testing.F) {
	for _, e := range expansions {
		f.Add(e.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Expand(text, expandVars.Lookup)
		if len(got) > maxExpanded+len(text) {
			t.Errorf("%d bytes", len(got))
		}
		if err == nil && !strings.Contains(text, "$") && got != text {
			t.Errorf("%q became %q", text, got)
		}
		if err == nil && strings.Contains(got, "\x00") && !strings.Contains(text, "\x00") {
			t.Errorf("%q made bytes up: %q", text, got)
		}
	})
}
