package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestCommandLine(t *testing.T) {
	runToolTests(t, []toolTest{
		{why: "no command", line: "initctl", stderr: "initctl: missing command\n" + hint, status: 1},
		{why: "no such command", line: "initctl bogus", stderr: "initctl: invalid command: bogus\n" + hint, status: 1},
		{why: "no such option", line: "initctl --bogus list", stderr: "initctl: invalid option: --bogus\n" + hint, status: 1},
		{why: "a command's option before the command", line: "initctl --json list", stderr: "initctl: invalid option: --json\n" + hint, status: 1},
		{why: "another command's option", line: "initctl start --json foo", stderr: "initctl: invalid option: --json\n" + hint, status: 1},
		{why: "the hint names the program", line: "/usr/bin/emit", stderr: "emit: missing event name\nTry `emit --help' for more information.\n", status: 1},
		{why: "a global option behind the command", line: "initctl version --user", stdout: "init (upstart 1.13.2)\n"},
		{why: "its own version", line: "initctl --version", stdout: "initctl (" + ownVersion + ")\n"},
		{why: "init's version", line: "initctl version", stdout: "init (upstart 1.13.2)\n"},
		{why: "an empty argument is one", line: "initctl emit ''", more: answers{"/ EmitEvent  [] true": done}},
	})
}

func TestMessagesWithAPlaceInFront(t *testing.T) {
	for _, tt := range [...][2]string{
		{"missing command", "p: missing command\n"},
		{"foo.conf:3: bad", "p:foo.conf:3: bad\n"},
		{"Unknown job: x", "p: Unknown job: x\n"},
		{": x", "p: : x\n"},
		{"word", "p: word\n"},
	} {
		var errs bytes.Buffer
		(&tool{prog: "p", stderr: &errs}).complain(tt[0])
		if errs.String() != tt[1] {
			t.Errorf("%q: got %q, want %q", tt[0], errs.String(), tt[1])
		}
	}
}

func TestHelp(t *testing.T) {
	f := startFake(t, nil)
	list := f.runTool([]string{"initctl", "help"}, nil).stdout
	if !strings.HasPrefix(list, "Job commands:\n  start                       Start a job.\n") ||
		!strings.HasSuffix(list, "\n\nFor more information on a command, try `initctl COMMAND --help'.\n") {
		t.Errorf("help:\n%s", list)
	}
	var names []string
	for line := range strings.Lines(list) {
		if strings.HasPrefix(line, "  ") && line[2] != ' ' { // as the completion reads it
			names = append(names, strings.Fields(line)[0])
		}
	}
	if len(names) != len(commands) {
		t.Errorf("help lists %q", names)
	}
	for _, c := range commands {
		got := f.runTool([]string{"initctl", c.name, "--help"}, nil)
		if got.status != 0 || !strings.HasPrefix(got.stdout, "Usage: initctl "+c.name+" [OPTION]...") || !strings.Contains(got.stdout, c.summary) {
			t.Errorf("%s --help: %+v", c.name, got)
		}
		for _, o := range c.options {
			if !strings.Contains(got.stdout, "--"+o.long) {
				t.Errorf("%s --help has no --%s", c.name, o.long)
			}
		}
	}
	got := f.runTool([]string{"start", "--help"}, nil)
	if !strings.HasPrefix(got.stdout, "Usage: start [OPTION]... JOB [KEY=VALUE]...\nStart a job.\n\nOptions:\n  -n, --no-wait               return when") {
		t.Errorf("start --help: %s", got.stdout)
	}
	if got := f.runTool([]string{"initctl", "--help"}, nil); strings.Contains(got.stdout, "debug") {
		t.Errorf("initctl --help shows a hidden option:\n%s", got.stdout)
	}
}

func TestWrap(t *testing.T) {
	for _, tt := range []struct {
		text   string
		indent int
		width  int
		want   string
	}{
		{"", 2, 10, ""},
		{"aa bb", 0, 5, "aa bb"},
		{"aa bb", 0, 4, "aa\nbb"},
		{"aa bb cc", 2, 7, "aa bb\n  cc"},
		{"longer than wide", 3, 2, "longer\n   than\n   wide"},
	} {
		if got := wrap(tt.text, tt.indent, tt.width); got != tt.want {
			t.Errorf("%q in %d from %d: got %q, want %q", tt.text, tt.width, tt.indent, got, tt.want)
		}
	}
}
