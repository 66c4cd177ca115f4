//go:build linux

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
		syscall.Kill(pid, syscall.SIGUSR1)
		s.await("the end", func() bool { return strings.Contains(s.run("status", "named"), "stop/waiting") })
		if why := s.run("why", "named"); !strings.Contains(why, "main process killed by USR1 signal") {
			t.Errorf("it ended because of\n%s", why)
		}
	}
}

// parent returns the parent of a process, 0 if it is gone.
func parent(pid int) (parent int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if _, rest, ok := strings.Cut(string(text), "\nPPid:"); ok {
		fmt.Sscan(rest, &parent)
	}
	return parent
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

// TestMainPIDThatEndsWithoutManager has a main process end, and its parent
// learn of it, while there is no manager.
func TestMainPIDThatEndsWithoutManager(t *testing.T) {
	m := startMachine(t, map[string]string{
		"named.conf": "expect notify\nscript\n\tset +e\n\t" + client("await DIR/die") + " &\n\t" +
			client("notify READY=1+MAINPID=$! barrier") + "\n\twait $!\n\t" +
			client("write DIR/reaped x await DIR/go") + "\n\texit 7\nend script\n",
	})
	m.must("start", "named")
	before := m.must("status", "named")
	keeper, manager := m.cmd.Process, m.manager()
	keeper.Signal(syscall.SIGSTOP)
	if err := syscall.Kill(manager, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	m.write("die")
	m.await("the parent to reap its child", func() bool { return m.exists("reaped") })
	keeper.Signal(syscall.SIGCONT)
	m.await("the parent to be main", func() bool { return m.must("status", "named") != before })
	m.write("go")
	m.await("the end", func() bool { return strings.Contains(m.must("status", "named"), "stop/waiting") })
	if why := m.must("why", "named"); !strings.Contains(why, "main process terminated with status 7") {
		t.Errorf("it ended because of\n%s", why)
	}
}
