package bus

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"onset/core/control"
)

// peer is who is at the other end of a socket; -1 when unknown.
type peer struct{ uid, pid int }

// conn is somebody who makes calls: the other end of a private connection, or
// one of those that reach init over a message bus (see guest).
type conn struct {
	s       *Server
	id      uint64
	who     peer
	stream  *stream
	auth    *sasl         // until messages follow
	due     time.Duration // end of patience with auth, see makeRoom
	pending int           // calls without reply
	called  bool          // the Handler knows it
	known   bool          // command and session are found out
	command string
	session string
	seen    func(call uint64) bool // see AdoptStored

	guestOf *link          // the bus it comes over
	name    string         // its name there
	early   []earlyRequest // not nil until the bus has told who it is
	owns    bool           // facts, perhaps
}

// newPeer starts the handshake on an accepted socket.
func (s *Server) newPeer(fd int, who peer) {
	c := &conn{s: s, id: s.newID(), who: who, auth: &sasl{uid: who.uid, guid: s.guid}, due: s.o.Now() + handshakeTime}
	s.conns[c.id] = c
	s.ofUser[who.uid]++
	c.stream = &stream{s: s, fd: fd, id: c.id, feed: c.feed, gone: c.gone}
	if err := c.stream.open(); err != nil {
		c.stream.fail(err)
	}
}

// newID returns the number of a new connection: 30 bits, never 0.
func (s *Server) newID() uint64 {
	for {
		s.lastConn = s.lastConn%(1<<30-1) + 1
		if s.conns[s.lastConn] == nil {
			return s.lastConn
		}
	}
}

// gone is the end of a private connection.
func (c *conn) gone(reason error) {
	s := c.s
	delete(s.conns, c.id)
	if s.ofUser[c.who.uid]--; s.ofUser[c.who.uid] == 0 {
		delete(s.ofUser, c.who.uid)
	}
	if !polite(reason) {
		s.complain("D-Bus client with uid %d, pid %d disconnected: %v", c.who.uid, c.who.pid, reason)
	}
	if c.called {
		s.handler.Hangup(c.id)
	}
}

// feed takes handshake lines, then whole messages.
func (c *conn) feed(b []byte) (n int, err error) {
	if c.auth != nil {
		var begun bool
		if c.auth.resumed && isMessage(b) {
			c.auth, c.called, c.stream.begun = nil, true, true
		} else if n, begun, err = c.shake(b); err != nil || !begun {
			return n, err
		}
	}
	for !c.stream.shut {
		size, err := frame(b[n:])
		if err != nil {
			return n, err
		}
		if size > maxMessage {
			return n, fmt.Errorf("message of %d bytes", size)
		}
		if size == 0 || size > uint64(len(b)-n) {
			return n, nil
		}
		if err := c.message(b[n : n+int(size)]); err != nil {
			return n, err
		}
		n += int(size)
	}
	return n, nil
}

// shake takes the handshake lines that b begins with.
func (c *conn) shake(b []byte) (n int, begun bool, err error) {
	n, answer, begun, err := c.auth.feed(b)
	if err == nil {
		c.stream.begun = begun
		err = c.stream.pass(n, c.auth.accepted)
	}
	if len(answer) > 0 {
		c.stream.send(answer)
	}
	if begun {
		c.auth = nil
	}
	return n, begun, err
}

// A call's ID is its connection, what is to be made of the reply, and its
// serial. So a reply needs no table, and init can answer after a crash what
// was asked before it.
type replyKind uint64

const (
	plainReply replyKind = iota
	variantReply
	nodesReply // paths of jobs, to be introspected
	noReply
)

func callID(conn uint64, kind replyKind, serial uint32) uint64 {
	return conn<<34 | uint64(kind)<<32 | uint64(serial)
}

func splitID(id uint64) (conn uint64, kind replyKind, serial uint32) {
	return id >> 34, replyKind(id >> 32 & 3), uint32(id)
}

// maxCommand is how much of a command line is kept, in bytes.
const maxCommand = 256

// commandLine joins the arguments of a command, each with its NUL.
func commandLine(args []byte) string {
	args = args[:min(len(args), maxCommand)]
	return strings.ReplaceAll(strings.TrimRight(string(args), "\x00"), "\x00", " ")
}

// caller describes the client to the engine.
func (c *conn) caller(kind replyKind, serial uint32) (control.Caller, error) {
	if !c.known && c.who.pid > 0 {
		c.command = commandOf(c.who.pid)
		if c.s.o.ChrootSessions && c.guestOf == nil {
			root, err := rootOf(c.who.pid)
			if err != nil {
				return control.Caller{}, errors.New("its root directory is unknown: " + err.Error())
			}
			c.session = root
		}
	}
	c.known = true
	return control.Caller{ID: callID(c.id, kind, serial), Conn: c.id, UID: c.who.uid, PID: c.who.pid,
		Session: c.session, Command: c.command}, nil
}

// reply sends what a call gets.
func (c *conn) reply(serial uint32, kind replyKind, r control.Reply) {
	if kind == noReply {
		return
	}
	o := outgoing{kind: returnMessage, replyTo: serial, destination: c.name, body: r.Values, variant: kind == variantReply}
	switch {
	case r.Err != nil:
		o.fail(r.Err)
	case kind == nodesReply:
		o.body = []any{control.IntrospectPath(nodesBelow(jobsNode, r.Values))}
	}
	b, err := c.s.encode(&o)
	if err != nil { // then say why
		o.fail(control.SystemError(err.Error()))
		if b, err = c.s.encode(&o); err != nil {
			c.s.complain("D-Bus reply not sent: %v", err)
			return
		}
	}
	c.stream.send(b)
}

func (o *outgoing) fail(e *control.Error) {
	o.kind, o.err, o.variant, o.body = errorMessage, e.Name, false, []any{e.Message}
}
