package bus

import "errors"

// Conn is a private connection as a process that carries on needs it.
type Conn struct {
	ID  uint64
	FD  int
	In  []byte // not a whole message yet
	Out []byte // not written yet
}

// Handover returns the connections that are through their handshake, for
// Adopt in the image that follows a re-exec, which answers the calls that
// wait (DECISIONS 22). The descriptors stay the server's. Descriptors that
// wait for the rest of their message cannot be handed on: such a connection
// is left out, and so is a message bus.
func (s *Server) Handover() (all []Conn) {
	for _, c := range s.conns {
		if c.guestOf != nil || c.auth != nil || len(c.stream.files) > 0 {
			continue
		}
		h := Conn{ID: c.id, FD: c.stream.fd, In: append([]byte(nil), c.stream.in...)}
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

// Adopt serves a connection of a server that is gone; its ID and FD will do
// if that crashed between two messages. The descriptor becomes the server's.
func (s *Server) Adopt(h Conn) error {
	if h.ID == 0 || h.ID >= 1<<30 || s.conns[h.ID] != nil {
		return errors.New("no such number for a connection")
	}
	who, err := peerOf(h.FD)
	if err != nil {
		return err
	}
	c := &conn{s: s, id: h.ID, who: who, called: true}
	s.lastConn = max(s.lastConn, h.ID)
	s.conns[c.id] = c
	s.ofUser[who.uid]++
	c.stream = &stream{s: s, fd: h.FD, feed: c.feed, gone: c.gone}
	if err := c.stream.open(); err != nil {
		c.stream.fail(err)
		return err
	}
	if len(h.Out) > 0 {
		c.stream.send(h.Out)
	}
	if err := c.stream.take(h.In); err != nil {
		c.stream.fail(err)
	}
	return nil
}
