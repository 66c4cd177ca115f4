package linux

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/env"
	"onset/core/job"
	"onset/platform"
)

// cgroupRoot mounts the cgroup v2 hierarchy and makes a directory in it.
func cgroupRoot(t *testing.T) string {
	t.Helper()
	mount := t.TempDir()
	if err := unix.Mount("cgroup2", mount, "cgroup2", 0, ""); err != nil {
		t.Skip("no cgroup v2 here: " + err.Error())
	}
	root := mount + "/onset-test"
	if err := os.Mkdir(root, 0o755); err != nil {
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
	poller := newPoller(t)
	procs, err := NewProcesses(poller, Options{Umask: 0o022, CgroupRoot: root, Warn: func(s string) { t.Error(s) }})
	if err != nil {
		t.Fatal(err)
	}
	s := &job.Spec{Process: job.Process{Script: true, Text: "sleep 1000 &\nsleep 1000\n"},
		Env: env.Table{"PATH=/bin:/usr/bin"}, Attrs: job.Attrs{Console: job.ConsoleNone, Umask: -1}}
	started, err := procs.Spawn(7, s, platform.Streams{Log: -1})
	if err != nil {
		t.Fatal(err)
	}
	if got := procs.Find(7); got != started.PID {
		t.Errorf("found %d, want %d", got, started.PID)
	}
	if got := procs.Find(8); got != 0 {
		t.Errorf("found %d for a token that is not", got)
	}
	procs.Kill(started.PID, job.Signal(unix.SIGKILL), engine.Group)
	for end := time.Now().Add(20 * time.Second); ; {
		if _, err := os.Stat(root + "/7"); os.IsNotExist(err) {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the group of dead processes stays")
		}
		poller.Wait(2 * time.Millisecond)
		procs.Collect(func(engine.Msg) {})
	}
	if got := procs.Find(7); got != 0 {
		t.Errorf("found %d that is dead", got)
	}
}

func TestNoCgroups(t *testing.T) {
	warned := 0
	for _, root := range []string{"/nowhere", t.TempDir()} {
		if c := newCgroups(root, func(string) { warned++ }); c != nil || c.create(1) != -1 || c.find(1) != 0 {
			t.Errorf("%s has groups", root)
		}
	}
	if warned != 2 {
		t.Errorf("%d warnings, want 2", warned)
	}
}
