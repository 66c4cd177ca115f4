package socket

import "golang.org/x/sys/unix"

// unknown is how much waits where the kernel does not tell.
const unknown = -1

// waiting returns how much waits in a socket: connections, or bytes of a FIFO.
func (s *socket) waiting() int {
	now := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}
	if n, err := unix.Poll(now, 0); err == nil && n == 0 {
		return 0
	}
	var n int
	var err error
	switch {
	case s.proto == "fifo":
		n, err = unix.IoctlGetInt(s.fd, bytesWaiting)
	case s.isInet() && s.kind == unix.SOCK_STREAM:
		n, err = connectionsWaiting(s.fd)
	default:
		return unknown
	}
	if err != nil {
		return unknown
	}
	return n
}
