package platformtest

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/job"
)

var endCases = []testCase{
	{"statuses", testStatuses},
	{"the execution comes before the end", testOrder},
	{"orphans", testOrphans},
	{"stop and continue", testStop},
	{"kill scopes", testKill},
}

// ConsolePath is where tests put a console: back ends under test use it, also
// those in managers that a test starts.
var ConsolePath = os.Getenv(consoleEnv)

const consoleEnv = "ONSET_TEST_CONSOLE"

func testDebug(w *world) {
	s := w.spec("true")
	s.Debug = true
	pid := w.spawn(s, noStreams)
	await(w, func(m engine.Stopped) bool { return m.PID == pid })
	w.procs.Kill(0, pid, job.Signal(unix.SIGCONT), engine.Process)
	if status := w.awaitExit(pid); status != 0 {
		w.Errorf("status %d", status)
	}
}

func testStatuses(w *world) {
	for text, want := range map[string]job.Status{
		"exit 0": 0, "exit 7": 7, "exit 255": 255,
		"kill -KILL $$": job.Killed(job.Signal(unix.SIGKILL)), "kill -ABRT $$": job.Killed(job.Signal(unix.SIGABRT)),
	} {
		s := w.spec(text)
		s.Process.Script = true
		if got := w.awaitExit(w.spawn(s, noStreams)); got != want {
			w.Errorf("%s: status %d, want %d", text, got, want)
		}
	}
}

// testOrder hears of a staged process only after it has ended.
func testOrder(w *world) {
	s := w.spec("helper report " + w.dir + "/out")
	s.Attrs.Umask = 0
	started := w.trySpawn(s, noStreams)
	for {
		if _, err := os.Stat(w.dir + "/out"); err == nil {
			break
		}
	}
	w.awaitExit(started.PID)
	if len(w.told) != 1 || w.told[0] != (engine.Executed{PID: started.PID}) {
		w.Errorf("told beside the end: %s", w.story())
	}
}

func testOrphans(w *world) {
	pid := w.spawn(w.script("for i in 1 2 3 4 5; do (sh -c 'exit 3' & ) ; done", "(sleep 100 & echo $! > "+w.dir+"/new; mv "+w.dir+"/new "+w.dir+"/pid)"), noStreams)
	w.awaitExit(pid)
	for range 5 {
		await(w, func(m engine.Exited) bool { return m.Status == 3 })
	}
	orphan, _ := strconv.Atoi(strings.TrimSpace(w.file("pid")))
	w.procs.Kill(0, orphan, job.Signal(unix.SIGKILL), engine.Process)
	w.awaitExit(orphan)
}

func testStop(w *world) {
	pid := w.spawn(w.script("kill -STOP $$", "sleep 1000"), noStreams)
	if m := await(w, func(m engine.Stopped) bool { return m.PID == pid }); m.Signal != job.Signal(unix.SIGSTOP) {
		w.Errorf("stopped by %d", m.Signal)
	}
	w.procs.Kill(0, pid, job.Signal(unix.SIGCONT), engine.Process)
	await(w, func(m engine.Continued) bool { return m.PID == pid })
	w.procs.Kill(0, pid, job.Signal(unix.SIGTERM), engine.Group)
	w.awaitExit(pid)
}

func testKill(w *world) {
	for _, scope := range []engine.Scope{engine.Group, engine.Process} {
		os.Remove(w.dir + "/pid")
		pid := w.spawn(w.script("sleep 100 &", "echo $! > "+w.dir+"/new", "mv "+w.dir+"/new "+w.dir+"/pid", "sleep 101"), noStreams)
		sleeper, _ := strconv.Atoi(strings.TrimSpace(w.file("pid")))
		if err := w.procs.Kill(0, pid, job.Signal(unix.SIGTERM), scope); err != nil {
			w.Error(err)
		}
		if status := w.awaitExit(pid); status != job.Killed(job.Signal(unix.SIGTERM)) {
			w.Errorf("scope %d: status %d", scope, status)
		}
		if scope == engine.Group {
			// Its parent may have collected it while it died itself.
			w.eventually("the group is gone", func() bool { return unix.Kill(sleeper, 0) == unix.ESRCH })
		} else if unix.Kill(sleeper, 0) != nil {
			w.Error("a process of the group is killed too")
		}
		if err := w.procs.Kill(0, pid, job.Signal(unix.SIGTERM), scope); err != nil {
			w.Errorf("a process that is gone: %v", err)
		}
	}
}
