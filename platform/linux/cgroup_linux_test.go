package linux

import (
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/env"
	"onset/core/job"
	"onset/platform"
)

// cgroupRoot mounts the cgroup v2 hierarchy and makes a directory in it.
func cgroupRoot(t testing.TB) string {
	t.Helper()
	mount := t.TempDir()
	if err := unix.Mount("cgroup2", mount, "cgroup2", 0, ""); err != nil {
		t.Skip("no cgroup v2 here: " + err.Error())
	}
	root, err := os.MkdirTemp(mount, "onset-test-")
	if err != nil {
		t.Skip("cgroup v2 is not writable here: " + err.Error())
	}
	t.Cleanup(func() {
		os.Remove(root)
		unix.Unmount(mount, unix.MNT_DETACH)
	})
	return root
}

func TestCgroups(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	root := cgroupRoot(t)
	poller, left := newPoller(t), 0
	procs, err := NewProcesses(poller, Options{Umask: 0o022, CgroupRoot: root, Warn: func(s string) { t.Error(s) }})
	if err != nil {
		t.Fatal(err)
	}
	hear := func(m engine.Msg) {
		if e, ok := m.(engine.Exited); ok {
			left += e.Left
		}
	}
	s := &job.Spec{Process: job.Process{Script: true, Text: "sleep 1000 &\nsleep 1000\n"},
		Env: env.Table{"PATH=/bin:/usr/bin"}, Attrs: job.Attrs{Console: job.ConsoleNone, Umask: -1}}
	started, err := procs.Spawn(7, s, platform.Streams{Log: -1})
	if err != nil {
		t.Fatal(err)
	}
	if got := procs.cgroups.processes(7); leader(got) != started.PID {
		t.Errorf("found %d, want %d", got, started.PID)
	}
	if got := procs.Find(8, s, func(int) bool { return true }); got != (platform.Found{}) {
		t.Errorf("found %+v for a token that is not", got)
	}
	await(t, procs, poller, hear, "all of it runs", func() bool { return len(procs.cgroups.processes(7)) == 3 })
	unix.Kill(started.PID, unix.SIGKILL)
	await(t, procs, poller, hear, "it is told what lives on", func() bool { return left > 0 })
	for _, pid := range procs.cgroups.processes(7) {
		unix.Kill(pid, unix.SIGKILL)
	}
	await(t, procs, poller, hear, "the group of dead processes is gone", func() bool { return !there(root + "/7") })
	if left != 2 {
		t.Errorf("told of %d processes left behind, want 2", left)
	}
}

func TestNoCgroups(t *testing.T) {
	warned := 0
	for _, root := range []string{"/nowhere", t.TempDir()} {
		if c := newCgroups(newPoller(t), Options{CgroupRoot: root, Warn: func(string) { warned++ }}, nil); c != nil || c.processes(1) != nil {
			t.Errorf("%s has groups", root)
		}
	}
	if warned != 2 {
		t.Errorf("%d warnings, want 2", warned)
	}
}

// await collects until something is so.
func await(t *testing.T, procs *Processes, poller *Poller, hear func(engine.Msg), what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(3 * time.Minute); !is(); procs.Collect(hear) {
		if time.Now().After(end) {
			t.Fatal("not so in time: " + what)
		}
		poller.Wait(2 * time.Millisecond)
	}
}

// rounds is how often a test repeats what must never fail.
func rounds(usual int) int {
	if n, err := strconv.Atoi(os.Getenv("ONSET_ROUNDS")); err == nil {
		return n
	}
	return usual
}

// TestGroupsAfterLostNotifications has the kernel drop notifications, as it says.
func TestGroupsAfterLostNotifications(t *testing.T) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	var told []uint64
	c := &cgroups{root: t.TempDir(), notify: pipe[0], waiting: map[int32]uint64{1: 7, 2: 8},
		emptied: func(token uint64) { told = append(told, token) }}
	os.Mkdir(c.path(8), 0o755)
	if err := os.WriteFile(c.path(8)+"/cgroup.events", []byte("populated 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	e := unix.InotifyEvent{Wd: -1, Mask: unix.IN_Q_OVERFLOW}
	unix.Write(pipe[1], (*[unix.SizeofInotifyEvent]byte)(unsafe.Pointer(&e))[:])
	c.changed()
	if !slices.Equal(told, []uint64{7}) || c.waiting[2] != 8 {
		t.Errorf("told %v, waits for %v", told, c.waiting)
	}
}
