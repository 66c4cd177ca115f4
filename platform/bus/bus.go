// Package bus is the D-Bus transport of the control API (UPSTART §6): a
// server for private sockets and a client of a message bus. It moves calls,
// replies and signals between sockets and a Handler; what they mean is known
// to core/control and the engine. The codec is our own, held to godbus by the
// tests: that is 0.3 MB of memory, and falls over some messages.
//
// Order: the calls of a connection reach the Handler in the order they were
// sent, replies and signals leave in the order of Respond and Publish. What
// the socket takes is written before Respond returns. Signals wait for it or
// for Taken, a turn at most: who starts a thousand jobs hears of them in a few
// system calls. A crash in between loses them.
//
// Ownership: a descriptor in a Call belongs to the Handler; all others that
// come are closed. Slices in a Reply or Signal are read before the return.
//
// Concurrency: everything runs on the goroutine of the poller, whose ready
// functions do the work. The Handler is called from there, and from Respond
// and Publish when they end a connection; it must only take note.
//
// Clients are not trusted. Each has bounds in bytes, time, descriptors and
// pending calls; who breaks one is disconnected, with the reason in the log.
package bus

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"onset/core/control"
	"onset/platform"
)

// Limits of a client.
const (
	maxMessage     = 1 << 20  // bytes
	maxHeld        = 8 << 20  // bytes not read by it, before one more message
	maxHeldByAll   = 64 << 20 // bytes buffered for all, in and out
	maxFiles       = 16       // descriptors not yet claimed by a message
	maxPending     = 4096     // calls without reply
	maxConnections = 1024
	maxOfUser      = 256 // connections of one user other than root

	handshakeTime = 10 * time.Second      // sure of its place for so long; a bus has no more
	resumedTime   = 20 * time.Millisecond // of one whose last answer may not have been sent; it tries again
	resumeTime    = time.Second           // between attempts to accept without descriptors
	complainTime  = 10 * time.Second
	maxComplaints = 20 // lines in the log in a complainTime
)

// Handler takes what clients want. It must not block.
type Handler interface {
	// Call is answered by one Respond with the caller's ID and Conn.
	Call(control.Caller, control.Call)
	// Hangup says that a connection is gone that made calls.
	Hangup(conn uint64)
}

// Options of a Server.
type Options struct {
	UID            int  // the server's: besides it only root is let in
	ChrootSessions bool // find out the root directory of callers
	// Logf takes warnings; Infof and Debugf what is none, or are nil.
	Logf, Infof, Debugf func(format string, args ...any)
	// Now is the clock of Tick and Deadline: it never goes back.
	Now func() time.Duration
	// Keep lets connections outlive the server; nil without.
	Keep Keeper
	// Moved is told of the socket that is listened to in place of one whose path
	// was lost; it may be nil.
	Moved func(listener int)
	// LastConn is not below the number of any connection of a server that
	// died, as far as the journal or the engine knows of it.
	LastConn uint64
}

// Server serves the control API on private sockets and a message bus.
type Server struct {
	poller    platform.Poller
	handler   Handler
	o         Options
	guid      string
	listeners []*listener
	paused    time.Duration // when to accept again; 0 = accepting
	conns     map[uint64]*conn
	ofUser    map[int]int // connections by uid
	lastConn  uint64
	serial    uint32 // of the last message sent, to whomever
	held      int    // bytes buffered for all
	buffer    []byte // for reading
	scratch   []byte // for what was read before
	peeked    []*stream
	queued    []*stream // for Flush
	joined    []byte    // for stream.together
	bus       *link     // to a message bus; nil without
	rejoin    rejoin
	names     map[uint64]awaited // by token

	complaints int // since window
	window     time.Duration
}

// NewServer returns a server that listens nowhere.
func NewServer(p platform.Poller, h Handler, o Options) *Server {
	for _, logf := range []*func(string, ...any){&o.Infof, &o.Debugf} {
		if *logf == nil {
			*logf = func(string, ...any) {}
		}
	}
	s := &Server{poller: p, handler: h, o: o, conns: map[uint64]*conn{}, ofUser: map[int]int{}, names: map[uint64]awaited{},
		guid:     fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64()),
		lastConn: o.LastConn, buffer: make([]byte, 64<<10)}
	if o.Keep != nil {
		s.scratch = make([]byte, 4<<10)
	}
	return s
}

// accept takes one connection a wake-up, so that a flood of them does not
// keep others waiting.
func (s *Server) accept(listener int) {
	fd, _, err := unix.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	switch err {
	case nil:
	case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
		if !s.makeRoom(anybody) {
			s.complain("Unable to accept a D-Bus connection: %v", err)
			s.pause()
		}
		return
	default:
		return
	}
	who, err := peerOf(fd)
	if err == nil {
		err = s.admit(who)
	}
	if err != nil {
		unix.Close(fd)
		s.complain("D-Bus connection of uid %d, pid %d refused: %v", who.uid, who.pid, err)
		return
	}
	widen(fd)
	s.o.Infof("Connection from private client")
	s.newPeer(fd, who)
}

// admit applies libdbus' default rule and the limits.
func (s *Server) admit(who peer) error {
	switch {
	case who.uid != 0 && who.uid != s.o.UID:
		return errors.New("neither root nor the same user")
	case s.connections() >= maxConnections && !s.makeRoom(anybody):
		return errors.New("too many connections")
	case who.uid != 0 && s.ofUser[who.uid] >= maxOfUser && !s.makeRoom(func(c *conn) bool { return c.who.uid == who.uid }):
		return errors.New("too many connections of that user")
	}
	return nil
}

func anybody(*conn) bool { return true }

// makeRoom ends the oldest of those connections whose handshake takes long. As
// long as nobody needs their places they have all the time they want: on a busy
// machine an honest client may come to nothing for a while.
func (s *Server) makeRoom(of func(*conn) bool) bool {
	var oldest *conn
	for _, c := range s.conns {
		if c.auth != nil && c.due <= s.o.Now() && of(c) && (oldest == nil || c.due < oldest.due) {
			oldest = c
		}
	}
	if oldest != nil {
		oldest.stream.fail(errors.New("the handshake took too long, and others need the place"))
	}
	return oldest != nil
}

func (s *Server) connections() (n int) {
	for _, of := range s.ofUser {
		n += of
	}
	return n
}

// pause stops accepting until descriptors may be free again.
func (s *Server) pause() {
	s.paused = s.o.Now() + resumeTime
	for _, l := range s.listeners {
		s.set(l.fd, 0)
	}
}

func (s *Server) resume() {
	if s.paused != 0 {
		s.paused = 0
		for _, l := range s.listeners {
			s.set(l.fd, platform.Readable)
		}
	}
}

func (s *Server) set(fd int, want platform.Ready) {
	if err := s.poller.Set(fd, want); err != nil {
		s.complain("D-Bus socket: %v", err)
	}
}

// Deadline returns when Tick is wanted.
func (s *Server) Deadline() (at time.Duration, ok bool) {
	add := func(t time.Duration) {
		if !ok || t < at {
			at, ok = t, true
		}
	}
	if s.paused != 0 {
		add(s.paused)
	}
	for _, c := range s.conns {
		if c.auth != nil && c.auth.resumed {
			add(c.due)
		}
	}
	if s.bus != nil && s.bus.done != nil {
		add(s.bus.due)
	}
	if s.rejoin.waits {
		add(s.rejoin.at)
	}
	for _, l := range s.listeners {
		if l.waits {
			add(l.at)
		}
	}
	return at, ok
}

// Tick does what is due.
func (s *Server) Tick(now time.Duration) {
	if s.paused != 0 && s.paused <= now {
		s.resume()
	}
	for _, c := range s.conns {
		if c.auth != nil && c.auth.resumed && c.due <= now {
			c.stream.fail(errors.New("the handshake was lost with the manager before"))
		}
	}
	if b := s.bus; b != nil && b.done != nil && b.due <= now {
		b.stream.fail(os.ErrDeadlineExceeded)
	}
	if r := &s.rejoin; r.waits && r.at <= now {
		r.again()
	}
	for _, l := range s.listeners {
		if l.waits && l.at <= now {
			l.look()
		}
	}
}

// Respond answers a call. A connection that is gone is no error.
func (s *Server) Respond(call, conn uint64, r control.Reply) {
	c := s.conns[conn]
	if c == nil {
		return
	}
	_, kind, serial := splitID(call)
	if kind != noReply {
		c.pending = max(c.pending-1, 0)
	}
	c.reply(serial, kind, r)
}

// Publish sends a signal to every connection.
func (s *Server) Publish(sig control.Signal) {
	var b []byte
	for _, c := range s.conns {
		if c.stream == nil || c.auth != nil || c.guestOf != nil {
			continue
		}
		if b == nil && !s.encodeSignal(sig, &b) {
			return
		}
		c.stream.queue(b)
	}
	if s.bus != nil && (b != nil || s.encodeSignal(sig, &b)) {
		s.bus.publish(b)
	}
}

func (s *Server) encodeSignal(sig control.Signal, b *[]byte) bool {
	spec := sig.Spec()
	var err error
	*b, err = s.encode(&outgoing{kind: signalMessage, path: sig.Emitter().Path(), iface: spec.Interface,
		member: spec.Name, body: sig.Args()})
	if err != nil {
		s.complain("D-Bus signal %s not sent: %v", spec.Name, err)
	}
	return err == nil
}

// encode gives the message the next serial. It is one for all connections,
// so that a signal is the same bytes for each.
func (s *Server) encode(o *outgoing) ([]byte, error) {
	if s.serial++; s.serial == 0 {
		s.serial = 1
	}
	return o.encode(s.serial)
}

// greediest returns the stream that holds most.
func (s *Server) greediest() (worst *stream) {
	if s.bus != nil {
		worst = s.bus.stream
	}
	for _, c := range s.conns {
		if worst == nil || c.stream.held > worst.held {
			worst = c.stream
		}
	}
	return worst
}

// complain logs what clients cause, and not more of it than a person reads.
func (s *Server) complain(format string, args ...any) {
	if now := s.o.Now(); s.complaints == 0 || now >= s.window {
		s.complaints, s.window = 0, now+complainTime
	}
	if s.complaints++; s.complaints <= maxComplaints {
		s.o.Logf(format, args...)
	}
}

// Close ends all connections and listeners; no Hangup is told.
func (s *Server) Close() {
	for id, c := range s.conns {
		c.stream.close()
		delete(s.conns, id)
	}
	if s.bus != nil {
		s.bus.stream.close()
		s.bus = nil
	}
	s.rejoin.leave()
	for _, l := range s.listeners {
		l.leave()
		l.stop()
	}
	s.listeners = nil
}

// polite reports whether a connection ended as they should.
func polite(reason error) bool {
	return reason == io.EOF || reason == unix.ECONNRESET || reason == unix.EPIPE
}
