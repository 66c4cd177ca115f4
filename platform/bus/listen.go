package bus

import (
	"time"

	"golang.org/x/sys/unix"

	"onset/platform"
)

// listener is a socket that is listened to. Its path may be lost: the file is
// removed, or a file system mounted over it. Then another socket takes its place,
// as soon as the kernel tells of that or, if it cannot be made at once, later.
type listener struct {
	s       *Server
	fd      int
	address string
	path    string // empty: it has none to lose
	is      fileID
	spot    *spot
	waits   bool
	at      time.Duration // of the next attempt, if it waits
	delay   time.Duration
}

// fileID is a file, whatever its names; zero for none.
type fileID struct{ dev, ino uint64 }

func identify(path string) (i fileID, err error) {
	var st unix.Stat_t
	if err = unix.Lstat(path, &st); err == nil {
		i = fileID{uint64(st.Dev), uint64(st.Ino)}
	}
	return i, err
}

// Listen serves an address like unix:abstract=/com/ubuntu/upstart.
func (s *Server) Listen(address string) error {
	fd, err := OpenSocket(address)
	if err != nil {
		return err
	}
	return s.Serve(fd, address)
}

// Serve serves a listening socket, which becomes the server's, and sees to it
// that it can be reached at its address.
func (s *Server) Serve(fd int, address string) error {
	l := &listener{s: s, fd: -1, address: address, delay: firstRejoin}
	if err := l.serve(fd); err != nil {
		return err
	}
	s.listeners = append(s.listeners, l)
	if paths := socketPaths(address); len(paths) > 0 {
		l.path = paths[0]
		l.is, _ = identify(l.path)
		l.look()
	}
	return nil
}

// serve serves a socket in place of the one before.
func (l *listener) serve(fd int) error {
	err := unix.SetNonblock(fd, true)
	if err == nil {
		err = l.s.poller.Add(fd, platform.Readable, func(platform.Ready) { l.s.accept(fd) })
	}
	if err != nil {
		unix.Close(fd)
		return err
	}
	l.stop()
	l.fd = fd
	return nil
}

func (l *listener) stop() {
	if l.fd >= 0 {
		l.s.poller.Remove(l.fd)
		unix.Close(l.fd)
		l.fd = -1
	}
}

// look waits for what may happen to the path, then looks whether it leads to
// the socket, and makes another if not.
func (l *listener) look() {
	l.leave()
	if l.spot = watchFor(l.path); l.spot != nil {
		if err := l.s.poller.Add(l.spot.fd, platform.Readable, func(platform.Ready) { l.happened() }); err != nil {
			l.spot.close()
			l.spot = nil
		}
	}
	now, err := identify(l.path)
	if err == nil && now == l.is {
		l.delay = firstRejoin
		return
	}
	fd, err := OpenSocket(l.address)
	if err == nil {
		err = l.serve(fd)
	}
	if err != nil {
		if l.delay == firstRejoin {
			l.s.complain("%s is not there any more and cannot be made: %v", l.path, err)
		}
		l.waits, l.at = true, l.s.o.Now()+l.delay
		l.delay = min(2*l.delay, lastRejoin)
		return
	}
	l.is, _ = identify(l.path)
	l.delay = firstRejoin
	if l.s.o.Moved != nil {
		l.s.o.Moved(l.fd)
	}
}

func (l *listener) happened() {
	if l.spot != nil && l.spot.happened() {
		l.look()
	}
}

// leave ends the waiting.
func (l *listener) leave() {
	l.waits = false
	if l.spot != nil {
		l.s.poller.Remove(l.spot.fd)
		l.spot.close()
		l.spot = nil
	}
}
