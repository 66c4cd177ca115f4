package linux

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/platform"
)

// TestEndsAreToldTogetherAndReapedByTheNextCollect has a few processes end: all
// are told by one Collect and stay zombies, for a crash before these ends are in
// the log, until the next.
func TestEndsAreToldTogetherAndReapedByTheNextCollect(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	l := newLab(t, "")
	var pids []int
	for token := range uint64(4) {
		started, err := l.procs.Spawn(token+1, l.spec("/bin/true", nil), platform.Streams{Log: -1})
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, started.PID)
	}
	for _, pid := range pids {
		for unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
		}
	}
	dead := func() (zombies []int) {
		for _, pid := range pids {
			if _, ok := waitChild(pid, unix.WEXITED|unix.WNOWAIT); ok {
				zombies = append(zombies, pid)
			}
		}
		return zombies
	}
	var told []int
	collect := func() bool {
		return l.procs.Collect(func(m engine.Msg) {
			if e, ok := m.(engine.Exited); ok {
				told = append(told, e.PID)
			}
		})
	}
	if more := collect(); !slices.Equal(told, pids) || !more {
		t.Errorf("told %v, and that more is to come: %t; want the ends of %v", told, more, pids)
	}
	if got := dead(); !slices.Equal(got, pids) {
		t.Errorf("of %v only %v are zombies before the next Collect", pids, got)
	}
	if more := collect(); len(told) != len(pids) || more {
		t.Errorf("told %v, more %t, where nothing is new", told, more)
	}
	if got := dead(); got != nil {
		t.Errorf("%v are not reaped", got)
	}
}
