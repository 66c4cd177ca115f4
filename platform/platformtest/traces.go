package platformtest

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/job"
)

// traceCases say how the tracing of a command ends, in the words of follow.
var traceCases = []testCase{
	traced("fork", job.ExpectFork, "helper fork fork", "fork ready"),
	traced("daemon", job.ExpectDaemon, "helper fork fork fork", "fork fork ready"),
	traced("one fork too few", job.ExpectDaemon, "helper fork fork", "fork"),
	traced("no fork", job.ExpectFork, "helper fork", ""),
	traced("one fork too many", job.ExpectFork, "helper fork fork fork", "fork ready ended"),
	traced("exec before the fork", job.ExpectFork, "helper fork exec fork", "exec fork ready"),
	traced("exec after the first fork", job.ExpectDaemon, "helper fork fork exec fork", "fork exec ready ended"),
	traced("a shell first", job.ExpectFork, "exec "+selfWord+" fork fork", "exec fork ready"),
	traced("a shell that runs helpers first", job.ExpectFork, "/bin/true; exec "+selfWord+" fork fork", "exec fork ready"),
	traced("a shell in the background", job.ExpectFork, "sleep 1000 & exit 0", "fork ready"),
	traced("clone", job.ExpectFork, "helper fork clone", "fork ready"),
	traced("clone and fork", job.ExpectDaemon, "helper fork clone fork", "fork fork ready"),
	traced("a threaded program starts itself anew", job.ExpectFork, "helper spawn leave fork", "fork ready"),
	traced("it does so twice", job.ExpectDaemon, "helper spawn leave spawn leave fork", "fork fork ready"),
	traced("a helper that outlives a failure", job.ExpectFork, "helper spawn fail fork", "ended"),
	traced("a helper that daemonizes", job.ExpectFork, "helper spawn stay fork fork", ""),
	{"expect stop", testExpectStop},
	{"signals reach a traced process", testTracedSignal},
	{"detached in mid run", testDetachRunning},
	{"a traced job through the stage", testTracedStage},
}

// selfWord stands for the helper in a shell command.
const selfWord = "SELF"

// traced is a case of a command whose trace goes as told and then rests: the
// process in the end is alive, or "ended".
func traced(name string, kind job.ExpectKind, text, want string) testCase {
	return testCase{name, func(w *world) {
		s := w.spec(strings.ReplaceAll(text, selfWord, w.self+" "+helperArg))
		if strings.Contains(text, ";") || strings.Contains(text, selfWord) {
			s.Process.Script = true
		}
		s.Expect.Kind = kind
		f := &follower{w: w, pid: w.spawn(s, noStreams), kind: kind}
		w.Cleanup(func() {
			if w.Failed() {
				w.Logf("the trace went %q", f.story)
			}
		})
		w.eventually("the trace goes "+want, func() bool {
			f.hear()
			return strings.Join(f.story, " ") == want && f.atRest()
		})
	}}
}

// follower does what the engine does with a traced process (UPSTART §2.8).
type follower struct {
	w     *world
	pid   int
	kind  job.ExpectKind
	forks int
	ready bool
	story []string
}

func (f *follower) hear() {
	told := f.w.told
	f.w.told = nil
	for _, m := range told {
		switch m := m.(type) {
		case engine.Forked:
			f.forked(m)
		case engine.Replaced:
			f.replaced(m.PID)
		case engine.Exited:
			if m.PID == f.pid {
				f.story = append(f.story, "ended")
				f.pid = 0
			}
		}
	}
}

func (f *follower) forked(m engine.Forked) {
	f.w.procs.Detach(m.PID)
	if m.PID != f.pid || f.ready {
		f.w.Errorf("a fork of %d into %d that nobody asked for", m.PID, m.Child)
		f.w.procs.Detach(m.Child)
		return
	}
	f.story = append(f.story, "fork")
	f.pid = m.Child
	f.w.pids = append(f.w.pids, m.Child)
	if f.forks++; f.kind == job.ExpectFork || f.forks > 1 {
		f.done()
		return
	}
	f.w.procs.Resume(m.Child)
}

func (f *follower) replaced(pid int) {
	if pid != f.pid || f.ready {
		f.w.Errorf("an execution by %d that nobody asked for", pid)
		f.w.procs.Detach(pid)
		return
	}
	f.story = append(f.story, "exec")
	if f.forks > 0 {
		f.done()
		return
	}
	f.w.procs.Resume(pid)
}

func (f *follower) done() {
	f.story = append(f.story, "ready")
	f.ready = true
	f.w.procs.Detach(f.pid)
}

// atRest says whether the process waits for something and is not traced any
// more if it is ready.
func (f *follower) atRest() bool {
	return f.pid == 0 || resting(f.pid, f.ready)
}

func testExpectStop(w *world) {
	s := w.script("kill -STOP $$", "sleep 1000")
	s.Expect.Kind = job.ExpectStop
	pid := w.spawn(s, noStreams)
	await(w, func(m engine.Stopped) bool { return m == engine.Stopped{PID: pid, Signal: job.Signal(unix.SIGSTOP)} })
}

func testTracedSignal(w *world) {
	s := w.script("trap 'echo hup > "+w.dir+"/hup' HUP", "echo $$ > "+w.dir+"/up", "while :; do read x < "+w.dir+"/fifo || :; done")
	if err := unix.Mkfifo(w.dir+"/fifo", 0o600); err != nil {
		w.Fatal(err)
	}
	s.Expect.Kind = job.ExpectFork
	pid := w.spawn(s, noStreams)
	w.file("up")
	w.procs.Kill(0, pid, job.Signal(unix.SIGHUP), engine.Process)
	w.file("hup")
	w.procs.Kill(0, pid, job.Signal(unix.SIGTERM), engine.Group)
	if got := w.awaitExit(pid); got != job.Killed(job.Signal(unix.SIGTERM)) {
		w.Errorf("status %d", got)
	}
}

// testDetachRunning lets a threaded process go that runs, and stops nothing.
func testDetachRunning(w *world) {
	s := w.spec("helper spawn stay fork")
	s.Expect.Kind = job.ExpectFork
	pid := w.spawn(s, noStreams)
	w.eventually("it runs", func() bool { return resting(pid, false) })
	w.procs.Detach(pid)
	w.eventually("it is not traced", func() bool { return resting(pid, true) })
	w.procs.Kill(0, pid, job.Signal(unix.SIGTERM), engine.Group)
	w.awaitExit(pid)
}

func testTracedStage(w *world) {
	s := w.spec("helper fork fork")
	s.Expect.Kind, s.Attrs.Umask = job.ExpectFork, 0
	pid := w.spawn(s, noStreams)
	m := await(w, func(m engine.Forked) bool { return m.PID == pid })
	w.procs.Detach(pid)
	w.procs.Detach(m.Child)
	w.awaitExit(pid)
	w.eventually(fmt.Sprint(m.Child, " runs"), func() bool { return resting(m.Child, true) })
}
