package platformtest

import (
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onset/platform"
)

// Poller is one under test.
type Poller interface {
	platform.Poller
	Close()
}

// RunPoller runs the suite on pollers from poller.
func RunPoller(t *testing.T, poller func() (Poller, error)) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, platform.Poller)
	}{
		{"level-triggered", pollerIsLevelTriggered},
		{"set", pollerSet},
		{"a hang-up comes unasked", pollerTellsHangupUnasked},
		{"what a callback removes is forgotten", pollerForgetsWhatACallbackRemoves},
		{"wake", pollerWakes},
		{"no regular files", pollerRefusesRegularFiles},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := poller()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.Close)
			c.run(t, p)
		})
	}
}

func newPipe(t *testing.T) (r, w int) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	return fds[0], fds[1]
}

func wait(t *testing.T, p platform.Poller, d time.Duration) {
	t.Helper()
	if err := p.Wait(d); err != nil {
		t.Fatal(err)
	}
}

func pollerIsLevelTriggered(t *testing.T, p platform.Poller) {
	r, w := newPipe(t)
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

func pollerSet(t *testing.T, p platform.Poller) {
	_, w := newPipe(t)
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

func pollerTellsHangupUnasked(t *testing.T, p platform.Poller) {
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
func pollerForgetsWhatACallbackRemoves(t *testing.T, p platform.Poller) {
	r1, w1 := newPipe(t)
	r2, w2 := newPipe(t)
	calls := 0
	replace := func(other, by int) func(platform.Ready) {
		return func(platform.Ready) {
			calls++
			p.Remove(other)
			unix.Dup2(by, other)
			p.Add(other, platform.Readable, func(platform.Ready) { t.Error("the new descriptor is served for the old") })
		}
	}
	empty, _ := newPipe(t)
	p.Add(r1, platform.Readable, replace(r2, empty))
	p.Add(r2, platform.Readable, replace(r1, empty))
	unix.Write(w1, []byte("x"))
	unix.Write(w2, []byte("x"))
	wait(t, p, -1)
	if calls != 1 {
		t.Errorf("%d calls, want 1", calls)
	}
}

func pollerWakes(t *testing.T, p platform.Poller) {
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

func pollerRefusesRegularFiles(t *testing.T, p platform.Poller) {
	f, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := p.Add(int(f.Fd()), platform.Readable, func(platform.Ready) {}); err == nil {
		t.Error("no error")
	}
}
