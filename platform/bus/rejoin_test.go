package bus

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"onset/core/control"
)

// joined waits until the server is on a bus.
func (w *world) joined(is bool) {
	w.t.Helper()
	eventually(w.t, "the bus comes or goes", func() (joined bool) {
		w.within(func() { joined = w.bus != nil && w.bus.named })
		return joined == is
	})
}

// A bus that is not there at first, in a directory that is not, goes away and
// comes back; the clock stands still, so that only the notice helps.
func TestBusComesAndGoes(t *testing.T) {
	daemon := program(t, "dbus-daemon")
	w := newWorld(t, func(w *world) {
		w.o.Now = func() time.Duration { return w.shift }
		w.answer = func(who control.Caller, call control.Call) *control.Reply {
			if call.Wait {
				return nil
			}
			return echo(who, call)
		}
	})
	dir := filepath.Join(t.TempDir(), "run", "dbus")
	if err := w.join("unix:path="+filepath.Join(dir, "bus"), func() {}); err == nil {
		t.Fatal("there is no bus")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		address, stop := runBus(t, daemon, dir, freeBus)
		w.tickUntilJoined()
		_, init := w.onBus(address)
		deferred := init.Go("com.ubuntu.Upstart0_6.EmitEvent", 0, nil, "e", []string{}, true)
		var path dbus.ObjectPath
		if err := init.Call("com.ubuntu.Upstart0_6.GetJobByName", 0, "foo-bar").Store(&path); err != nil || path == "" {
			t.Fatal(path, err)
		}
		calls := w.handled()
		first := calls[len(calls)-2]
		w.within(func() { w.Respond(first.ID, first.Conn, control.Reply{}) })
		if err := (<-deferred.Done).Err; err != nil {
			t.Error(err)
		}
		stop()
		w.joined(false)
	}
	w.mu.Lock()
	log := strings.Join(w.log, "\n")
	w.mu.Unlock()
	for text, want := range map[string]int{"Connected to D-Bus system bus": 3, "Connected to D-Bus system bus again": 2,
		"Disconnected from D-Bus system bus": 3} {
		if got := strings.Count(log, text); got != want {
			t.Errorf("%s: %d times: %s", text, got, log)
		}
	}
}

// tickUntilJoined lets little time pass: less than the first pause.
func (w *world) tickUntilJoined() {
	w.t.Helper()
	var start time.Duration
	w.within(func() { start = w.shift })
	eventually(w.t, "the bus is joined", func() (joined bool) {
		w.within(func() {
			joined = w.bus != nil && w.bus.named
			if w.shift-start < firstRejoin-soonRejoin {
				w.shift += soonRejoin / 10
			}
		})
		return joined
	})
}

// What is told while init connects, as Restarted is after a re-execution,
// reaches the bus when init has its name there.
func TestSignalsBeforeTheName(t *testing.T) {
	address, _ := startBus(t)
	w := newWorld(t, nil)
	c, _ := w.onBus(address)
	if err := c.AddMatchSignal(dbus.WithMatchSender("com.ubuntu.Upstart")); err != nil {
		t.Fatal(err)
	}
	signals := make(chan *dbus.Signal, 10)
	c.Signal(signals)
	done := make(chan error, 1)
	w.within(func() {
		w.ConnectBus(Bus{Address: address, Label: "bus", Name: "com.ubuntu.Upstart", Done: func(err error) { done <- err }})
		w.Publish(control.Restarted())
		w.Publish(control.Restarted())
	})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for range 2 {
		select {
		case s := <-signals:
			if s.Name != "com.ubuntu.Upstart0_6.Restarted" {
				t.Errorf("got %s", s.Name)
			}
		case <-time.After(3 * time.Minute):
			t.Fatal("it was lost")
		}
	}
}

// Without a bus the attempts become few.
func TestPausesBetweenAttempts(t *testing.T) {
	now := time.Duration(0)
	s := NewServer(&pollPoller{watches: map[int]*watch{}}, nil, Options{Now: func() time.Duration { return now }})
	s.ConnectBus(Bus{Address: "unix:path=" + filepath.Join(t.TempDir(), "none"), Done: func(error) {}})
	var pauses []time.Duration
	for range 8 {
		at, ok := s.Deadline()
		if !ok {
			t.Fatal("it has given up")
		}
		pauses = append(pauses, (at-now)/time.Second)
		now = at
		s.Tick(now)
	}
	if want := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60}; !slices.Equal(pauses, want) {
		t.Errorf("got %d, want %d", pauses, want)
	}
	if len(s.rejoin.spots) != 1 {
		t.Errorf("%d places are watched", len(s.rejoin.spots))
	}
	s.Close()
	if _, ok := s.Deadline(); ok || len(s.poller.(*pollPoller).watches) > 0 {
		t.Error("it goes on")
	}
}

// A connection to the bus that is lost, as in a crash of init, leaves callers
// with the bus's own answer, and is made again after the first pause.
func TestBusAnswersForWhoIsGone(t *testing.T) {
	address, _ := startBus(t)
	w := newWorld(t, func(w *world) {
		w.answer = func(control.Caller, control.Call) *control.Reply { return nil }
	})
	if err := w.join(address, func() {}); err != nil {
		t.Fatal(err)
	}
	_, init := w.onBus(address)
	waiting := init.Go("com.ubuntu.Upstart0_6.EmitEvent", 0, nil, "e", []string{}, true)
	eventually(t, "the call is there", func() bool { return len(w.handled()) == 1 })
	w.within(func() { w.bus.stream.fail(io.EOF) })
	var e dbus.Error
	if err := (<-waiting.Done).Err; !errors.As(err, &e) || e.Name != "org.freedesktop.DBus.Error.NoReply" {
		t.Errorf("got %v", err)
	}
	w.within(func() { w.shift += firstRejoin })
	w.joined(true)
}
