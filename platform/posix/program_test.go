package posix

import (
	"reflect"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"onset/core/env"
	"onset/core/job"
)

func TestProgramOf(t *testing.T) {
	path := scriptPath("")
	script := func(s string) job.Process { return job.Process{Script: true, Text: s} }
	for _, c := range []struct {
		p     job.Process
		files int
		want  Program
	}{
		{job.Process{Text: " /bin/a  b\tc\r\n"}, 0, Program{Argv: []string{"/bin/a", "b", "c"}}},
		{job.Process{Text: "a #b"}, 0, Program{Argv: []string{"a", "#b"}}},
		{job.Process{Text: "a $b"}, 0, Program{Argv: []string{"/bin/sh", "-e", "-c", "exec a $b", "/bin/sh"}}},
		{job.Process{Text: "a \"b\nc\""}, 0, Program{Argv: []string{"/bin/sh", "-e", path}, Script: "exec 9<&-\nexec a \"b\nc\""}},
		{script("a\n\n"), 0, Program{Argv: []string{"/bin/sh", "-e", "-c", "a", "/bin/sh"}}},
		{script(""), 0, Program{Argv: []string{"/bin/sh", "-e", "-c", "", "/bin/sh"}}},
		{script("a\nb\n"), 0, Program{Argv: []string{"/bin/sh", "-e", path}, Script: "exec 9<&-\na\nb\n"}},
		{script("a\nb\n"), 6, Program{Argv: []string{"/bin/sh", "-e", path}, Script: "exec 9<&-\na\nb\n"}},
		{script("a\nb\n"), 7, Program{Argv: []string{"/bin/sh", "-e", "-c", "a\nb", "/bin/sh"}}},
		{job.Process{Text: " "}, 0, Program{Argv: []string{}}},
	} {
		if path == "" && c.want.Script != "" {
			t.Logf("no descriptor is a file here, so not tried: %q", c.want.Script)
			continue
		}
		if got := ProgramOf(c.p, c.files, ""); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v: got %q, want %q", c.p, got, c.want)
		}
	}
	for _, r := range shellCharacter {
		if p := ProgramOf(job.Process{Text: "a " + string(r)}, 0, ""); p.Argv[0] != shell {
			t.Errorf("%q needs a shell", r)
		}
	}
}

func TestCandidates(t *testing.T) {
	for _, c := range []struct {
		name string
		env  env.Table
		want []string
	}{
		{"a", env.Table{"PATH=/x:/y"}, []string{"/x/a", "/y/a"}},
		{"a", env.Table{"PATH=/x:"}, []string{"/x/a", "a"}},
		{"a", nil, []string{"/bin/a", "/usr/bin/a"}},
		{"./a", env.Table{"PATH=/x"}, []string{"./a"}},
		{"", env.Table{"PATH=/x"}, []string{""}},
	} {
		if got := Candidates(c.name, c.env); !slices.Equal(got, c.want) {
			t.Errorf("%q in %q: got %q, want %q", c.name, c.env, got, c.want)
		}
	}
}

func TestStepTexts(t *testing.T) {
	for _, c := range []struct {
		e    SetupError
		want string
	}{
		{SetupError{Step: StepDirectory, Errno: unix.ENOENT}, "unable to change working directory: No such file or directory"},
		{SetupError{Step: StepFindUser}, "unable to find setuid user"},
		{SetupError{Step: StepLimit, Arg: 7, Errno: unix.EPERM}, `unable to set "nofile" resource limit: Operation not permitted`},
		{SetupError{Step: StepText, Text: "x"}, "x"},
	} {
		if got := c.e.Error(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
	for s := StepScript; s < StepText; s++ {
		if s != StepLimit && stepTexts[s] == "" {
			t.Errorf("step %d has no text", s)
		}
	}
}

func TestReport(t *testing.T) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	report, w := Report{FD: fds[0]}, fds[1]
	var warned string
	warn := func(s string) { warned = s }
	if fault, done := report.Read(warn); fault != nil || done {
		t.Errorf("an empty pipe: %v, %v", fault, done)
	}
	(&SetupError{Step: StepConsoleWarning, Errno: unix.EIO}).send(w)
	if fault, done := report.Read(warn); fault != nil || done || warned == "" {
		t.Errorf("a warning: %v, %v, %q", fault, done, warned)
	}
	(&SetupError{Step: StepText, Text: "words"}).send(w)
	if fault, _ := report.Read(warn); fault == nil || fault.Error() != "words" {
		t.Errorf("a fault: %v", fault)
	}
	unix.Close(w)
	if fault, done := report.Read(warn); fault != nil || !done {
		t.Errorf("a closed pipe: %v, %v", fault, done)
	}
}
