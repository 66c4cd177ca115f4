package posix

import (
	"golang.org/x/sys/unix"

	"onset/platform"
)

// Script is the pipe through which a shell reads a script of several lines.
// What fits the pipe is in it before the process exists.
type Script struct {
	Read  int // to be ScriptFD of the process; -1 without a script
	write int // -1 once all is written
	rest  string

	poller platform.Poller // that watches write
}

// NewScript makes the pipe; without text there is none.
func NewScript(text string) (*Script, error) {
	s := &Script{Read: -1, write: -1, rest: text}
	if text == "" {
		return s, nil
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	s.Read, s.write = fds[0], fds[1]
	if err := unix.SetNonblock(s.write, true); err != nil {
		s.Close()
		return nil, err
	}
	s.fill()
	return s, nil
}

// fill writes what the pipe takes, and closes it after the last byte or when
// nobody reads any more.
func (s *Script) fill() {
	for s.rest != "" {
		n, err := unix.Write(s.write, []byte(s.rest))
		if n > 0 {
			s.rest = s.rest[n:]
		}
		switch err {
		case nil, unix.EINTR:
		case unix.EAGAIN:
			return
		default:
			s.rest = ""
		}
	}
	s.done()
}

// done closes the writing end, which a poller may watch.
func (s *Script) done() {
	if s.poller != nil {
		s.poller.Remove(s.write)
		s.poller = nil
	}
	closeFD(&s.write)
}

// Hand is called when the process exists: what did not fit yet is written
// when the poller says so.
func (s *Script) Hand(p platform.Poller) {
	closeFD(&s.Read)
	if s.write < 0 {
		return
	}
	if p.Add(s.write, platform.Writable, func(platform.Ready) { s.fill() }) != nil {
		s.Close()
		return
	}
	s.poller = p
}

// Close gives the pipe up.
func (s *Script) Close() {
	closeFD(&s.Read)
	closeFD(&s.write)
}

func closeFD(fd *int) {
	if *fd >= 0 {
		unix.Close(*fd)
		*fd = -1
	}
}
