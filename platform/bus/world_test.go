package bus

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"onset/core/control"
	"onset/platform"
)

// patience is how long a test waits for what must happen.
const patience = 3 * time.Minute

// pollPoller is a Poller on poll(2).
type pollPoller struct {
	watches map[int]*watch
	wake    [2]int
}

type watch struct {
	want  platform.Ready
	ready func(platform.Ready)
}

func newPoller(t testing.TB) *pollPoller {
	p := &pollPoller{watches: map[int]*watch{}}
	if err := unix.Pipe2(p.wake[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *pollPoller) Add(fd int, want platform.Ready, ready func(platform.Ready)) error {
	if p.watches[fd] != nil {
		return unix.EEXIST
	}
	p.watches[fd] = &watch{want, ready}
	return nil
}

func (p *pollPoller) Set(fd int, want platform.Ready) error {
	if p.watches[fd] == nil {
		return unix.ENOENT
	}
	p.watches[fd].want = want
	return nil
}

func (p *pollPoller) Remove(fd int) { delete(p.watches, fd) }

func (p *pollPoller) Wake() { unix.Write(p.wake[1], []byte{0}) }

func (p *pollPoller) Wait(timeout time.Duration) error {
	fds := []unix.PollFd{{Fd: int32(p.wake[0]), Events: unix.POLLIN}}
	for fd, w := range p.watches {
		f := unix.PollFd{Fd: int32(fd)}
		if w.want&platform.Readable != 0 {
			f.Events |= unix.POLLIN
		}
		if w.want&platform.Writable != 0 {
			f.Events |= unix.POLLOUT
		}
		fds = append(fds, f)
	}
	if _, err := unix.Poll(fds, int(timeout.Milliseconds())); err != nil && err != unix.EINTR {
		return err
	}
	if fds[0].Revents != 0 {
		var b [64]byte
		unix.Read(p.wake[0], b[:])
	}
	for _, f := range fds[1:] {
		var r platform.Ready
		if f.Revents&unix.POLLIN != 0 {
			r |= platform.Readable
		}
		if f.Revents&unix.POLLOUT != 0 {
			r |= platform.Writable
		}
		if f.Revents&(unix.POLLHUP|unix.POLLERR) != 0 {
			r |= platform.Hangup
		}
		if w := p.watches[int(f.Fd)]; r != 0 && w != nil {
			w.ready(r)
		}
	}
	return nil
}

// world is a server on a goroutine of its own, with an engine of a few lines.
type world struct {
	*Server
	t       testing.TB
	poll    *pollPoller
	address string
	do      chan func()
	ended   chan struct{}

	// The server's goroutine owns these.
	calls  []asked
	answer func(control.Caller, control.Call) *control.Reply
	shift  time.Duration // added to the clock
	forget bool          // keep no list of the calls seen

	mu      sync.Mutex
	log     []string
	hangups []uint64
	seen    []asked
}

type asked struct {
	control.Caller
	control.Call
}

func (w *world) Call(who control.Caller, call control.Call) {
	w.calls = append(w.calls, asked{who, call})
}

func (w *world) Hangup(conn uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hangups = append(w.hangups, conn)
}

func (w *world) logf(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, fmt.Sprintf(format, args...))
}

// wantLog waits for a line of the log that has the text.
func (w *world) wantLog(text string) {
	w.t.Helper()
	eventually(w.t, "log of "+text, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return strings.Contains(strings.Join(w.log, "\n"), text)
	})
}

// handled returns the calls so far.
func (w *world) handled() []asked {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]asked(nil), w.seen...)
}

// echo answers as an init with two jobs would.
func echo(_ control.Caller, call control.Call) *control.Reply {
	ok := func(values ...any) *control.Reply { return &control.Reply{Values: values} }
	class := control.ClassObject("", "foo-bar")
	switch call.Method {
	case control.GetAllJobs:
		return ok([]control.ObjectPath{class.Path(), control.ClassObject("", "a").Path()})
	case control.GetJobByName:
		if call.Name != "foo-bar" {
			return &control.Reply{Err: control.UnknownJob(call.Name)}
		}
		return ok(class.Path())
	case control.ObjectIntrospect:
		return ok(control.Introspect(call.Target, []string{"jobs"}))
	case control.PropertyGet:
		if call.Name == "processes" {
			return ok([]control.ProcessInfo{{Name: "main", PID: 7}})
		}
		return ok("init (upstart 1.13.2)")
	case control.PropertyGetAll:
		return ok([]control.Property{{Name: "name", Value: "x\xff"}, {Name: "processes", Value: []control.ProcessInfo{{Name: "main", PID: 7}}}})
	case control.GetFacts:
		return ok([]control.FactInfo{{Name: "f", Env: []string{"A=1"}, Owner: "o"}})
	case control.GetState:
		return ok(strings.Repeat("x", 1<<20))
	case control.ListEnv:
		return ok([]string{"A=1", "B=\xff"})
	case control.JobStart:
		if call.Wait {
			return nil
		}
		return ok(control.InstanceObject("", "foo-bar", "").Path())
	}
	return ok()
}

// newWorld starts a server; change may change it before it runs.
func newWorld(t testing.TB, change func(*world)) *world {
	start := time.Now()
	w := &world{t: t, poll: newPoller(t), do: make(chan func(), 1), ended: make(chan struct{}), answer: echo,
		address: "unix:path=" + filepath.Join(t.TempDir(), "socket")}
	w.Server = NewServer(w.poll, w, Options{UID: os.Geteuid(), Logf: w.logf, Infof: w.logf, Debugf: w.logf,
		Now: func() time.Duration { return time.Since(start) + w.shift }})
	if change != nil {
		change(w)
	}
	if err := w.Listen(w.address); err != nil {
		t.Fatal(err)
	}
	go w.run()
	t.Cleanup(func() {
		w.within(w.Server.Close)
		close(w.do)
		w.poll.Wake()
		<-w.ended
	})
	return w
}

func (w *world) run() {
	defer close(w.ended)
	for {
		w.Flush()
		w.Taken()
		timeout := time.Duration(-1)
		if at, ok := w.Deadline(); ok {
			timeout = max(at-w.o.Now(), 0) + time.Millisecond
		}
		if err := w.poll.Wait(timeout); err != nil {
			w.t.Error(err)
			return
		}
		w.Tick(w.o.Now())
		w.settle()
		select {
		case f, ok := <-w.do:
			if !ok {
				return
			}
			f()
			w.settle()
		default:
		}
	}
}

func (w *world) settle() {
	for len(w.calls) > 0 {
		a := w.calls[0]
		w.calls = w.calls[1:]
		if !w.forget {
			w.mu.Lock()
			w.seen = append(w.seen, a)
			w.mu.Unlock()
		}
		if r := w.answer(a.Caller, a.Call); r != nil {
			w.Respond(a.ID, a.Conn, *r)
		}
	}
}

// within runs f on the server's goroutine.
func (w *world) within(f func()) {
	done := make(chan struct{})
	w.do <- func() { f(); close(done) }
	w.poll.Wake()
	<-done
}

// eventually waits until it is true.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// dial returns a godbus client that is through the handshake.
func (w *world) dial(options ...dbus.ConnOption) *dbus.Conn {
	w.t.Helper()
	c, err := dbus.Dial(w.address, options...)
	if err == nil {
		err = c.Auth([]dbus.Auth{dbus.AuthExternal(fmt.Sprint(os.Geteuid()))})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	return c
}

// manager is the manager object for a godbus client.
func manager(c *dbus.Conn) dbus.BusObject { return c.Object("", control.Root) }

// raw returns a connected socket.
func (w *world) raw() int {
	w.t.Helper()
	fd := -1
	eventually(w.t, "room in the backlog", func() (ok bool) {
		var err error
		if fd, err = connect(w.address); err != nil && err != unix.EAGAIN && err != unix.ECONNREFUSED {
			w.t.Fatal(err)
		}
		return err == nil
	})
	if err := unix.SetNonblock(fd, false); err != nil {
		w.t.Fatal(err)
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: int64(patience / time.Second)}); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { unix.Close(fd) })
	return fd
}
