package power

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"onset/eventsources"
	"onset/platform/suspend"
)

// What logind and elogind are on the bus (org.freedesktop.login1(5)).
const (
	login      = "org.freedesktop.login1"
	loginPath  = "/org/freedesktop/login1"
	manager    = login + ".Manager"
	sleepOver  = 30 * time.Second // without logind, after which a suspend is over
	busPause   = 30 * time.Second // between attempts, if no job starts meanwhile
	markerName = "onset/suspending"
)

// sleeper tells of suspends by logind. It belongs to one goroutine.
type sleeper struct {
	init    eventsources.Init
	timeout time.Duration
	marker  string               // file that is there while a suspend is told
	clock   func() time.Duration // that grows by what the machine sleeps

	asleep  *asleep          // nil while there is no suspend
	giveUp  <-chan time.Time // when a suspend is over of which nothing is heard
	owner   string           // logind's name of the connection; empty while there is none
	delay   *os.File         // that holds suspends up; nil if there is none
	faulted bool             // told that something is wrong with the bus or logind
}

// asleep is a suspend that is going on.
type asleep struct {
	method string
	since  time.Duration // by sleeper.clock
}

func newSleeper(init eventsources.Init, timeout time.Duration, run string) *sleeper {
	return &sleeper{init: init, timeout: timeout, marker: filepath.Join(run, markerName), clock: suspend.Clock}
}

// run follows the system bus and logind there, both of which come and go.
func (s *sleeper) run(ctx context.Context) {
	starts := jobStarts(ctx, s.init)
	if s.recall(); s.asleep != nil {
		s.giveUp = time.After(sleepOver)
	}
	for ctx.Err() == nil {
		if conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx)); err == nil {
			s.serve(ctx, conn)
			conn.Close()
		}
		s.detach()
		select {
		case <-s.giveUp:
			s.over(ctx)
		case <-starts:
		case <-time.After(busPause):
		case <-ctx.Done():
		}
	}
}

// serve follows logind until the connection is lost.
func (s *sleeper) serve(ctx context.Context, conn *dbus.Conn) {
	signals := make(chan *dbus.Signal, 16)
	conn.Signal(signals)
	bus := conn.BusObject()
	err := errors.Join(
		conn.AddMatchSignal(dbus.WithMatchSender(bus.Destination()), dbus.WithMatchInterface(bus.Destination()),
			dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, login)),
		conn.AddMatchSignal(dbus.WithMatchSender(login), dbus.WithMatchInterface(manager), dbus.WithMatchMember("PrepareForSleep")))
	if err != nil {
		s.fault("suspends are not noticed: %v", err)
		return
	}
	var owner string
	if bus.Call(bus.Destination()+".GetNameOwner", 0, login).Store(&owner) == nil {
		s.attach(ctx, conn, owner)
	}
	for {
		select {
		case m, ok := <-signals:
			if !ok {
				return
			}
			s.signal(ctx, conn, m)
		case <-s.giveUp:
			s.over(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// signal takes one from the bus. Anybody may send us any.
func (s *sleeper) signal(ctx context.Context, conn *dbus.Conn, m *dbus.Signal) {
	switch {
	case m.Name == conn.BusObject().Destination()+".NameOwnerChanged" && m.Sender == conn.BusObject().Destination():
		var name, old, owner string
		if dbus.Store(m.Body, &name, &old, &owner) != nil || name != login {
			return
		}
		if s.detach(); owner != "" {
			s.attach(ctx, conn, owner)
		}
	case m.Name == manager+".PrepareForSleep" && m.Sender == s.owner:
		var begins bool
		if dbus.Store(m.Body, &begins) != nil {
			return
		}
		if begins {
			s.begin(ctx, conn)
			return
		}
		s.over(ctx)
		s.inhibit(conn)
	}
}

// attach begins with a logind that is there: suspends wait for us from now on.
func (s *sleeper) attach(ctx context.Context, conn *dbus.Conn, owner string) {
	s.owner, s.giveUp = owner, nil
	s.inhibit(conn)
	switch going, err := conn.Object(login, loginPath).GetProperty(manager + ".PreparingForSleep"); {
	case err == nil && going.Value() == true:
		s.begin(ctx, conn)
	default:
		s.over(ctx)
	}
}

// detach ends with a logind that is gone. A suspend that it began may still
// come.
func (s *sleeper) detach() {
	if s.owner != "" && s.asleep != nil {
		s.giveUp = time.After(sleepOver)
	}
	s.owner = ""
	s.release()
}

// inhibit has the next suspend wait for us.
func (s *sleeper) inhibit(conn *dbus.Conn) {
	s.release()
	var fd dbus.UnixFD
	err := conn.Object(login, loginPath).Call(manager+".Inhibit", 0, "sleep", "Onset", "Jobs get ready", "delay").Store(&fd)
	if err == nil {
		s.delay, s.faulted = os.NewFile(uintptr(fd), "inhibitor"), false
		unix.CloseOnExec(int(fd))
		return
	}
	s.fault("suspends do not wait for jobs: %v", err)
}

// fault tells of what lasts, once.
func (s *sleeper) fault(format string, args ...any) {
	if !s.faulted {
		s.init.Logf(format, args...)
	}
	s.faulted = true
}

func (s *sleeper) release() {
	if s.delay != nil {
		s.delay.Close()
		s.delay = nil
	}
}

// begin tells of a suspend, and lets it go on when jobs are ready or have had
// their time. Logind does not tell which kind it is.
func (s *sleeper) begin(ctx context.Context, conn *dbus.Conn) {
	defer s.release()
	if s.asleep != nil {
		return
	}
	s.asleep = &asleep{"suspend", s.clock()}
	s.remember()
	timeout := s.timeout
	if most, err := conn.Object(login, loginPath).GetProperty(manager + ".InhibitDelayMaxUSec"); err == nil {
		if usec, ok := most.Value().(uint64); ok && usec > 0 {
			timeout = min(timeout, time.Duration(usec)*time.Microsecond)
		}
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := s.init.EmitWait(limited, eventsources.Event{Name: "suspending", Env: []string{"METHOD=" + s.asleep.method}})
	switch {
	case ctx.Err() != nil || err == nil:
	case limited.Err() != nil:
		s.init.Logf("jobs are not ready after %v, and the suspend goes on", timeout)
	default:
		s.init.Logf("the suspend goes on after an error: %v", err)
	}
}

// over tells of the end of a suspend, if there is one.
func (s *sleeper) over(ctx context.Context) {
	s.giveUp = nil
	if s.asleep == nil {
		return
	}
	slept := s.clock() - s.asleep.since
	err := s.init.Emit(ctx, eventsources.Event{Name: "resumed", Env: []string{"METHOD=" + s.asleep.method, suspend.Slept(slept)}})
	if ctx.Err() != nil {
		return // the next run tells
	}
	if err != nil {
		s.init.Logf("cannot tell of the end of a suspend: %v", err)
	}
	s.asleep = nil
	os.Remove(s.marker)
}

// remember writes down that a suspend is told, for a run after this one.
func (s *sleeper) remember() {
	err := os.MkdirAll(filepath.Dir(s.marker), 0o755)
	if err == nil {
		err = os.WriteFile(s.marker, fmt.Appendf(nil, "%s %d\n", s.asleep.method, s.asleep.since), 0o644)
	}
	if err != nil {
		s.init.Logf("the end of this suspend will not be told should this process die: %v", err)
	}
}

// recall reads what a run has left that died during a suspend.
func (s *sleeper) recall() {
	b, err := os.ReadFile(s.marker)
	if err != nil {
		return
	}
	method, since, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
	n, err := strconv.ParseInt(since, 10, 64)
	if err != nil || method != "suspend" {
		os.Remove(s.marker)
		return
	}
	s.asleep = &asleep{method, time.Duration(n)}
}
