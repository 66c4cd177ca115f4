package bus

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"

	"onset/platform"
	"onset/platform/posix"
)

// wholeWrite is how many bytes a socket takes whole or not at all.
const wholeWrite = 32 << 10

// stream is a socket with what is half read and half written. Nothing blocks.
type stream struct {
	s     *Server
	fd    int
	in    []byte   // begins with what is not whole yet
	files []int    // descriptors received and not claimed
	out   [][]byte // may be shared with other streams: never written to
	off   int      // of out[0] sent already
	skip  uint64   // bytes of an oversized message still to come
	kept  int      // bytes of memory in in
	held  int      // the same in in and out

	writing bool // the socket is full, the poller tells when it is not
	waiting int  // bytes at the end of out that queue left
	shut    bool

	// See keep.go.
	id      uint64 // of the connection; 0: it is never kept
	begun   bool   // the handshake is over
	stored  string // name at the keeper; empty: none
	unkept  bool   // the keeper refused
	peeking bool   // what is being fed is in the socket still
	passed  int    // but for so many bytes at its beginning
	pending int    // bytes that were fed and are in the socket still
	listed  bool   // for Taken
	old     int    // bytes in the socket that the server before may have seen

	// feed takes what it can of the bytes and returns how many.
	feed func(b []byte) (int, error)
	// gone is called once when the stream has ended by itself.
	gone func(reason error)
}

var (
	errFull   = errors.New("the client does not read")
	errFiles  = errors.New("too many descriptors")
	errMemory = errors.New("all clients together hold too much memory, this one most")
)

func (st *stream) open() error {
	return st.s.poller.Add(st.fd, platform.Readable, st.ready)
}

func (st *stream) ready(r platform.Ready) {
	if st.shut {
		return
	}
	err := error(nil)
	if r&platform.Writable != 0 {
		err = st.flush()
	}
	if err == nil && r&(platform.Readable|platform.Hangup) != 0 {
		err = st.read()
	}
	if err != nil {
		st.fail(err)
	}
}

// read takes what one system call yields: who sends without end is heard in
// turn with the others.
func (st *stream) read() error {
	if st.pending > 0 {
		return nil // what it sends now is read after Taken
	}
	var oob [512]byte
	flags := 0
	if st.peeking = st.peekable(); st.peeking {
		flags = unix.MSG_PEEK
	}
	n, oobn, flags, err := recvmsg(st.fd, st.s.buffer, oob[:], flags)
	if st.peeking && UnreadRights(oob[:max(oobn, 0)], flags) {
		st.peeking = false
		st.drop()
		n, oobn, flags, err = recvmsg(st.fd, st.s.buffer, oob[:], 0)
	}
	if err == unix.EAGAIN || err == unix.EINTR {
		return nil
	}
	if err == nil {
		err = st.received(oob[:oobn])
	}
	switch {
	case err != nil:
		return err
	case flags&unix.MSG_CTRUNC != 0 || len(st.files) > maxFiles:
		return errFiles
	case n == 0:
		return io.EOF
	case st.peeking:
		return st.peek(st.s.buffer[:n])
	}
	err = st.take(st.s.buffer[:n])
	st.old -= n
	if st.begun {
		st.later()
	}
	return err
}

// peekable reports whether what comes can be left in the socket: only where a
// keeper has the connection, or will at the end of the handshake.
func (st *stream) peekable() bool {
	return (st.stored != "" || st.id != 0 && !st.begun && st.s.o.Keep != nil && !st.unkept) && len(st.in) == 0
}

// peek feeds bytes that are in the socket still, and leaves whole messages
// there for Taken. Where only part of one has come, or a descriptor that
// belongs to such a part, all is taken into memory.
func (st *stream) peek(b []byte) error {
	st.passed = 0
	n, err := st.feed(b)
	if err != nil || st.shut {
		return err
	}
	if n == len(b) {
		st.closeFiles()
	}
	if st.stored != "" && len(st.files) == 0 && n > 0 {
		if st.pending = n - st.passed; st.pending > 0 {
			st.later()
		}
		return nil
	}
	st.drop()
	if err := st.discard(len(b) - st.passed); err != nil {
		return err
	}
	if st.begun {
		st.later()
	}
	return st.keep(b[n:], false)
}

// take feeds new bytes and keeps what is left over.
func (st *stream) take(b []byte) error {
	if k := min(uint64(len(b)), st.skip); k > 0 {
		st.skip -= k
		b = b[k:]
	}
	all := b
	if len(st.in) > 0 {
		st.in = append(st.in, b...)
		all = st.in
	}
	n, err := st.feed(all)
	if err != nil || st.shut {
		return err
	}
	return st.keep(all[n:], n == 0 && len(st.in) > 0)
}

// keep stores what was not taken; inPlace says that it is in already.
func (st *stream) keep(rest []byte, inPlace bool) error {
	switch {
	case len(rest) == 0:
		st.in = nil
		st.closeFiles()
	case !inPlace:
		st.in = append([]byte(nil), rest...)
	}
	n := cap(st.in) - st.kept
	st.kept += n
	return st.hold(n)
}

// received keeps the descriptors of a control message.
func (st *stream) received(oob []byte) error {
	files, err := rights(oob)
	st.files = append(st.files, files...)
	return err
}

// claim takes n descriptors out of those received.
func (st *stream) claim(n uint32) ([]int, error) {
	if uint64(n) > uint64(len(st.files)) {
		return nil, errFiles
	}
	files := st.files[:n:n]
	st.files = st.files[n:]
	return files, nil
}

func (st *stream) closeFiles() {
	posix.CloseAll(st.files)
	st.files = nil
}

// send queues bytes and writes what the socket takes: a reply that is in the
// socket survives the death of this process.
func (st *stream) send(b []byte) {
	if st.push(b) {
		st.written()
	}
}

// queue is a send that waits for further ones, for Flush or for as many
// bytes as one system call takes.
func (st *stream) queue(b []byte) {
	if !st.push(b) {
		return
	}
	if st.waiting == 0 {
		st.s.queued = append(st.s.queued, st)
	}
	if st.waiting += len(b); st.waiting >= wholeWrite {
		st.written()
	}
}

// push adds bytes to what is to be written, unless that fails the stream.
func (st *stream) push(b []byte) bool {
	if st.shut {
		return false
	}
	if st.held > maxHeld {
		st.fail(errFull)
		return false
	}
	st.out = append(st.out, b)
	if err := st.hold(len(b)); err != nil {
		st.fail(err)
	}
	return !st.shut
}

// written writes what the socket takes, unless it is full.
func (st *stream) written() {
	st.waiting = 0
	if st.shut || st.writing {
		return
	}
	if err := st.flush(); err != nil {
		st.fail(err)
	}
}

// Flush writes the signals that wait, as far as the sockets take them.
func (s *Server) Flush() {
	for _, st := range s.queued {
		st.written()
	}
	clear(s.queued)
	s.queued = s.queued[:0]
}

// flush writes until the socket is full.
func (st *stream) flush() error {
	full := false
	for len(st.out) > 0 && !full {
		if len(st.out[0]) > wholeWrite {
			st.drop()
		}
		n, err := unix.SendmsgN(st.fd, st.together(), nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			full = true
			st.drop()
			continue
		case err != nil:
			return err
		}
		for st.off += n; len(st.out) > 0 && st.off >= len(st.out[0]); {
			st.release(len(st.out[0]))
			st.off -= len(st.out[0])
			st.out[0] = nil
			st.out = st.out[1:]
		}
	}
	if len(st.out) == 0 {
		st.out = nil
		if st.begun && st.stored == "" {
			st.later()
		}
	}
	if st.writing == full {
		return nil
	}
	st.writing = full
	want := platform.Readable
	if full {
		want |= platform.Writable
	}
	return st.s.poller.Set(st.fd, want)
}

// together returns the next bytes to write: those of as many messages as are
// written whole.
func (st *stream) together() []byte {
	first := st.out[0][st.off:]
	if len(st.out) == 1 || len(first)+len(st.out[1]) > wholeWrite {
		return first
	}
	all := append(st.s.joined[:0], first...)
	for _, b := range st.out[1:] {
		if len(all)+len(b) > wholeWrite {
			break
		}
		all = append(all, b...)
	}
	st.s.joined = all
	return all
}

// hold counts n more bytes in memory, and ends the greediest stream when all
// of them hold too much together.
func (st *stream) hold(n int) error {
	st.held += n
	st.s.held += n
	if st.s.held <= maxHeldByAll {
		return nil
	}
	worst := st.s.greediest()
	if worst == st {
		return errMemory
	}
	worst.fail(errMemory)
	return nil
}

func (st *stream) release(n int) {
	st.held -= n
	st.s.held -= n
}

// fail ends the stream for a reason; io.EOF is the client's wish.
func (st *stream) fail(reason error) {
	if !st.shut {
		st.close()
		st.gone(reason)
	}
}

// close ends the stream without telling anyone.
func (st *stream) close() {
	if st.shut {
		return
	}
	st.shut = true
	if st.s.o.Keep != nil && st.id != 0 { // the keeper's copy would keep it open
		st.drop()
		unix.Shutdown(st.fd, unix.SHUT_RDWR)
	}
	st.s.held -= st.held
	st.held, st.in, st.out = 0, nil, nil
	st.closeFiles()
	st.s.poller.Remove(st.fd)
	unix.Close(st.fd)
	st.s.resume()
}
