package bus

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Conn is a private connection as a process that carries on needs it.
type Conn struct {
	ID  uint64
	FD  int
	In  []byte // not a whole message yet
	Out []byte // not written yet

	Greeted bool // has not said yet that its calls follow, but may
}

// Handover returns the connections that may send calls, for Adopt in the image
// that follows a re-exec, which answers the calls that wait (DECISIONS 22). The
// descriptors stay the server's. Descriptors that wait for the rest of their
// message cannot be handed on: such a connection is left out, and so is a
// message bus.
func (s *Server) Handover() (all []Conn) {
	s.Flush()
	s.Taken()
	for _, c := range s.conns {
		if c.guestOf != nil || c.auth != nil && !c.auth.accepted || len(c.stream.files) > 0 {
			continue
		}
		h := Conn{ID: c.id, FD: c.stream.fd, In: append([]byte(nil), c.stream.in...), Greeted: c.auth != nil}
		for i, b := range c.stream.out {
			if i == 0 {
				b = b[c.stream.off:]
			}
			h.Out = append(h.Out, b...)
		}
		all = append(all, h)
	}
	return all
}

// Adopt serves a connection of a server that handed it over. The descriptor
// becomes the server's.
func (s *Server) Adopt(h Conn) error {
	c, err := s.adopt(h.ID, h.FD)
	if err != nil {
		return err
	}
	if h.Greeted {
		c.greeted(false)
		if len(h.In) == 0 {
			c.stream.store(greetedName)
		}
	}
	if len(h.Out) > 0 {
		c.stream.send(h.Out)
	}
	if err := c.stream.take(h.In); err != nil {
		c.stream.fail(err)
	}
	c.stream.later()
	return nil
}

// adopt serves a connection that is through its handshake. On an error the
// descriptor is closed.
func (s *Server) adopt(id uint64, fd int) (*conn, error) {
	var who peer
	err := errors.New("no such number for a connection")
	if id != 0 && id < 1<<30 && s.conns[id] == nil {
		who, err = peerOf(fd)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	c := &conn{s: s, id: id, who: who, called: true}
	s.lastConn = max(s.lastConn, id)
	s.conns[id] = c
	s.ofUser[who.uid]++
	c.stream = &stream{s: s, fd: fd, id: id, begun: true, feed: c.feed, gone: c.gone}
	if err := c.stream.open(); err != nil {
		c.stream.fail(err)
		return nil, err
	}
	return c, nil
}

// greeted takes a connection back to where its handshake is all but over;
// resumed says that it may be over.
func (c *conn) greeted(resumed bool) {
	c.called, c.stream.begun = false, false
	c.auth = &sasl{uid: c.who.uid, guid: c.s.guid, started: true, accepted: true, resumed: resumed}
	c.due = c.s.o.Now() + handshakeTime
}
