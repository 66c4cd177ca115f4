package linux

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/env"
	"onset/core/job"
	"onset/platform"
)

// hard are services that are hard to end. Each writes the file ready.
var hard = map[string]string{
	"children": `for i in 1 2 3 4 5; do sleep 1000 & done; echo >$DIR/ready; sleep 1000`,
	"ignores everything": `trap '' HUP INT QUIT TERM USR1 USR2 ALRM PIPE TSTP TTIN TTOU
		for i in 1 2 3; do (while :; do sleep 1000; done) & done; echo >$DIR/ready; while :; do sleep 1000; done`,
	"daemons": `setsid sh -c 'setsid sh -c "setsid sleep 1000 & echo >$DIR/ready; exec sleep 1000" & exit' & sleep 1000`,
	// Each process lives only until it has made the next.
	"runs away": `f() { f & }
		for i in 1 2 3 4; do f & done; echo >$DIR/ready; sleep 1000`,
	"groups of its own": `mkdir -p $GROUP/$TOKEN/a/b $GROUP/$TOKEN/c
		sh -c 'echo 0 >$GROUP/$TOKEN/a/b/cgroup.procs; sleep 1000 & exec sleep 1000' &
		sh -c 'echo 0 >$GROUP/$TOKEN/c/cgroup.procs; echo >$DIR/ready; exec sleep 1000' &
		sleep 1000`,
	"stopped": `sleep 1000 & kill -STOP $!; sh -c 'sleep 0; kill -STOP $$' & echo >$DIR/ready; kill -STOP $$`,
}

// groupWorld is a back end with cgroups and what it told.
type groupWorld struct {
	*testing.T
	root, dir string
	poller    *Poller
	procs     *Processes
	token     uint64
	told      []engine.Msg
}

func newGroupWorld(t *testing.T) *groupWorld {
	t.Helper()
	w := &groupWorld{T: t, root: cgroupRoot(t), dir: t.TempDir(), poller: newPoller(t)}
	var err error
	w.procs, err = NewProcesses(w.poller, Options{Umask: 0o022, CgroupRoot: w.root, Warn: func(s string) { t.Error(s) }})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *groupWorld) spec(text string) *job.Spec {
	return &job.Spec{Job: "test", Slot: job.Main, Process: job.Process{Script: true, Text: text + "\n"},
		Env:   env.Table{"PATH=/bin:/usr/bin", "DIR=" + w.dir, "GROUP=" + w.root, "TOKEN=" + itoa(int(w.token+1))},
		Attrs: job.Attrs{Console: job.ConsoleNone, Umask: -1, Limits: make([]job.Limit, job.NumLimits)}}
}

// spawn starts a process and waits until it wrote the file ready.
func (w *groupWorld) spawn(s *job.Spec) (token uint64, pid int) {
	w.Helper()
	w.token++
	started, err := w.procs.Spawn(w.token, s, platform.Streams{Log: -1})
	if err != nil {
		w.Fatal(err)
	}
	w.until("it is ready", func() bool { return os.Remove(w.dir+"/ready") == nil })
	return w.token, started.PID
}

func (w *groupWorld) until(what string, is func() bool) {
	w.Helper()
	for end := time.Now().Add(3 * time.Minute); !is(); {
		if time.Now().After(end) {
			w.Fatalf("not so in time: %s; told %+v", what, w.told)
		}
		w.poller.Wait(2 * time.Millisecond)
		w.procs.Collect(func(m engine.Msg) { w.told = append(w.told, m) })
	}
}

// exited waits for the end of a process and how it is told.
func (w *groupWorld) exited(pid int) (e engine.Exited) {
	w.Helper()
	w.until("its end is told", func() bool {
		return slices.ContainsFunc(w.told, func(m engine.Msg) bool {
			other, ok := m.(engine.Exited)
			if ok && other.PID == pid {
				e = other
			}
			return ok && other.PID == pid
		})
	})
	return e
}

// over waits until all of a spawn has ended, as a manager would.
func (w *groupWorld) over(token uint64, pid int) {
	w.Helper()
	if w.exited(pid).Left > 0 {
		w.until("emptied", func() bool { return slices.Contains(w.told, engine.Msg(engine.Emptied{Token: token})) })
	}
	w.told = nil
}

func (w *groupWorld) kill(token uint64, pid int, sig unix.Signal) {
	w.Helper()
	if err := w.procs.Kill(token, pid, job.Signal(sig), engine.Tree); err != nil {
		w.Error(err)
	}
}

// survivors are the processes of the namespace that live besides this one.
func survivors() (pids []int) {
	for _, pid := range allProcesses() {
		if pid != os.Getpid() && alive(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// TestKillTree ends each of the hard services by each way the kernel may
// have; ONSET_ROUNDS is how often.
func TestKillTree(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	rounds := rounds(56) // 18 kinds: more than 1000
	w := newGroupWorld(t)
	for _, way := range []struct {
		name    string
		missing []string
	}{{"cgroup.kill", nil}, {"freezer", []string{"cgroup.kill"}}, {"signals", []string{"cgroup.kill", "cgroup.freeze"}}} {
		for name, text := range hard {
			for range rounds {
				token, pid := w.spawn(w.spec(text))
				for _, file := range way.missing {
					if err := unix.Mount("/proc/version", w.procs.cgroups.path(token)+"/"+file, "", unix.MS_BIND, ""); err != nil {
						t.Fatal(err)
					}
				}
				w.kill(token, pid, unix.SIGKILL)
				w.over(token, pid)
				if left := survivors(); len(left) > 0 {
					t.Fatalf("%s, %s: %d live on", name, way.name, left)
				}
			}
		}
	}
	w.procs.Collect(func(engine.Msg) {}) // which removes the last one
	next := filepath.Base(w.procs.cgroups.path(w.token + 1))
	if entries, _ := os.ReadDir(w.root); slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.IsDir() && e.Name() != next }) {
		t.Errorf("groups stay: %v", entries)
	}
}

// TestSignalTree sends another signal to all of a tree, once.
func TestSignalTree(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	w := newGroupWorld(t)
	const counts = `trap 'echo got >>$DIR/count' USR1; trap 'exit 0' TERM; sleep 1000 & echo >>$DIR/up; while :; do wait; done`
	token, pid := w.spawn(w.spec(`setsid sh -c "` + counts + `" &
		mkdir -p $GROUP/$TOKEN/sub
		sh -c "echo 0 >$GROUP/$TOKEN/sub/cgroup.procs; ` + counts + `" &
		while [ "$(wc -l <$DIR/up)" != 2 ]; do :; done
		trap '' USR1; echo >$DIR/ready
		exec sleep 1000`))
	w.until("those that sleep do, so that no signal is lost in a shell", func() bool {
		sleepers := 0
		for _, pid := range w.procs.cgroups.processes(token) {
			if argv := arguments(pid); len(argv) > 0 && argv[0] == "sleep" {
				sleepers++
			}
		}
		return sleepers == 3
	})
	w.kill(token, pid, unix.SIGUSR1)
	lines := func() string { text, _ := os.ReadFile(w.dir + "/count"); return string(text) }
	w.until("both got it", func() bool { return len(lines()) >= len("got\ngot\n") })
	w.kill(token, 0, unix.SIGTERM) // main is not named, and is reached all the same
	w.over(token, pid)
	if got := lines(); got != "got\ngot\n" {
		t.Errorf("counted %q, want one signal each", got)
	}
	if left := survivors(); len(left) > 0 {
		t.Errorf("%d live on", left)
	}
}

// TestMovedAway kills a main process that is not in its group any more.
func TestMovedAway(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	w := newGroupWorld(t)
	token, pid := w.spawn(w.spec(`sleep 1000 & echo 0 >$GROUP/cgroup.procs; echo >$DIR/ready; exec sleep 1001`))
	w.kill(token, pid, unix.SIGTERM)
	w.over(token, pid)
	if left := survivors(); len(left) > 0 {
		t.Errorf("%d live on", left)
	}
}

// TestLateFork has a process come into a group only after that was killed, as
// one does whose fork was under way.
func TestLateFork(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	w := newGroupWorld(t)
	late := exec.Command("sleep", "1000")
	if err := late.Start(); err != nil {
		t.Fatal(err)
	}
	token, pid := w.spawn(w.spec(`echo >$DIR/ready; exec sleep 1000`))
	w.kill(token, pid, unix.SIGKILL)
	if err := os.WriteFile(w.procs.cgroups.path(token)+"/cgroup.procs", []byte(itoa(late.Process.Pid)), 0); err != nil {
		t.Fatal(err)
	}
	w.over(token, pid)
	if left := survivors(); len(left) > 0 {
		t.Errorf("%d live on", left)
	}
}

// TestAwait hears of the end of what a manager before this one left.
func TestAwait(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	w := newGroupWorld(t)
	for _, watched := range []bool{true, false} {
		token, pid := w.spawn(w.spec(`sleep 1000 & sleep 1000 & echo >$DIR/ready; exit 0`))
		if e := w.exited(pid); e.Left != 2 {
			t.Errorf("%d live on, want 2", e.Left)
		}
		unix.Close(w.procs.cgroups.notify)
		poller := newPoller(t)
		next, err := NewProcesses(poller, Options{Umask: 0o022, CgroupRoot: w.root, Warn: func(s string) { t.Error(s) }})
		if err != nil {
			t.Fatal(err)
		}
		w.procs, w.poller, w.told = next, poller, nil
		if !watched {
			next.cgroups.notify = -1
		}
		w.procs.Await(token)
		w.procs.Await(12345) // none of it is there
		emptied := func(token uint64) func() bool {
			return func() bool { return slices.Contains(w.told, engine.Msg(engine.Emptied{Token: token})) }
		}
		w.until("what was never there is told to be empty", emptied(12345))
		if emptied(token)() {
			t.Error("told to be empty while processes live")
		}
		w.kill(token, 0, unix.SIGTERM)
		w.until("told to be empty", emptied(token))
		if there(w.root + "/" + itoa(int(token))) {
			t.Error("the group stays")
		}
	}
}
