package bus

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"onset/core/control"
	"onset/platform/posix"
)

// Limits of what comes over a message bus.
const (
	maxGuests = 256 // callers known at a time
	maxEarly  = 64  // messages of a caller whose uid is not known yet
)

const (
	systemBus    = "unix:path=/var/run/dbus/system_bus_socket"
	doNotQueue   = uint32(4)
	primaryOwner = uint32(1)
	noOwner      = "org.freedesktop.DBus.Error.NameHasNoOwner"
)

// Bus says which message bus to connect to, and as what.
type Bus struct {
	Address string // empty = the system bus
	Label   string // for the log: D-Bus system bus
	Name    string // to be known by: com.ubuntu.Upstart
	// Done is called once, when init can be reached by its name or the
	// attempt has failed.
	Done func(error)
	// Lost is called when the bus is gone after a Done without error.
	Lost func()
}

// link is a connection to a message bus.
type link struct {
	Bus
	s      *Server
	stream *stream
	lines  int // of the handshake read so far; -1 when messages follow
	named  bool
	done   func(error) // Done until it was called
	due    time.Duration
	calls  map[uint32]func(*incoming) // our own without reply
	guests map[string]*conn           // callers by unique name
	early  []byte                     // signals of before it was named
}

// maxEarlySignals is how many bytes of signals wait for the name. A bus that
// does not come is given up soon.
const maxEarlySignals = 1 << 20

// publish sends a signal, or has it wait until init has its name: listeners
// know it by that, and after a re-execution Restarted comes before.
func (l *link) publish(b []byte) {
	switch {
	case l.named:
		l.stream.queue(b)
	case len(l.early)+len(b) <= maxEarlySignals:
		l.early = append(l.early, b...)
	default:
		l.s.complain("%s: signals left out, it does not answer", l.Label)
	}
}

// ConnectBus connects to a message bus, in the place of an attempt under way.
// A bus that is connected already is kept. From then on the server connects
// by itself whenever that bus comes up, see rejoin.
func (s *Server) ConnectBus(b Bus) {
	if s.bus != nil && s.bus.named {
		b.Done(nil)
		return
	}
	if l := s.bus; l != nil {
		s.bus = nil
		l.stream.fail(errors.New("another connection was asked for"))
	}
	if b.Address == "" {
		b.Address = systemBus
		if own := os.Getenv("DBUS_SYSTEM_BUS_ADDRESS"); own != "" {
			b.Address = own
		}
	}
	s.rejoin.leave()
	s.rejoin = rejoin{s: s, bus: b, delay: firstRejoin}
	s.join(b)
}

// join makes one attempt to connect to a bus.
func (s *Server) join(b Bus) {
	fd, err := connect(b.Address)
	if err != nil {
		s.rejoin.wait()
		b.Done(err)
		return
	}
	l := &link{Bus: b, s: s, done: b.Done, due: s.o.Now() + handshakeTime,
		calls: map[uint32]func(*incoming){}, guests: map[string]*conn{}}
	s.bus = l
	l.stream = &stream{s: s, fd: fd, feed: l.feed, gone: l.gone}
	if err := l.stream.open(); err != nil {
		l.stream.fail(err)
		return
	}
	uid := hex.EncodeToString([]byte(strconv.Itoa(os.Geteuid())))
	l.stream.send([]byte("\x00AUTH EXTERNAL " + uid + "\r\n"))
}

// UpdateActivation tells the bus the environment of the services it starts;
// env has KEY=VALUE entries. Without a bus it does nothing.
func (s *Server) UpdateActivation(env []string) {
	if s.bus == nil || !s.bus.named {
		return
	}
	entries := make([][2]string, len(env))
	for i, e := range env {
		entries[i][0], entries[i][1], _ = strings.Cut(e, "=")
	}
	s.bus.call("UpdateActivationEnvironment", func(m *incoming) {
		if m.kind == errorMessage {
			s.o.Logf("Unable to update the activation environment: %s", errorText(m))
		}
	}, entries)
}

// finish tells the result of the attempt.
func (l *link) finish(err error) {
	if done := l.done; done != nil {
		l.done = nil
		done(err)
	}
}

// gone is the end of the connection.
func (l *link) gone(reason error) {
	if l.s.bus == l {
		l.s.bus = nil
		l.s.rejoin.wait()
	}
	for _, c := range l.guests {
		l.leave(c)
	}
	if l.named {
		l.s.rejoin.lost = true
		l.s.o.Logf("Disconnected from %s", l.Label)
		l.Lost()
	}
	l.finish(reason)
}

// feed takes handshake lines, then whole messages. A message that is too big
// is left out: the bus lets anybody send it, and init must not lose the bus.
func (l *link) feed(b []byte) (n int, err error) {
	for l.lines >= 0 {
		end := bytes.Index(b[n:], []byte("\r\n"))
		if end < 0 {
			if len(b) > maxHandshake {
				err = errTooLong
			}
			return n, err
		}
		if err = l.line(string(b[n : n+end])); err != nil {
			return n, err
		}
		n += end + 2
	}
	for !l.stream.shut {
		size, err := frame(b[n:])
		if err != nil {
			return n, err
		}
		if size > maxMessage {
			l.s.complain("%s: message of %d bytes left out", l.Label, size)
			have := min(size, uint64(len(b)-n))
			l.stream.skip = size - have
			n += int(have)
			continue
		}
		if size == 0 || size > uint64(len(b)-n) {
			return n, nil
		}
		if err := l.message(b[n : n+int(size)]); err != nil {
			l.s.complain("%s: %v", l.Label, err)
		}
		n += int(size)
	}
	return n, nil
}

// line handles an answer of the bus in the handshake.
func (l *link) line(line string) error {
	l.lines++
	switch {
	case l.lines == 1 && strings.HasPrefix(line, "OK "):
		l.stream.send([]byte("NEGOTIATE_UNIX_FD\r\n"))
	case l.lines == 2:
		l.lines = -1
		l.stream.send([]byte("BEGIN\r\n"))
		l.call("Hello", l.welcomed)
	default:
		return fmt.Errorf("the bus answers %q", line)
	}
	return nil
}

func (l *link) welcomed(m *incoming) {
	if m.kind == errorMessage {
		l.stream.fail(errors.New(errorText(m)))
		return
	}
	l.call("RequestName", func(m *incoming) {
		switch {
		case m.kind == errorMessage:
			l.stream.fail(errors.New(errorText(m)))
		case len(m.body) != 1 || m.body[0] != primaryOwner:
			//lint:ignore ST1005 clients know this text
			l.stream.fail(errors.New("Name already taken"))
		default:
			l.named = true
			l.stream.queue(l.early)
			l.early = nil
			l.s.rejoin.joined()
			l.lookForAll()
			l.finish(nil)
		}
	}, l.Name, doNotQueue)
}

// call calls a method of the bus itself.
func (l *link) call(member string, then func(*incoming), args ...any) {
	o := outgoing{kind: callMessage, destination: busName, path: "/org/freedesktop/DBus", iface: busName,
		member: member, body: args, wantsReply: true}
	b, err := l.s.encode(&o)
	if err != nil {
		l.s.complain("%s: %v", l.Label, err)
		return
	}
	l.calls[l.s.serial] = then
	l.stream.send(b)
}

// message handles one whole message.
func (l *link) message(b []byte) error {
	m, files, err := l.stream.decode(b)
	if err != nil {
		return err
	}
	switch m.kind {
	case callMessage:
		return l.called(m, files)
	case signalMessage:
		l.noticed(m)
	default:
		if then := l.calls[m.replyTo]; then != nil && m.sender == busName {
			delete(l.calls, m.replyTo)
			then(m)
		}
	}
	posix.CloseAll(files)
	return nil
}

// noticed hears that a caller is gone, or an awaited name has an owner.
func (l *link) noticed(m *incoming) {
	if m.sender != busName || m.member != "NameOwnerChanged" || len(m.body) != 3 {
		return
	}
	name, _ := m.body[0].(string)
	if m.body[2] != "" {
		l.s.owned(name)
	} else if c := l.guests[name]; c != nil {
		l.leave(c)
	}
}

// called takes a request of somebody on the bus.
func (l *link) called(r *incoming, files []int) error {
	c := l.guests[r.sender]
	if c == nil {
		if len(l.guests) >= maxGuests && !l.evict() {
			posix.CloseAll(files)
			stranger := &conn{s: l.s, stream: l.stream, guestOf: l, name: r.sender}
			return stranger.refuse(r)
		}
		c = l.meet(r.sender)
	}
	if c.early == nil {
		return c.serve(r, files)
	}
	if len(c.early) >= maxEarly {
		posix.CloseAll(files)
		return c.refuse(r)
	}
	c.early = append(c.early, earlyRequest{r, files})
	return nil
}

func (c *conn) refuse(r *incoming) error {
	c.reply(r.serial, r.reply, control.Reply{Err: &control.Error{Name: limitsText, Message: "Too many calls at a time"}})
	return nil
}

// earlyRequest waits until the caller's uid is known.
type earlyRequest struct {
	*incoming
	files []int
}

// meet asks the bus who a caller is, and to be told when it goes: first the
// latter, so that no end goes unnoticed.
func (l *link) meet(name string) *conn {
	c := &conn{s: l.s, id: l.s.newID(), who: peer{-1, -1}, stream: l.stream, guestOf: l, name: name, early: []earlyRequest{}}
	l.s.conns[c.id], l.guests[name] = c, c
	l.call("AddMatch", func(*incoming) {}, watchRule(name))
	l.call("GetConnectionCredentials", func(m *incoming) {
		if l.guests[name] == c {
			l.met(c, m)
		}
	}, name)
	return c
}

func watchRule(name string) string {
	return "type='signal',sender='" + busName + "',member='NameOwnerChanged',arg0='" + name + "'"
}

// met lets a caller's requests through.
func (l *link) met(c *conn, m *incoming) {
	if m.kind == errorMessage && m.err == noOwner {
		l.leave(c)
		return
	}
	if len(m.body) == 1 {
		facts, _ := m.body[0].(map[string]any)
		if uid, ok := facts["UnixUserID"].(uint32); ok {
			c.who.uid = int(uid)
		}
		if pid, ok := facts["ProcessID"].(uint32); ok {
			c.who.pid = int(pid)
		}
	}
	early := c.early
	c.early = nil
	for _, r := range early {
		if err := c.serve(r.incoming, r.files); err != nil {
			l.s.complain("%s: %v", l.Label, err)
		}
	}
}

// leave forgets a caller.
func (l *link) leave(c *conn) {
	delete(l.guests, c.name)
	delete(l.s.conns, c.id)
	for _, r := range c.early {
		posix.CloseAll(r.files)
	}
	if !l.stream.shut {
		l.call("RemoveMatch", func(*incoming) {}, watchRule(c.name))
	}
	if c.called {
		l.s.handler.Hangup(c.id)
	}
}

// evict forgets a caller that waits for nothing and owns nothing.
func (l *link) evict() bool {
	for _, c := range l.guests {
		if c.early == nil && c.pending == 0 && !c.owns {
			l.leave(c)
			return true
		}
	}
	return false
}

// errorText returns what an error message says.
func errorText(m *incoming) string {
	if len(m.body) > 0 {
		if s, ok := m.body[0].(string); ok {
			return s
		}
	}
	return m.err
}
