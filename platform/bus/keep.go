package bus

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"onset/platform/posix"
)

// Keeper holds copies of descriptors under names over the death of this
// process. An error is for ever, as far as a connection is concerned.
type Keeper interface {
	Store(name string, fd int) error
	Drop(name string) error
}

// The names of stored connections, before their number. A greeted one knows
// that it may send calls, and the server knows no more of it than that; it is
// called open when it has said that its calls follow.
const (
	greetedName = "auth "
	openName    = "conn "
)

// A connection is kept while all that is known of it is in the socket and in
// the journal: not while part of a message is in memory, in or out, nor where
// the kernel gives no descriptors to who peeks, a call with one. What is
// kept is only peeked at; Taken takes it out of the socket.

// store has the keeper hold the connection under a name in place of any before.
func (st *stream) store(prefix string) {
	name := prefix + strconv.FormatUint(st.id, 10)
	if st.s.o.Keep == nil || st.id == 0 || st.unkept || st.stored == name {
		return
	}
	if err := st.s.o.Keep.Store(name, st.fd); err != nil {
		st.unkept = true
		st.s.complain("D-Bus client will not survive a crash of init: %v", err)
		return
	}
	st.drop()
	st.stored = name
}

// drop ends what store did; it comes before anything that tears the stream.
func (st *stream) drop() {
	if st.stored == "" {
		return
	}
	if err := st.s.o.Keep.Drop(st.stored); err != nil {
		st.s.complain("D-Bus client cannot be forgotten: %v", err)
	}
	st.stored = ""
}

// later has Taken look at the stream.
func (st *stream) later() {
	if !st.listed && st.s.o.Keep != nil && !st.shut {
		st.listed = true
		st.s.peeked = append(st.s.peeked, st)
	}
}

// pass takes n bytes of the handshake out of the socket, and has the
// connection kept if the client may send calls from now on.
func (st *stream) pass(n int, accepted bool) error {
	if !st.peeking || len(st.files) > 0 {
		return nil
	}
	if err := st.discard(n); err != nil {
		return err
	}
	st.passed = n
	switch {
	case st.begun:
		st.store(openName)
	case accepted:
		st.store(greetedName)
	}
	return nil
}

// Taken says that the journal has all calls that were told: they are taken
// out of the sockets. It comes before the poller waits again.
func (s *Server) Taken() {
	for _, st := range s.peeked {
		st.listed = false
		if st.shut {
			continue
		}
		if err := st.discard(st.pending); err != nil {
			st.fail(err)
			continue
		}
		st.pending = 0
		if st.begun && len(st.in) == 0 && len(st.out) == 0 && len(st.files) == 0 {
			st.store(openName)
		}
	}
	clear(s.peeked)
	s.peeked = s.peeked[:0]
}

// discard takes n bytes out of the socket that were read by peeking, with
// their descriptors, of which peeking has made copies.
func (st *stream) discard(n int) error {
	for n > 0 {
		var oob [512]byte
		got, oobn, _, err := recvmsg(st.fd, st.s.scratch[:min(n, len(st.s.scratch))], oob[:], 0)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return err
		case got == 0:
			return unix.ECONNRESET
		}
		files, err := rights(oob[:oobn])
		posix.CloseAll(files)
		if err != nil {
			return err
		}
		n -= got
		st.old -= got
	}
	return nil
}

// AdoptStored serves a connection that the keeper held when the server before
// died. The descriptor becomes the server's. Of the calls that it finds in the
// socket it leaves out those that seen knows by their Caller.ID: the journal
// has them, though they had not been taken. The number is 0 if that name or
// connection is none to go on with; the descriptor is closed then.
func (s *Server) AdoptStored(name string, fd int, seen func(call uint64) bool) (conn uint64) {
	number, open := strings.CutPrefix(name, openName)
	if !open {
		number = strings.TrimPrefix(name, greetedName)
	}
	id, err := strconv.ParseUint(number, 10, 30)
	if err != nil || id == 0 {
		unix.Close(fd)
		return 0
	}
	if c := s.conns[id]; c != nil { // it died between the two names
		unix.Close(fd)
		if open {
			c.auth, c.called, c.stream.begun, c.stream.stored = nil, true, true, name
		}
		s.o.Keep.Drop(greetedName + number)
		return id
	}
	c, err := s.adopt(id, fd)
	if err != nil {
		s.complain("D-Bus client cannot be kept: %v", err)
		s.o.Keep.Drop(name)
		return 0
	}
	c.seen, c.stream.old, c.stream.stored = seen, queued(fd), name
	if !open {
		c.greeted(true)
		c.due = s.o.Now() + resumedTime
	}
	return id
}
