package posix

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// LinePipe returns a pipe for Newline, close-on-exec: sockets, since nobody
// can look into a pipe without taking what is there.
func LinePipe() (fds [2]int, err error) {
	return unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
}

// Newline looks for a newline in a LinePipe, without waiting. It stays there,
// for a manager after this one, and what does not come with one is taken. Ended
// says that there is nothing and will be nothing.
func Newline(fd int) (came, ended bool) {
	var b [4096]byte
	n, _, err := unix.Recvfrom(fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	if err != nil || n == 0 {
		return false, err == nil
	}
	if bytes.IndexByte(b[:n], '\n') >= 0 {
		return true, false
	}
	unix.Read(fd, b[:n])
	return false, false
}
