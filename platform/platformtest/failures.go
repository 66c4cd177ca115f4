package platformtest

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/job"
)

// fails is a case of a spec whose set-up fails with a text.
func fails(name, want string, change func(*world, *job.Spec)) testCase {
	return testCase{name, func(w *world) {
		s := w.spec("true")
		change(w, s)
		started := w.trySpawn(s, noStreams)
		if started.Executed {
			w.Fatal("it is executed")
		}
		got := await(w, func(m engine.ExecFailed) bool { return m.PID == started.PID })
		if got.Reason != want {
			w.Errorf("the reason is %q, want %q", got.Reason, want)
		}
		w.eventually("it is collected", func() bool { return unix.Kill(started.PID, 0) == unix.ESRCH })
		for _, m := range w.told {
			if m, ok := m.(engine.Exited); ok && m.PID == started.PID {
				w.Error("its end is told too")
			}
		}
	}}
}

var failureCases = []testCase{
	fails("no program", "unable to execute: No such file or directory", func(_ *world, s *job.Spec) { s.Process.Text = "/nowhere/program" }),
	fails("no program in the path", "unable to execute: No such file or directory", func(_ *world, s *job.Spec) { s.Process.Text = "no-such-program" }),
	fails("only blanks", "unable to execute: No such file or directory", func(_ *world, s *job.Spec) { s.Process.Text = " \t " }),
	fails("a directory", "unable to execute: Permission denied", func(_ *world, s *job.Spec) { s.Process.Text = "/etc" }),
	fails("no permission", "unable to execute: Permission denied", func(w *world, s *job.Spec) {
		os.WriteFile(w.dir+"/prog", []byte("#!/bin/sh\n"), 0o700)
		s.Process.Text, s.Attrs.Setuid = w.dir+"/prog", "daemon"
	}),
	fails("no permission with descriptors", "unable to execute: Permission denied", func(w *world, s *job.Spec) {
		os.WriteFile(w.dir+"/prog", []byte("#!/bin/sh\n"), 0o744)
		s.Process.Text, s.Attrs.Setuid, s.ListenNames = w.dir+"/prog", "daemon", []string{"socket"}
	}),
	fails("no interpreter", "unable to execute: No such file or directory", func(w *world, s *job.Spec) {
		os.WriteFile(w.dir+"/prog", []byte("#!/nowhere/sh\n"), 0o755)
		s.Process.Text, s.ListenNames = w.dir+"/prog", []string{"socket"}
	}),
	fails("no root", "unable to change root directory: No such file or directory", func(_ *world, s *job.Spec) { s.Attrs.Chroot = "/nowhere" }),
	fails("no session root", "unable to change root directory: No such file or directory", func(_ *world, s *job.Spec) { s.Root = "/nowhere" }),
	fails("no directory", "unable to change working directory: No such file or directory", func(_ *world, s *job.Spec) { s.Attrs.Chdir = "/nowhere" }),
	fails("a file as directory", "unable to change working directory: Not a directory", func(_ *world, s *job.Spec) { s.Attrs.Chdir = "/etc/passwd" }),
	fails("no user", "unable to find setuid user", func(_ *world, s *job.Spec) { s.Attrs.Setuid = "nobody-of-that-name" }),
	fails("a number for a user", "unable to find setuid user", func(_ *world, s *job.Spec) { s.Attrs.Setuid = "0" }),
	fails("no group", "unable to find setgid group", func(_ *world, s *job.Spec) { s.Attrs.Setgid = "nobody-of-that-name" }),
	fails("an illegal limit", `unable to set "nofile" resource limit: Invalid argument`, func(_ *world, s *job.Spec) {
		s.Attrs.Limits[limitNumber("nofile")] = job.Limit{Set: true, Soft: 9, Hard: 8}
	}),
	fails("no console to own", "unable to open console: No such file or directory", func(_ *world, s *job.Spec) { s.Attrs.Console = job.ConsoleOwner }),
	fails("no tmpfiles", "unable to apply tmpfiles: open /nowhere: no such file or directory", func(_ *world, s *job.Spec) {
		s.Attrs.Tmpfiles = []string{"/nowhere"}
	}),
	fails("a step before another", "unable to change root directory: No such file or directory", func(_ *world, s *job.Spec) {
		s.Attrs.Chroot, s.Attrs.Chdir, s.Attrs.Setuid = "/nowhere", "/nowhere", "nobody-of-that-name"
	}),
	{"what is not supported", testUnsupported},
}

func limitNumber(name string) int {
	for i, n := range job.LimitNames {
		if n == name {
			return i
		}
	}
	return -1
}

// testUnsupported starts no process without the isolation it is to have.
func testUnsupported(w *world) {
	s := w.spec("true")
	s.Attrs.Isolation = &job.Isolation{Namespaces: []job.Namespace{{Kind: "no such kind"}}}
	started, err := w.procs.Spawn(1, s, noStreams)
	if err == nil && started.Executed {
		w.Error("it runs without its name space")
	}
	if err != nil && !strings.HasPrefix(err.Error(), "unable to ") {
		w.Errorf("the reason is %q", err)
	}
}
