package conf_test

import (
	"strings"
	"testing"

	"onset/core/conf"
	"onset/core/job"
)

// rejected is a text and what is said of it: LINE: MESSAGE.
var rejected = []struct{ text, said string }{
	// tokens
	{"description", "1: Expected token"},
	{"task\n\ndescription # x", "3: Expected token"},
	{`description ""`, "1: Expected token"},
	{"description \\\n''", "2: Expected token"},
	{"exec # a", "1: Expected token"},
	{"description a b", "1: Unexpected token"},
	{"description a \\\n  \\\n b", "3: Unexpected token"},
	{"task task", "1: Unexpected token"},
	{"description a\\", "1: Trailing slash in file"},
	{"task\nexec \"a\nb\\", "3: Trailing slash in file"},
	{"description 'a\n\nb\n", "4: Unterminated quoted string"},
	{"description \"a'", "1: Unterminated quoted string"},
	{"\"task", "1: Unterminated quoted string"},

	// stanza names
	{"sevrice", "1: Unknown stanza"},
	{"\n\n  Task", "3: Unknown stanza"},
	{`"task"`, "1: Unknown stanza"},
	{"exec\\\na", "1: Unknown stanza"},
	{"manual off", "1: Unknown stanza"},
	{"debug off", "1: Unknown stanza"},
	{"end script", "1: Unknown stanza"},
	{"start", "1: Expected token"},
	{"start when", "1: Unknown stanza"},
	{"start 'on' a", "1: Unknown stanza"},
	{"kill timeout 5\nkill\\\n  nicely", "3: Unknown stanza"},
	{"respawn exec a", "1: Unknown stanza"},
	{"pre-start true", "1: Unknown stanza"},
	{"apparmor unload a", "1: Unknown stanza"},
	{"normal 1", "1: Unknown stanza"},
	{"no new", "1: Expected token"},
	{"no new ideas", "1: Unknown stanza"},

	// blocks
	{"script a\nend script", "1: Unexpected token"},
	{"script", "1: Unterminated block"},
	{"script\na\nend scripts\n", "4: Unterminated block"},
	{"task\npost-stop script\na", "3: Unterminated block"},

	// expressions
	{"start on", "1: Expected token"},
	{"start on # a", "1: Expected token"},
	{`start on a ""`, "1: Expected token"},
	{"start on a and", "1: Expected event"},
	{"start on or a", "1: Expected event"},
	{"start on a and or b", "1: Expected event"},
	{"start on a or\nb", "1: Expected event"},
	{"start on (a or\n\n)", "3: Expected event"},
	{"start on (a and ()\n)", "1: Expected event"},
	{"start on a (b)", "1: Expected operator"},
	{"start on (a\n) b", "2: Expected operator"},
	{"start on a K=1 b", "1: Expected variable name before value"},
	{"start on a b)", "1: Mismatched parentheses"},
	{"stop on (a\n  and (b)\n", "3: Mismatched parentheses"},
	{"stop on (a and\n", "2: Mismatched parentheses"},
	{"stop on (a\n# b\n)", "2: Expected token"},
	{"stop on (a # b\n # c\n)", "2: Expected token"},
	{"while", "1: Expected token"},
	{"while not", "1: Expected fact"},
	{"while a and", "1: Expected fact"},
	{"while a and not or b", "1: Expected fact"},
	{"while a not b", "1: Expected operator"},
	{"while (a) not b", "1: Expected operator"},
	{"while a K=1 b", "1: Expected variable name before value"},
	{"while (a", "1: Mismatched parentheses"},

	// arguments
	{"expect forks", "1: Unknown stanza"},
	{"expect fork daemon", "1: Unexpected token"},
	{"console tty", "1: Unknown stanza"},
	{"kill timeout 5s", "1: Illegal interval, expected number of seconds"},
	{"kill timeout -5", "1: Illegal interval, expected number of seconds"},
	{"kill timeout 99999999999999999999", "1: Illegal interval, expected number of seconds"},
	{"kill signal Term", "1: Illegal signal status, expected integer"},
	{"task\nkill signal -1", "2: Illegal signal status, expected integer"},
	{"reload signal RTMIN", "1: Illegal signal status, expected integer"},
	{"respawn limit many 5", "1: Illegal limit, expected 'unlimited' or integer"},
	{"respawn limit 4294967297 5", "1: Illegal limit, expected 'unlimited' or integer"},
	{"respawn limit 5", "1: Expected token"},
	{"respawn limit 5 soon", "1: Illegal interval, expected number of seconds"},
	{"respawn limit unlimited 5", "1: Unexpected token"},
	{"normal exit", "1: Expected token"},
	{"normal exit 0 \\\nfine", "2: Illegal exit status, expected integer"},
	{"normal exit -2", "1: Illegal exit status, expected integer"},
	{"umask 1000", "1: Illegal file creation mask, expected octal integer"},
	{"umask 08", "1: Illegal file creation mask, expected octal integer"},
	{"umask 0o7", "1: Illegal file creation mask, expected octal integer"},
	{"nice 20", "1: Illegal nice value, expected -20 to 19"},
	{"nice 1_0", "1: Illegal nice value, expected -20 to 19"},
	{"oom 16", "1: Illegal oom adjustment, expected -16 to 15 or 'never'"},
	{"oom scores 5", "1: Illegal oom adjustment, expected -16 to 15 or 'never'"},
	{"oom score", "1: Expected token"},
	{"oom score 1001", "1: Illegal oom score adjustment, expected -999 to 1000 or 'never'"},
	{"limit rttime 1 1", "1: Unknown stanza"},
	{"limit core 1", "1: Expected token"},
	{"limit core 1 2k", "1: Illegal limit, expected 'unlimited' or integer"},
	{"limit core +-1 2", "1: Illegal limit, expected 'unlimited' or integer"},
	{"limit core 1 18446744073709551616", "1: Illegal limit, expected 'unlimited' or integer"},
	{"cgroup", "1: Expected token"},
	{"cgroup a b c d e", "1: Unexpected token"},
	{"env A=1 B=2", "1: Unexpected token"},
	{"import", "1: Expected token"},
	{"tmpfiles", "1: Expected token"},

	// EXTENSIONS
	{"provides", "1: Expected token"},
	{"expect dbus", "1: Expected token"},
	{"expect fd 2", "1: Illegal file descriptor, expected integer from 3"},
	{"expect timeout later", "1: Illegal interval, expected number of seconds"},
	{"expect notify now", "1: Unexpected token"},
	{"kill mode all", "1: Unknown stanza"},
	{"namespace", "1: Expected token"},
	{"namespace optional", "1: Expected token"},
	{"namespace pid optional", "1: Unknown stanza"},
	{"namespace pid /proc/1/ns/pid", "1: Unknown stanza"},
	{"private home", "1: Unknown stanza"},
	{"bind /a", "1: Expected token"},
	{"credential a b c", "1: Unexpected token"},
	{"capability bounding", "1: Expected token"},
	{"capability bounding chown\ncapability ambient CAP_KILL cap_chwn", "2: Unknown capability"},
	{"env file -", "1: Expected token"},
	{"env file /a /b", "1: Unexpected token"},
	{"respawn delay", "1: Expected token"},
	{"respawn delay 1 2 3", "1: Unexpected token"},
	{"respawn delay 1.", "1: Illegal interval, expected number of seconds"},
	{"respawn delay .5", "1: Illegal interval, expected number of seconds"},
	{"respawn delay 0.1.2", "1: Illegal interval, expected number of seconds"},
	{"respawn delay 1 -0.5", "1: Illegal interval, expected number of seconds"},
	{"respawn delay 1e3", "1: Illegal interval, expected number of seconds"},
	{"respawn on success", "1: Unknown stanza"},
	{"health interval 0", "1: Illegal interval, expected number of seconds"},
	{"health failures 0", "1: Illegal number of failures, expected integer from 1"},
	{"start timeout never", "1: Illegal interval, expected number of seconds"},
	{"ioprio fast", "1: Unknown stanza"},
	{"ioprio realtime 8", "1: Illegal I/O priority level, expected 0 to 7"},
	{"ioprio idle 1", "1: Unexpected token"},
	{"cpu affinity 3-1", "1: Illegal CPU list, expected numbers and ranges"},
	{"cpu affinity 1,", "1: Illegal CPU list, expected numbers and ranges"},
	{"sched fifo", "1: Expected token"},
	{"sched fifo 0", "1: Illegal scheduling priority, expected 1 to 99"},
	{"sched other 1", "1: Unexpected token"},
}

func TestParseRejects(t *testing.T) {
	for _, r := range rejected {
		c, errs := parseText(r.text)
		if got := said(errs); got != r.said || c != nil {
			t.Errorf("%q: said %q, want %q", r.text, got, r.said)
		}
	}
}

func TestParseStopsAtTheFirstError(t *testing.T) {
	if _, errs := parseText("nice x\numask x"); len(errs) != 1 {
		t.Errorf("%d errors, want 1", len(errs))
	}
}

func TestErrorDetail(t *testing.T) {
	for text, want := range map[string]string{
		"task\n  expect froke":   `column 10, at "froke": did you mean "expect fork"?`,
		"expct fork":             `column 1, at "expct": did you mean "expect"?`,
		"kill singal TERM":       `column 6, at "singal": did you mean "kill signal"?`,
		"kill signal sigterm":    `column 13, at "sigterm"`,
		"kill signal term":       `column 13, at "term": did you mean "kill signal TERM"?`,
		"console out":            `column 9, at "out": did you mean "console output"?`,
		"limit NOFILE 1 1":       `column 7, at "NOFILE": did you mean "limit nofile"?`,
		"no new privilege":       `column 8, at "privilege": did you mean "no new privileges"?`,
		"frobnicate":             `column 1, at "frobnicate"`,
		"task now":               `column 6, at "now"`,
		"task\nexec 'a\n":        `column 1: opened on line 2`,
		"script\na\n":            `column 1: opened on line 1`,
		"task\nstop on (a\nor b": `column 5: opened on line 2`,
		"on a":                   `column 1, at "on"`,
		"description":            "",
	} {
		if _, errs := parseText(text); errs[0].Detail() != want {
			t.Errorf("%q: got %q, want %q", text, errs[0].Detail(), want)
		}
	}
}

func TestOverride(t *testing.T) {
	const text = "start on a\nemits x\nexec one\nkill timeout 9\ncgroup memory g k 1\nprivate tmp"
	parse := func(override string) (*job.Class, []*conf.Error) {
		return conf.Parse("j", job.Origin{Path: "j.conf", Text: text, OverridePath: "j.override", OverrideText: override}, defaults)
	}
	whole := func(text string) *job.Class {
		c, _ := parseText(text)
		return c
	}
	for _, o := range []struct{ name, override, said string }{
		{"single values replace, lists add", "emits y\nexec two\nkill timeout 3\ncgroup memory g k 2\nprivate dev\nrespawn", ""},
		{"manual drops the start condition", "manual", ""},
		{"an empty override changes nothing", "", ""},
		{"a broken one is ignored as a whole (DECISIONS 4)", "emits y\ncgroup memory g k 2\nprivate dev\nnonsense", "j.override:4: Unknown stanza"},
	} {
		t.Run(o.name, func(t *testing.T) {
			got, errs := parse(o.override)
			want := whole(text + "\n" + o.override)
			if o.said != "" {
				want = whole(text)
			}
			if got.Origin.OverrideText != o.override {
				t.Error("the class lost its origin")
			}
			if a, b := conf.Print(got, linux), conf.Print(want, linux); a != b {
				t.Errorf("got\n%swant\n%s", a, b)
			}
			if len(errs) > 0 && errs[0].Error() != o.said || len(errs) == 0 && o.said != "" {
				t.Errorf("said %v, want %q", errs, o.said)
			}
		})
	}
	c, errs := conf.Parse("j", job.Origin{Path: "j.conf", Text: "x", OverridePath: "j.override", OverrideText: "y"}, defaults)
	if c != nil || len(errs) != 1 || errs[0].Path != "j.conf" {
		t.Errorf("broken conf with override: got %v, %v", c, errs)
	}
}

func TestParseAlias(t *testing.T) {
	a, errs := conf.ParseAlias("halt", job.Origin{Path: "halt.alias", Text: "description d # x\non runlevel 0 or\\\n b"})
	if errs != nil || a.Name != "halt" || a.Description != "d" || a.On.String() != "(runlevel 0 or b)" {
		t.Errorf("got %+v, %v", a, errs)
	}
	a, errs = conf.ParseAlias("halt", job.Origin{Text: "on a", OverridePath: "o", OverrideText: "on b"})
	if errs != nil || a.On.String() != "b" {
		t.Errorf("override: got %+v, %v", a, errs)
	}
	a, errs = conf.ParseAlias("halt", job.Origin{Text: "on a", OverridePath: "o", OverrideText: "on b\non"})
	if a == nil || a.On.String() != "a" || len(errs) != 1 || errs[0].Error() != "o:2: Expected token" {
		t.Errorf("broken override: got %+v, %v", a, errs)
	}
	for text, want := range map[string]string{
		"description d\n": "2: Expected 'on' stanza",
		"on":              "1: Expected token",
		"on a and":        "1: Expected event",
		"exec a":          "1: Unknown stanza",
	} {
		if a, errs := conf.ParseAlias("halt", job.Origin{Path: "x", Text: text}); a != nil || said(errs) != want {
			t.Errorf("%q: said %q, want %q", text, said(errs), want)
		}
	}
}

func TestParseEmptyKnowsNoStanza(t *testing.T) {
	if errs := conf.ParseEmpty("x", "# a\n\n \\\n \n"); errs != nil {
		t.Error(errs)
	}
	if errs := conf.ParseEmpty("x", "# a\ntask\n"); said(errs) != "2: Unknown stanza" {
		t.Error(errs)
	}
}

func TestPrintQuotesWhatTheLanguageWouldEat(t *testing.T) {
	values := []string{`"`, `'`, `"'"'`, `\`, `\\`, `\"`, `a\ b`, " ", "\t a \r ", "#", "(", "and", "\x00\xff", `a"b 'c\`, `\'`}
	for _, v := range values {
		c, _ := parseText("start on x\nwhile y\ncgroup a b c d")
		c.Description, c.Usage = v, v+v
		c.Emits = []string{v, "e", v}
		c.StartOn[0].Name, c.StartOn[0].Args = v, []string{v, "K=" + v}
		c.While[0].Name = v
		c.Attrs.Cgroups[0].Names[0].Settings[0].Value = v
		c.Process.Set(job.Security, job.Process{Text: "/sbin/apparmor_parser -r -W " + v})
		checkPrint(t, v, c)
	}
}

func TestDeepAndLongInputs(t *testing.T) {
	const n = 100000
	for _, text := range []string{
		"start on " + strings.Repeat("(", n) + "a" + strings.Repeat(")", n),
		"start on a" + strings.Repeat(" and a", n),
		"start on " + strings.Repeat("(a or ", n) + "a" + strings.Repeat(")", n),
		"while " + strings.Repeat("not ", n) + "a",
	} {
		c, errs := parseText(text)
		if c == nil {
			t.Fatal(errs[0])
		}
		checkPrint(t, text[:20], c)
	}
}
