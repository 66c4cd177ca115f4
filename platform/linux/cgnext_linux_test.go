package linux

import (
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"onset/platform"
)

const readyNow = `echo >$DIR/ready; exec sleep 1000`

// TestReserve has what may happen to the group of the next spawn.
func TestReserve(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	w := newGroupWorld(t)
	for _, c := range []struct {
		name string
		do   func()
	}{
		{"there is none yet", func() {}},
		{"it is used", func() {}},
		{"somebody removed it", func() {
			if err := unix.Rmdir(w.procs.cgroups.path(w.token + 1)); err != nil {
				t.Error(err)
			}
		}},
		{"it is for another", func() { w.token += 5 }},
		{"it is used again", func() {}},
	} {
		c.do()
		foreseen := w.procs.cgroups.next.token == w.token+1
		token, pid := w.spawn(w.spec(readyNow))
		if got := w.procs.cgroups.processes(token); !slices.Equal(got, []int{pid}) {
			t.Errorf("%s: %d in the group, want %d", c.name, got, pid)
		}
		if _, kept := w.procs.cgroups.events[token]; kept && !foreseen {
			t.Errorf("%s: a descriptor is kept of a group that was not foreseen", c.name)
		}
		w.kill(token, pid, unix.SIGKILL)
		if left := w.exited(pid).Left; left != 0 {
			t.Errorf("%s: %d left", c.name, left)
		}
		w.until("its group is gone", func() bool { return !there(w.root + "/" + itoa(int(token))) })
		if len(w.procs.cgroups.events) > 0 {
			t.Errorf("%s: descriptors of groups stay: %v", c.name, w.procs.cgroups.events)
		}
	}
}

// TestReserveFrozen has a process enter a group that was frozen since it was
// made, and not its maker wait for it.
func TestReserveFrozen(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	w := newGroupWorld(t)
	token, pid := w.spawn(w.spec(readyNow))
	if err := put(w.root+"/cgroup.freeze", "1"); err != nil {
		t.Skip("no freezer here: " + err.Error())
	}
	w.until("it is frozen", func() bool {
		text, _ := os.ReadFile(w.root + "/cgroup.events")
		return strings.Contains(string(text), "frozen 1")
	})
	w.token++
	started, err := w.procs.Spawn(w.token, w.spec(readyNow), platform.Streams{Log: -1})
	if err != nil {
		t.Fatal(err)
	}
	w.until("it is in its group", func() bool { return slices.Contains(w.procs.cgroups.processes(w.token), started.PID) })
	if err := put(w.root+"/cgroup.freeze", "0"); err != nil {
		t.Fatal(err)
	}
	w.until("it runs", func() bool { return os.Remove(w.dir+"/ready") == nil })
	w.kill(w.token, started.PID, unix.SIGKILL)
	w.kill(token, pid, unix.SIGKILL)
	w.exited(started.PID)
	w.exited(pid)
}
