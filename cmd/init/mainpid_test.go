//go:build linux || freebsd

package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

// mainPID returns the main process of a job that runs.
func (s *session) mainPID(name string) (pid int) {
	s.t.Helper()
	if _, err := fmt.Sscanf(s.run("status", name), name+" start/running, process %d", &pid); err != nil {
		s.t.Fatalf("%s is not running: %s", name, s.run("status", name))
	}
	return pid
}

// TestMainPIDOfAnOrphan has the process that was spawned name its child and
// end: the child is main, its end is that of the job, also for the next image.
func TestMainPIDOfAnOrphan(t *testing.T) {
	s := startSession(t, map[string]string{
		"named.conf": "expect notify\nscript\n\tsleep 1000 &\n\t" + client("notify READY=1+MAINPID=$! barrier") + "\nend script\n",
	})
	for _, reexec := range []bool{false, true} {
		s.run("start", "named")
		pid := s.mainPID("named")
		if reexec {
			s.reexec()
		}
		s.await("the end of the parent", func() bool { return parent(pid) == s.cmd.Process.Pid })
		if now := s.mainPID("named"); now != pid {
			t.Errorf("main was %d and is %d", pid, now)
		}
		syscall.Kill(pid, syscall.SIGKILL) // others a sleep in Go may ignore
		s.await("the end", func() bool { return strings.Contains(s.run("status", "named"), "stop/waiting") })
		if why := s.run("why", "named"); !strings.Contains(why, "main process killed by KILL signal") {
			t.Errorf("it ended because of\n%s", why)
		}
	}
}

// TestMainPIDOfAChild has a process name its child and wait for that: how it
// ends is told by the parent's own end.
func TestMainPIDOfAChild(t *testing.T) {
	file := t.TempDir() + "/go"
	s := startSession(t, map[string]string{
		"named.conf": "expect notify\nscript\n\tset +e\n\tsleep 1000 &\n\t" + client("notify READY=1+MAINPID=$! barrier") +
			"\n\twait $!\n\t" + client("await "+file) + "\n\texit 7\nend script\n",
	})
	for _, reexec := range []bool{false, true} {
		s.run("start", "named")
		child := s.mainPID("named")
		first := parent(child)
		if reexec {
			s.reexec()
		}
		syscall.Kill(child, syscall.SIGKILL)
		s.await("the parent to be main", func() bool { return s.mainPID("named") == first })
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s.await("the end", func() bool { return strings.Contains(s.run("status", "named"), "stop/waiting") })
		os.Remove(file)
		if why := s.run("why", "named"); !strings.Contains(why, "main process terminated with status 7") {
			t.Errorf("it ended because of\n%s", why)
		}
	}
}

// TestWatchdog has a service fall silent, once it has said something.
func TestWatchdog(t *testing.T) {
	s := startSession(t, map[string]string{
		"mute.conf": "expect notify\nwatchdog 1\nexec " + client("notify READY=1+STATUS=about+to+fall+silent sleep"),
	})
	s.run("start", "mute")
	s.await("the end", func() bool { return strings.Contains(s.run("status", "mute"), "stop/waiting") })
	if why := s.run("why", "mute"); !strings.Contains(why, "main process missed its watchdog of 1s") {
		t.Errorf("it ended because of\n%s", why)
	}
}
