package power

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"onset/eventsources"
	"onset/eventsources/msgbus"
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

// sleeper tells of suspends by logind. It belongs to one goroutine, but for
// hear.
type sleeper struct {
	init    eventsources.Init
	timeout time.Duration
	marker  string               // file that is there while a suspend is told
	clock   func() time.Duration // that grows by what the machine sleeps

	mu    sync.Mutex // of owner and heard
	owner string     // logind's name of the connection; empty while there is none
	heard []*dbus.Message
	more  chan struct{} // heard is not empty; capacity 1

	asleep  *asleep          // nil while there is no suspend
	giveUp  <-chan time.Time // when a suspend is over of which nothing is heard
	delay   *os.File         // that holds suspends up; nil if there is none
	faulted bool             // told that something is wrong with the bus or logind
}

// asleep is a suspend that is going on.
type asleep struct {
	method string
	since  time.Duration // by sleeper.clock
}

func newSleeper(init eventsources.Init, timeout time.Duration, run string) *sleeper {
	return &sleeper{init: init, timeout: timeout, marker: filepath.Join(run, markerName), clock: suspend.Clock, more: make(chan struct{}, 1)}
}

// run follows the system bus and logind there, both of which come and go.
func (s *sleeper) run(ctx context.Context) {
	starts := jobStarts(ctx, s.init)
	if s.recall(); s.asleep != nil {
		s.giveUp = time.After(sleepOver)
	}
	client := msgbus.Client{Address: msgbus.System, Signal: s.hear, Serve: func(conn *dbus.Conn) error { return s.serve(ctx, conn) }}
	for ctx.Err() == nil {
		client.Once(ctx)
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
func (s *sleeper) serve(ctx context.Context, conn *dbus.Conn) error {
	s.take() // of the connection before
	rules := map[string]string{
		msgbus.Rule("sender", msgbus.Driver, "interface", msgbus.Driver, "member", "NameOwnerChanged", "arg0", login): "",
		msgbus.Rule("sender", login, "interface", manager, "member", "PrepareForSleep"):                               "",
	}
	for _, err := range msgbus.Rules(conn, nil, rules) {
		s.fault("suspends are not noticed: %v", err)
		return err
	}
	var owner string
	if conn.BusObject().Call(msgbus.Driver+".GetNameOwner", 0, login).Store(&owner) == nil {
		s.attach(ctx, conn, owner)
	}
	for {
		select {
		case <-s.more:
			for _, m := range s.take() {
				s.signal(ctx, conn, m)
			}
		case <-s.giveUp:
			s.over(ctx)
		case <-conn.Context().Done():
			return nil
		}
	}
}

// hear takes a signal. Anybody may send us any.
func (s *sleeper) hear(m *dbus.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sender := msgbus.Text(m, dbus.FieldSender); sender != msgbus.Driver && sender != s.owner {
		return
	}
	s.heard = append(s.heard, m)
	select {
	case s.more <- struct{}{}:
	default:
	}
}

// take returns what was heard.
func (s *sleeper) take() (heard []*dbus.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	heard, s.heard = s.heard, nil
	return heard
}

// signal takes one of the bus or of logind, who may have gone since.
func (s *sleeper) signal(ctx context.Context, conn *dbus.Conn, m *dbus.Message) {
	sender := msgbus.Text(m, dbus.FieldSender)
	switch member := msgbus.Text(m, dbus.FieldMember); {
	case member == "NameOwnerChanged" && sender == msgbus.Driver:
		var name, old, owner string
		if dbus.Store(m.Body, &name, &old, &owner) != nil || name != login {
			return
		}
		if s.detach(); owner != "" {
			s.attach(ctx, conn, owner)
		}
	case member == "PrepareForSleep" && sender == s.owner:
		var begins bool
		if dbus.Store(m.Body, &begins) != nil {
			return
		}
		if begins {
			s.begin(ctx, conn)
			return
		}
		s.over(ctx)
		s.inhibit(ctx)
	}
}

// attach begins with a logind that is there: suspends wait for us from now on.
func (s *sleeper) attach(ctx context.Context, conn *dbus.Conn, owner string) {
	s.setOwner(owner)
	s.giveUp = nil
	s.inhibit(ctx)
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
	s.setOwner("")
	s.release()
}

func (s *sleeper) setOwner(owner string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owner = owner
}

// inhibit has the next suspend wait for us.
func (s *sleeper) inhibit(ctx context.Context) {
	s.release()
	file, err := inhibitor(ctx)
	if err != nil {
		s.fault("suspends do not wait for jobs: %v", err)
		return
	}
	s.delay, s.faulted = file, false
}

// inhibitor asks logind for what delays suspends. The connection for that lasts
// no longer: it is the one on which anybody could send us descriptors.
func inhibitor(ctx context.Context) (*os.File, error) {
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	var fd dbus.UnixFD
	err = conn.Object(login, loginPath).Call(manager+".Inhibit", 0, "sleep", "Onset", "Jobs get ready", "delay").Store(&fd)
	if err != nil {
		return nil, err
	}
	unix.CloseOnExec(int(fd))
	return os.NewFile(uintptr(fd), "inhibitor"), nil
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
