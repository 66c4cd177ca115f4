package power

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/prop"
	"golang.org/x/sys/unix"

	"onset/eventsources"
	"onset/eventsources/sourcetest"
)

func jobStarted(init *sourcetest.Recorder) {
	init.Signal(eventsources.Signal{Kind: eventsources.EventEmitted, Name: "started"})
}

// fakeLogin is as much of logind as a suspend takes, with its handshake: what
// Inhibit returns is the one end of a pipe, and a suspend waits until nobody
// has it any more.
type fakeLogin struct {
	t     *testing.T
	conn  *dbus.Conn
	props *prop.Properties
	taken chan *os.File // the other ends
	deny  atomic.Bool
}

// newLogin is logind on a bus, whose InhibitDelayMaxUSec is that.
func newLogin(t *testing.T, bus *sourcetest.Bus, most time.Duration, sleeping bool) *fakeLogin {
	t.Helper()
	l := &fakeLogin{t: t, conn: bus.Connect(), taken: make(chan *os.File, 16)}
	var err error
	l.props, err = prop.Export(l.conn, loginPath, prop.Map{manager: {
		"InhibitDelayMaxUSec": {Value: uint64(most / time.Microsecond)},
		"PreparingForSleep":   {Value: sleeping},
	}})
	if err == nil {
		err = l.conn.Export(l, loginPath, manager)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.conn.RequestName(login, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	return l
}

// Inhibit is logind's method. It sends the answer itself, to close its copy of
// the descriptor after that, and does not return.
func (l *fakeLogin) Inhibit(call dbus.Message, what, who, why, mode string) (dbus.UnixFD, *dbus.Error) {
	if what != "sleep" || mode != "delay" || who == "" || why == "" {
		l.t.Errorf("asked for %q by %q, %q, %q", what, who, why, mode)
	}
	if l.deny.Load() {
		return 0, dbus.NewError("org.freedesktop.DBus.Error.AccessDenied", []any{"no"})
	}
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		l.t.Error(err)
	}
	fd := dbus.UnixFD(ends[1])
	l.conn.Send(&dbus.Message{Type: dbus.TypeMethodReply, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldDestination: call.Headers[dbus.FieldSender], dbus.FieldReplySerial: dbus.MakeVariant(call.Serial()),
		dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(fd))}, Body: []any{fd}}, nil)
	unix.Close(ends[1])
	l.taken <- os.NewFile(uintptr(ends[0]), "inhibitor")
	select {}
}

// prepare is the signal PrepareForSleep.
func (l *fakeLogin) prepare(begins bool) {
	l.t.Helper()
	l.props.SetMust(manager, "PreparingForSleep", begins)
	if err := l.conn.Emit(loginPath, manager+".PrepareForSleep", begins); err != nil {
		l.t.Fatal(err)
	}
}

// inhibitor is the one that the source has taken.
func (l *fakeLogin) inhibitor() *os.File {
	l.t.Helper()
	select {
	case f := <-l.taken:
		l.t.Cleanup(func() { f.Close() })
		return f
	case <-time.After(sourcetest.Patience):
		l.t.Fatal("no inhibitor is taken")
		return nil
	}
}

// released waits until nobody holds the suspend up.
func released(t *testing.T, inhibitor *os.File) {
	t.Helper()
	inhibitor.SetReadDeadline(time.Now().Add(sourcetest.Patience))
	if n, err := inhibitor.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the suspend is held up: %v", err)
	}
}

// slow is an init whose jobs get ready when they are let, or fail.
type slow struct {
	sourcetest.Recorder
	ready chan error
}

func (s *slow) EmitWait(ctx context.Context, e eventsources.Event) error {
	s.Recorder.EmitWait(ctx, e)
	select {
	case err := <-s.ready:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sleeps runs a sleeper on a bus, whose machine sleeps 90 seconds each time.
func sleeps(t *testing.T, bus *sourcetest.Bus, init eventsources.Init, timeout time.Duration, dir string) (end func()) {
	t.Helper()
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.Address)
	ctx, cancel := context.WithCancel(context.Background())
	s := newSleeper(init, timeout, dir)
	var now time.Duration
	s.clock = func() time.Duration { now += 90 * time.Second; return now }
	done := make(chan struct{})
	go func() { defer close(done); s.run(ctx) }()
	end = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(end)
	return end
}

const (
	suspending = "wait suspending METHOD=suspend"
	resumed    = "emit resumed METHOD=suspend SLEPT=90"
)

func TestSuspendWaitsForJobs(t *testing.T) {
	bus := sourcetest.NewBus(t)
	l, init := newLogin(t, bus, time.Minute, false), &slow{ready: make(chan error)}
	sleeps(t, bus, init, time.Minute, t.TempDir())
	for range 2 {
		inhibitor := l.inhibitor()
		l.prepare(true)
		await(t, &init.Recorder, suspending)
		inhibitor.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if _, err := inhibitor.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the suspend did not wait: %v", err)
		}
		init.ready <- nil
		released(t, inhibitor)
		l.prepare(false)
		equal(t, await(t, &init.Recorder, resumed), resumed)
	}
	l.inhibitor()
}

// TestSuspendGoesOn has jobs that fail, and that are not ready in time, be it
// ours or logind's.
func TestSuspendGoesOn(t *testing.T) {
	for name, c := range map[string]struct {
		timeout, most time.Duration
		fail          error
		told          string
	}{
		"failed":        {time.Minute, time.Minute, errors.New("job failed"), "log the suspend goes on after an error: job failed"},
		"our time":      {50 * time.Millisecond, time.Minute, nil, "log jobs are not ready after 50ms, and the suspend goes on"},
		"logind's time": {time.Minute, 50 * time.Millisecond, nil, "log jobs are not ready after 50ms, and the suspend goes on"},
	} {
		t.Run(name, func(t *testing.T) {
			bus := sourcetest.NewBus(t)
			l, init := newLogin(t, bus, c.most, false), &slow{ready: make(chan error)}
			sleeps(t, bus, init, c.timeout, t.TempDir())
			inhibitor := l.inhibitor()
			l.prepare(true)
			if c.fail != nil {
				init.ready <- c.fail
			}
			released(t, inhibitor)
			l.prepare(false)
			equal(t, await(t, &init.Recorder, resumed), suspending, c.told, resumed)
		})
	}
}

// TestLostDuringTheSleep takes away logind, or the whole bus, between the two
// signals.
func TestLostDuringTheSleep(t *testing.T) {
	for name, lose := range map[string]func(*sourcetest.Bus, *fakeLogin){
		"logind": func(_ *sourcetest.Bus, l *fakeLogin) { l.conn.Close() },
		"bus":    func(b *sourcetest.Bus, _ *fakeLogin) { b.Stop(); b.Start() },
	} {
		t.Run(name, func(t *testing.T) {
			bus, init := sourcetest.NewBus(t), &sourcetest.Recorder{}
			l := newLogin(t, bus, time.Minute, false)
			sleeps(t, bus, init, time.Minute, t.TempDir())
			inhibitor := l.inhibitor()
			l.prepare(true)
			released(t, inhibitor)
			lose(bus, l)
			l = newLogin(t, bus, time.Minute, true) // that is back while it suspends
			for end := time.Now().Add(sourcetest.Patience); len(l.taken) == 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
				jobStarted(init)
			}
			l.inhibitor()
			l.prepare(false)
			equal(t, await(t, init, resumed), suspending, resumed)
		})
	}
}

// TestKilledDuringTheSleep has a next run tell of the end of a suspend that
// the one before it began to tell of.
func TestKilledDuringTheSleep(t *testing.T) {
	bus, init, dir := sourcetest.NewBus(t), &slow{ready: make(chan error)}, t.TempDir()
	l := newLogin(t, bus, time.Minute, false)
	end := sleeps(t, bus, init, time.Minute, dir)
	l.inhibitor()
	l.prepare(true)
	await(t, &init.Recorder, suspending)
	end()
	l.props.SetMust(manager, "PreparingForSleep", false)
	next := &sourcetest.Recorder{}
	sleeps(t, bus, next, time.Minute, dir)
	lines := await(t, next, "emit resumed METHOD=suspend SLEPT=0")
	equal(t, lines, "emit resumed METHOD=suspend SLEPT=0")
	if _, err := os.Stat(dir + "/" + markerName); !os.IsNotExist(err) {
		t.Errorf("the mark of the suspend is there: %v", err)
	}
}

// TestOddSignals has other programs send what logind would.
func TestOddSignals(t *testing.T) {
	bus, init := sourcetest.NewBus(t), &sourcetest.Recorder{}
	l := newLogin(t, bus, time.Minute, false)
	sleeps(t, bus, init, time.Minute, t.TempDir())
	l.inhibitor()
	stranger := bus.Connect()
	stranger.Emit(loginPath, manager+".PrepareForSleep", true)
	for _, name := range names(t, stranger) { // to everybody in person
		m := &dbus.Message{Type: dbus.TypeSignal, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldDestination: dbus.MakeVariant(name), dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath(loginPath)),
			dbus.FieldInterface: dbus.MakeVariant(manager), dbus.FieldMember: dbus.MakeVariant("PrepareForSleep"),
			dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(true))}, Body: []any{true}}
		stranger.Send(m, nil)
	}
	stranger.Emit("/x", "org.freedesktop.DBus.NameOwnerChanged", login, "", "")
	names(t, stranger) // all of it is through
	l.conn.Emit(loginPath, manager+".PrepareForSleep", "yes")
	l.conn.Emit(loginPath, manager+".PrepareForSleep")
	l.prepare(true)
	equal(t, await(t, init, suspending), suspending)
}

func names(t *testing.T, conn *dbus.Conn) (list []string) {
	t.Helper()
	if err := conn.BusObject().Call("org.freedesktop.DBus.ListNames", 0).Store(&list); err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(list, func(n string) bool { return !strings.HasPrefix(n, ":") })
}

// TestInhibitorIsRefused wants the events all the same.
func TestInhibitorIsRefused(t *testing.T) {
	bus, init := sourcetest.NewBus(t), &sourcetest.Recorder{}
	l := newLogin(t, bus, time.Minute, false)
	l.deny.Store(true)
	sleeps(t, bus, init, time.Minute, t.TempDir())
	await(t, init, "log suspends do not wait for jobs: no")
	l.prepare(true)
	l.prepare(false)
	equal(t, await(t, init, resumed), suspending, resumed)
}

func TestMarkerIsRubbish(t *testing.T) {
	for _, text := range []string{"", "suspend", "suspend x", "\x00", "walk 3", fmt.Sprint("suspend ", 1<<62, "0")} {
		dir := t.TempDir()
		s := newSleeper(&sourcetest.Recorder{}, time.Second, dir)
		if err := os.MkdirAll(dir+"/onset", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(s.marker, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if s.recall(); s.asleep != nil {
			t.Errorf("%q: %+v", text, s.asleep)
		}
	}
}
