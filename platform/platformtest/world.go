// Package platformtest is the suite that every kernel back end passes: what a
// process sees of each field of its spec, the texts of what fails, how ends,
// stops, forks and executions are told, and what a manager makes of the
// processes of one that was killed.
//
// A back end calls Main first in TestMain, since the processes under test are
// the test binary itself, and Run as root where orphans come to the test
// process and where it may kill all that it finds: in a private pid
// namespace, or a jail. Run locks its goroutine; subtests run one by one.
package platformtest

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/env"
	"onset/core/job"
	"onset/platform"
)

// patience is how long a test waits for what should take milliseconds, but a
// thousand traced forks need the machine some thousand times, which may be an
// emulated one.
const patience = 3 * time.Minute

// world is a back end under test with what it told.
type world struct {
	*testing.T
	poller platform.Poller
	procs  platform.Processes
	self   string // the test binary
	dir    string
	token  uint64
	pids   []int
	told   []engine.Msg
	blind  bool // nobody is traced
}

// Backend makes a back end; it is called once a test.
type Backend func() (platform.Poller, platform.Processes)

func newWorld(t *testing.T, backend Backend) *world {
	runtime.LockOSThread()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, self: self, dir: t.TempDir()}
	os.Chmod(w.dir, 0o755)
	os.Chmod(filepath.Dir(w.dir), 0o755)
	w.poller, w.procs = backend()
	t.Cleanup(w.clean)
	return w
}

// clean ends everything that the test made and collects it.
func (w *world) clean() {
	for _, pid := range w.pids {
		w.procs.Kill(0, pid, job.Signal(unix.SIGKILL), engine.Group)
	}
	w.eventually("no process is left", func() bool { return !killAll() })
}

// turn hears what the back end has to say.
func (w *world) turn() {
	if err := w.poller.Wait(2 * time.Millisecond); err != nil {
		w.Fatal(err)
	}
	w.procs.Collect(func(m engine.Msg) { w.told = append(w.told, m) })
}

func (w *world) eventually(what string, is func() bool) {
	w.Helper()
	for end := time.Now().Add(patience); !is(); w.turn() {
		if time.Now().After(end) {
			w.Fatalf("not so in time: %s; told: %s", what, w.story())
		}
	}
}

// silently waits without hearing anything.
func (w *world) silently(is func() bool) {
	w.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			w.Fatal("not so in time")
		}
	}
}

// await returns the first message of its kind that is told from now on or was
// not awaited yet.
func await[M engine.Msg](w *world, of func(M) bool) (found M) {
	w.Helper()
	w.eventually(fmt.Sprintf("%T", found), func() bool {
		for i, m := range w.told {
			if m, ok := m.(M); ok && of(m) {
				found = m
				w.told = append(w.told[:i], w.told[i+1:]...)
				return true
			}
		}
		return false
	})
	return found
}

func (w *world) awaitExit(pid int) job.Status {
	w.Helper()
	return await(w, func(m engine.Exited) bool { return m.PID == pid }).Status
}

func (w *world) story() string {
	var b strings.Builder
	for _, m := range w.told {
		fmt.Fprintf(&b, "%T%+v ", m, m)
	}
	return b.String()
}

// spec returns a spec for a job; text starting with "helper " runs the helper.
func (w *world) spec(text string) *job.Spec {
	if rest, ok := strings.CutPrefix(text, "helper "); ok {
		text = w.self + " " + helperArg + " " + rest
	}
	return &job.Spec{
		Job: "test", Slot: job.Main, Process: job.Process{Text: text},
		Env:   env.Table{"PATH=/usr/local/sbin:/usr/local/bin:/usr/bin:/usr/sbin:/sbin:/bin", "UPSTART_JOB=test"},
		Attrs: job.Attrs{Console: job.ConsoleNone, Umask: -1, Limits: make([]job.Limit, job.NumLimits)},
	}
}

func (w *world) script(lines ...string) *job.Spec {
	s := w.spec("")
	s.Process = job.Process{Script: true, Text: strings.Join(lines, "\n") + "\n"}
	return s
}

var noStreams = platform.Streams{Log: -1}

// spawn starts a process and waits until its program runs.
func (w *world) spawn(s *job.Spec, io platform.Streams) int {
	w.Helper()
	started := w.trySpawn(s, io)
	if !started.Executed {
		w.eventually("executed", func() bool {
			for i, m := range w.told {
				if m == (engine.Executed{PID: started.PID}) {
					w.told = append(w.told[:i], w.told[i+1:]...)
					return true
				}
				if m, ok := m.(engine.ExecFailed); ok && m.PID == started.PID {
					w.Fatalf("the execution failed: %s", m.Reason)
				}
			}
			return false
		})
	}
	return started.PID
}

func (w *world) trySpawn(s *job.Spec, io platform.Streams) platform.Started {
	w.Helper()
	w.token++
	started, err := w.procs.Spawn(w.token, s, io)
	if err != nil {
		w.Fatal(err)
	}
	w.pids = append(w.pids, started.PID)
	return started
}

// file returns the text of a file in the directory of the test, once it is
// there.
func (w *world) file(name string) string {
	w.Helper()
	var text []byte
	w.eventually(name+" is written", func() (ok bool) {
		var err error
		text, err = os.ReadFile(filepath.Join(w.dir, name))
		return err == nil
	})
	return string(text)
}
