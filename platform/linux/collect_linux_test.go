package linux

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/job"
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

// TestEndsUpToOneThatIsStopped has a process end while the one that was started
// next is stopped for its tracer: that goes on, and its end is told with its heir.
func TestEndsUpToOneThatIsStopped(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	l := newLab(t, "")
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	first, reason := l.start(l.spec("sh -c 'read x <"+fifo+"'", nil))
	forking := l.spec("read x <"+fifo+"\nsleep 1000 &\nexit 0", nil)
	forking.Process.Script, forking.Expect.Kind = true, job.ExpectFork
	next, why := l.start(forking)
	if reason != "" || why != "" {
		t.Fatal(reason, why)
	}
	writer, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	for end := time.Now().Add(3 * time.Minute); statusWord(first, "State")[0] != 'Z' || statusWord(next, "State")[0] != 't'; time.Sleep(time.Millisecond) {
		unix.Write(int(writer.Fd()), []byte("\n"))
		if time.Now().After(end) {
			t.Fatalf("the first is %s, the next %s", statusWord(first, "State"), statusWord(next, "State"))
		}
	}
	unix.Write(int(writer.Fd()), []byte("\n")) // it may be stopped for what came before it read
	if status := l.ended(next); status != 0 {
		t.Errorf("the next ended with %v", status)
	}
	heir := 0
	for _, m := range l.told {
		if e, ok := m.(engine.Exited); ok && e.PID == next {
			heir = e.Heir
		}
	}
	if unix.Kill(heir, unix.SIGKILL); heir == 0 {
		t.Error("it left nobody to follow")
	}
}
