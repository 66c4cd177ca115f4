package platformtest

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/job"
)

// traceCases say what is told of the processes of a command with expect fork
// or daemon, and that nothing is traced or stopped in the end.
var traceCases = []testCase{
	tree("fork", job.ExpectFork, "helper fork fork", "ready"),
	tree("daemon", job.ExpectDaemon, "helper fork fork fork", "ready"),
	tree("five forks", job.ExpectDaemon, "helper fork fork fork fork fork fork", "ready"),
	tree("one fork too few", job.ExpectDaemon, "helper fork fork", "1"),
	tree("no fork", job.ExpectFork, "helper fork", "0"),
	tree("one fork too many", job.ExpectFork, "helper fork fork fork", "ready"),
	tree("exec before the fork", job.ExpectFork, "helper fork exec fork", "ready"),
	tree("exec between the forks", job.ExpectDaemon, "helper fork fork exec fork", "ready"),
	tree("a shell first", job.ExpectFork, "exec "+selfWord+" fork fork", "ready"),
	tree("a shell that runs helpers first", job.ExpectFork, "cat /dev/null; exec "+selfWord+" fork fork", "ready"),
	tree("a shell in the background", job.ExpectFork, "sleep 1000 & exit 0", "ready"),
	tree("a shell with a pipe", job.ExpectFork, "(sleep 1000 | sleep 1001) & exit 0", "ready"),
	tree("clone", job.ExpectFork, "helper fork clone", "ready"),
	tree("clone and fork", job.ExpectDaemon, "helper fork clone fork", "ready"),
	tree("a threaded program starts itself anew", job.ExpectFork, "helper spawn leave fork", "ready"),
	tree("it does so thrice", job.ExpectDaemon, "helper spawn leave spawn leave spawn leave fork", "ready"),
	tree("it does so and forks", job.ExpectDaemon, "helper spawn leave fork fork", "ready"),
	tree("a thread forks", job.ExpectFork, "helper thread fork fork", "ready"),
	tree("threads fork", job.ExpectDaemon, "helper thread fork fork exec fork", "ready"),
	tree("a child that outlives a failure", job.ExpectFork, "helper spawn fail fork", "ended"),
	tree("a child that daemonizes", job.ExpectFork, "helper spawn stay fork fork", "0"),
	tree("workers", job.ExpectFork, "sleep 1000 & sleep 1001 & wait", "0"),
	tree("a thousand children first", job.ExpectDaemon, "helper storm 1000 fork fork fork", "ready"),
	tree("a parent that stays", job.ExpectDaemon, "(sleep 1000; true) & exit 0", "1"),
	{"forks are counted", testForks},
	{"a parent that ends late", testLate},
	{"a parent that ends after the trace", testLateUntraced},
	{"a child is killed in between", testKilledBetween},
	{"a daemon that fails before anybody looks", testFailedEarly},
	{"of two the one with workers, of equals the oldest", testRoots},
	{"an execution after the fork", testReplaced},
	{"expect stop", testExpectStop},
	{"signals reach a traced process", testTracedSignal},
	{"detached in mid run", testDetachRunning},
	{"detached in a storm", testDetachStorm},
	{"detached while a vfork is waited for", testDetachVfork},
	{"detached while stopped", testDetachStopped},
	{"a traced job through the stage", testTracedStage},
}

// untracedCases say who is main without a trace.
var untracedCases = []testCase{
	{"forks", testForks},
	{"a parent that ends late", testLateUntraced},
	{"of two the one with workers, of equals the oldest", testRoots},
	{"crash: expect fork, forked and gone", crashForkedGone},
	{"crash: expect fork, ready", crashReady},
}

// selfWord stands for the helper in a shell command.
const selfWord = "SELF"

// tree is a case of a command that comes to rest "ready", "ended" or with so
// many forks, which are not enough.
func tree(name string, kind job.ExpectKind, text, want string) testCase {
	return testCase{name, func(w *world) {
		s := w.spec(strings.ReplaceAll(text, selfWord, w.self+" "+helperArg))
		s.Process.Script = strings.ContainsAny(text, ";&") || strings.Contains(text, selfWord)
		f := w.follow(s, kind)
		w.Cleanup(func() {
			if w.Failed() {
				w.Logf("the story of %d is %s; traced: %q", f.pid, f.story(), traced())
			}
		})
		w.eventually("the story is "+want, func() bool {
			f.hear()
			return f.story() == want && (f.pid == 0 || resting(f.pid, f.ready))
		})
		f.end()
	}}
}

// follower does what the engine does with main of expect fork or daemon.
type follower struct {
	w      *world
	pid    int // 0: ended
	wanted int
	forks  int
	ready  bool
	execs  []int
}

func (w *world) follow(s *job.Spec, kind job.ExpectKind) *follower {
	w.Helper()
	s.Expect.Kind = kind
	f := &follower{w: w, pid: w.spawn(s, noStreams), wanted: 1}
	if kind == job.ExpectDaemon {
		f.wanted = 2
	}
	return f
}

func (f *follower) hear() {
	told := f.w.told
	f.w.told = nil
	for _, m := range told {
		switch m := m.(type) {
		case engine.Exited:
			f.exited(m)
		case engine.Replaced:
			f.execs = append(f.execs, m.PID)
		}
	}
}

func (f *follower) exited(m engine.Exited) {
	switch {
	case m.PID != f.pid:
		return
	case m.Status != 0 || m.Heir == 0:
		f.pid = 0
		f.w.procs.Detach(m.PID)
		return
	}
	f.w.pids = append(f.w.pids, m.Heir)
	f.pid, f.forks = m.Heir, f.forks+m.Forks
	if f.forks >= f.wanted && !f.ready {
		f.ready = true
		f.w.procs.Detach(f.pid)
	}
}

func (f *follower) story() string {
	switch {
	case f.pid == 0:
		return "ended"
	case f.ready:
		return "ready"
	}
	return strconv.Itoa(f.forks)
}

// awaitMain waits until the main process is one that wrote its id.
func (f *follower) awaitMain(name string) {
	f.w.Helper()
	want := f.w.idIn(name)
	f.w.eventually(fmt.Sprint(want, " is main"), func() bool {
		f.hear()
		return f.pid == want
	})
}

func (w *world) idIn(name string) int {
	w.Helper()
	pid, _ := strconv.Atoi(strings.TrimSpace(w.file(name)))
	return pid
}

// end lets everything go and checks that the kernel agrees.
func (f *follower) end() {
	f.w.Helper()
	f.w.procs.Detach(f.pid)
	f.w.eventually("nothing is traced", func() bool { return len(traced()) == 0 })
	f.w.eventually("the main process is at rest", func() bool { f.hear(); return f.pid == 0 || resting(f.pid, true) })
}

// saying is a line of a script that writes the id of what runs last in the
// background.
func (w *world) saying(name string) string {
	return "echo $! > " + w.dir + "/" + name + ".new; mv " + w.dir + "/" + name + ".new " + w.dir + "/" + name
}

// fifo makes a pipe and returns the line of a script that waits for goOn.
func (w *world) fifo(name string) string {
	if err := unix.Mkfifo(w.dir+"/"+name, 0o666); err != nil {
		w.Fatal(err)
	}
	os.Chmod(w.dir+"/"+name, 0o666)
	return "read x < " + w.dir + "/" + name
}

func (w *world) goOn(name string) {
	w.Helper()
	w.reader(name)()
}

// reader waits until somebody reads a pipe, and returns what lets it go on.
func (w *world) reader(name string) (goOn func()) {
	w.Helper()
	fd := -1
	w.eventually("somebody reads "+name, func() (ok bool) {
		var err error
		fd, err = unix.Open(w.dir+"/"+name, unix.O_WRONLY|unix.O_NONBLOCK, 0)
		return err == nil
	})
	return func() {
		unix.Write(fd, []byte("go\n"))
		unix.Close(fd)
	}
}

// testForks has all processes between the first and the last end before the
// first.
func testForks(w *world) {
	for n := 1; n <= 5; n++ {
		name := fmt.Sprint("pid", n)
		last := "sleep 1000 & " + w.saying(name)
		for range n - 1 {
			last = "( " + last + " ) &"
		}
		f := w.follow(w.script(last, w.fifo(fmt.Sprint("go", n)), "exit 0"), job.ExpectDaemon)
		pid := w.idIn(name)
		w.eventually("those between have ended", func() bool { return alone(os.Getpid(), f.pid, pid) })
		w.goOn(fmt.Sprint("go", n))
		f.awaitMain(name)
		if f.forks != n && !w.blind {
			w.Errorf("%d forks are told, want %d", f.forks, n)
		}
		f.end()
		w.procs.Kill(0, f.pid, job.Signal(unix.SIGKILL), engine.Process)
	}
}

func testLate(w *world) {
	f := w.follow(w.script("sleep 1000 &", w.saying("pid"), w.fifo("go"), "exit 0"), job.ExpectFork)
	w.file("pid")
	w.goOn("go")
	f.awaitMain("pid")
	if f.forks != 1 || !f.ready {
		w.Errorf("the story is %s", f.story())
	}
	f.end()
}

func testLateUntraced(w *world) {
	f := w.follow(w.script("sleep 1000 &", w.saying("pid"), w.fifo("go"), "exit 0"), job.ExpectFork)
	w.file("pid")
	f.end()
	w.goOn("go")
	f.awaitMain("pid")
	if f.forks != 0 {
		w.Errorf("the story is %s after the end of the trace", f.story())
	}
	w.procs.Kill(0, f.pid, job.Signal(unix.SIGKILL), engine.Process)
	w.eventually("it ends", func() bool { f.hear(); return f.pid == 0 })
}

func testKilledBetween(w *world) {
	f := w.follow(w.script("("+w.fifo("go"), "sleep 1000 & ) &", w.saying("pid"), "exit 0"), job.ExpectDaemon)
	f.awaitMain("pid")
	w.procs.Kill(0, f.pid, job.Signal(unix.SIGKILL), engine.Process)
	w.eventually("it ends", func() bool { f.hear(); return f.pid == 0 })
	f.end()
}

// testFailedEarly has main and its child end in either order before the end of
// main is told. How the child ended is what became of the daemon.
func testFailedEarly(w *world) {
	for _, first := range []string{"main", "child"} {
		w.fifo("go-" + first)
		f := w.follow(w.script("("+w.fifo("die-"+first), "exit 3 ) &", w.saying("pid-"+first),
			"exec cat "+w.dir+"/go-"+first), job.ExpectDaemon) // which waits for no child
		main, child := f.pid, w.idIn("pid-"+first)
		goMain, goChild := w.reader("go-"+first), w.reader("die-"+first)
		if first == "child" {
			goChild()
			w.silently(func() bool { return inState(child, "Z") })
			w.turn() // a tracer hears of it, as of all it traces
		}
		goMain()
		if first == "main" {
			w.silently(func() bool { return inState(main, "Z") })
			goChild()
			w.silently(func() bool { return inState(child, "Z") })
		}
		if m := await(w, func(m engine.Exited) bool { return m.PID == main }); m.Heir != child || m.Forks != 1 {
			w.Errorf("%s ended first: told %+v, and the child is %d", first, m, child)
		}
		if status := w.awaitExit(child); status != 3 {
			w.Errorf("%s ended first: the child ended with %d", first, status)
		}
	}
}

// testRoots leaves several processes that have lost their parent.
func testRoots(w *world) {
	read := w.fifo("go")
	f := w.follow(w.script("sleep 1000 &", "(sleep 1001 & sleep 1002 & "+w.saying("up")+"; wait) &", w.saying("big"), read, "exit 0"), job.ExpectFork)
	w.file("up")
	w.goOn("go")
	f.awaitMain("big")
	f.end()
	f = w.follow(w.script("sleep 1000 &", w.saying("old"), "sleep 0.05", "sleep 1001 &", read, "exit 0"), job.ExpectFork)
	w.goOn("go")
	f.awaitMain("old")
	f.end()
}

func testReplaced(w *world) {
	f := w.follow(w.script("("+w.fifo("go"), "exec sleep 1000 ) &", w.saying("pid"), "cat /dev/null", "exit 0"), job.ExpectDaemon)
	f.awaitMain("pid")
	if len(f.execs) != 0 {
		w.Errorf("executions by %d are told before", f.execs)
	}
	w.goOn("go")
	w.eventually("the execution is told", func() bool { f.hear(); return len(f.execs) == 1 && f.execs[0] == f.pid })
	f.end()
}

func testExpectStop(w *world) {
	s := w.script("kill -STOP $$", "sleep 1000")
	s.Expect.Kind = job.ExpectStop
	pid := w.spawn(s, noStreams)
	await(w, func(m engine.Stopped) bool { return m == engine.Stopped{PID: pid, Signal: job.Signal(unix.SIGSTOP)} })
}

func testTracedSignal(w *world) {
	s := w.script("trap 'echo hup > "+w.dir+"/hup' HUP", "echo $$ > "+w.dir+"/up", "while :; do "+w.fifo("fifo")+" || :; done")
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
	f := w.follow(w.spec("helper spawn stay spawn stay fork"), job.ExpectFork)
	w.eventually("it runs", func() bool { return resting(f.pid, false) })
	f.end()
	w.procs.Kill(0, f.pid, job.Signal(unix.SIGTERM), engine.Group)
	w.awaitExit(f.pid)
}

// testDetachStorm lets processes go that are being born, executed and die.
func testDetachStorm(w *world) {
	for range 20 {
		os.Remove(w.dir + "/out")
		os.Remove(w.dir + "/calm")
		f := w.follow(w.spec("helper weather "+w.dir+"/calm report "+w.dir+"/out"), job.ExpectFork)
		w.eventually("it forks", func() bool { return childOf(f.pid) != 0 && (!traces || len(traced()) > 1) })
		w.procs.Detach(f.pid)
		w.eventually("nothing is traced", func() bool { return len(traced()) == 0 })
		os.WriteFile(w.dir+"/calm", nil, 0o666)
		w.file("out")
		w.eventually("it ends", func() bool { f.hear(); return f.pid == 0 })
	}
}

// testDetachVfork has the maker wait for a child that does not execute
// anything: it can only be let go after that.
func testDetachVfork(w *world) {
	f, child := w.follow(w.spec("helper fork vfork"), job.ExpectFork), 0
	w.eventually("there is a child", func() bool {
		child = childOf(f.pid)
		return child != 0 && resting(child, false)
	})
	w.procs.Detach(f.pid)
	w.eventually("the child is not traced", func() bool { return resting(child, true) })
	unix.Kill(child, unix.SIGKILL)
	f.end()
}

func testDetachStopped(w *world) {
	f := w.follow(w.script("sh -c 'kill -STOP $$; sleep 1000' &", w.saying("pid"), "wait"), job.ExpectFork)
	pid := w.idIn("pid")
	w.eventually("the child is stopped", func() bool { return inState(pid, "T") || inState(pid, "t") })
	w.procs.Detach(f.pid)
	w.eventually("nothing is traced", func() bool { return len(traced()) == 0 })
	w.eventually("the child is stopped", func() bool { return inState(pid, "T") })
	unix.Kill(pid, unix.SIGCONT)
	w.eventually("the child runs", func() bool { return inState(pid, "S") })
}

func testTracedStage(w *world) {
	s := w.spec("helper fork fork")
	s.Attrs.Umask = 0
	f := w.follow(s, job.ExpectFork)
	w.eventually("it is ready", func() bool { f.hear(); return f.story() == "ready" && resting(f.pid, true) })
	f.end()
}
