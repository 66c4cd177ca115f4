package linux

import (
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onset/platform"
)

func newPoller(t *testing.T) *Poller {
	t.Helper()
	p, err := NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func pipe(t *testing.T) (r, w int) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	return fds[0], fds[1]
}

func wait(t *testing.T, p *Poller, d time.Duration) {
	t.Helper()
	if err := p.Wait(d); err != nil {
		t.Fatal(err)
	}
}

func TestPollerIsLevelTriggered(t *testing.T) {
	p := newPoller(t)
	r, w := pipe(t)
	var got []platform.Ready
	if err := p.Add(r, platform.Readable, func(x platform.Ready) { got = append(got, x) }); err != nil {
		t.Fatal(err)
	}
	wait(t, p, 0)
	unix.Write(w, []byte("x"))
	wait(t, p, -1)
	wait(t, p, -1)
	if want := []platform.Ready{platform.Readable, platform.Readable}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestPollerSet(t *testing.T) {
	p := newPoller(t)
	_, w := pipe(t)
	calls := 0
	p.Add(w, platform.Writable, func(platform.Ready) { calls++ })
	wait(t, p, -1)
	if err := p.Set(w, 0); err != nil {
		t.Fatal(err)
	}
	wait(t, p, 0)
	if calls != 1 {
		t.Errorf("%d calls, want 1", calls)
	}
}

func TestPollerTellsHangupUnasked(t *testing.T) {
	p := newPoller(t)
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	var got platform.Ready
	p.Add(fds[0], 0, func(x platform.Ready) { got = x })
	unix.Close(fds[1])
	wait(t, p, -1)
	if got != platform.Hangup {
		t.Errorf("got %b, want a hang-up", got)
	}
}

// Two descriptors are ready at once; whichever is served first removes the
// other, closes it and puts a new one in its place.
func TestPollerForgetsWhatACallbackRemoves(t *testing.T) {
	p := newPoller(t)
	r1, w1 := pipe(t)
	r2, w2 := pipe(t)
	calls := 0
	replace := func(other, by int) func(platform.Ready) {
		return func(platform.Ready) {
			calls++
			p.Remove(other)
			unix.Dup3(by, other, unix.O_CLOEXEC)
			p.Add(other, platform.Readable, func(platform.Ready) { t.Error("the new descriptor is served for the old") })
		}
	}
	empty, _ := pipe(t)
	p.Add(r1, platform.Readable, replace(r2, empty))
	p.Add(r2, platform.Readable, replace(r1, empty))
	unix.Write(w1, []byte("x"))
	unix.Write(w2, []byte("x"))
	wait(t, p, -1)
	if calls != 1 {
		t.Errorf("%d calls, want 1", calls)
	}
}

func TestPollerWakes(t *testing.T) {
	p := newPoller(t)
	p.Wake()
	p.Wake()
	wait(t, p, -1) // before the wait
	go p.Wake()
	wait(t, p, -1) // during it
	start := time.Now()
	wait(t, p, 20*time.Millisecond)
	if d := time.Since(start); d < 20*time.Millisecond {
		t.Errorf("the time-out took %v, want 20ms", d)
	}
}

func TestPollerRefusesRegularFiles(t *testing.T) {
	p := newPoller(t)
	fd, err := unix.MemfdCreate("x", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := p.Add(fd, platform.Readable, func(platform.Ready) {}); err == nil {
		t.Error("no error")
	}
}

func TestSignals(t *testing.T) {
	for n, name := range map[int]string{6: "ABRT", 17: "CHLD", 29: "IO", 15: "TERM", 31: "SYS"} {
		sig, _ := Signals.Number(name)
		if got, _ := Signals.Name(sig); int(sig) != n || got != name {
			t.Errorf("%s is %d named %s, want %d", name, sig, got, n)
		}
	}
}
