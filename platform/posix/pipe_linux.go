package posix

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// LinePipe returns a pipe for Newline, close-on-exec.
func LinePipe() (fds [2]int, err error) {
	err = unix.Pipe2(fds[:], unix.O_CLOEXEC)
	return fds, err
}

// Newline looks for a newline in a pipe, without waiting. It stays there, for
// a manager after this one, and what does not come with one is taken. Ended
// says that there is nothing and will be nothing.
func Newline(fd int) (came, ended bool) {
	var copied [2]int
	if unix.Pipe2(copied[:], unix.O_CLOEXEC|unix.O_NONBLOCK) != nil {
		return false, false // it is tried again
	}
	defer unix.Close(copied[0])
	defer unix.Close(copied[1])
	var b [4096]byte
	n, err := unix.Tee(fd, copied[1], len(b), unix.SPLICE_F_NONBLOCK)
	if err != nil || n == 0 {
		return false, err == nil
	}
	have, err := unix.Read(copied[0], b[:])
	if err != nil || bytes.IndexByte(b[:have], '\n') >= 0 {
		return err == nil, false
	}
	unix.Read(fd, b[:have])
	return false, false
}
