package posix

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// Newline looks for a newline in a pipe, without waiting, and takes what is
// there. Ended says that there is nothing and will be nothing.
func Newline(fd int) (came, ended bool) {
	var b [4096]byte
	n, err := unix.Read(fd, b[:])
	return n > 0 && bytes.IndexByte(b[:n], '\n') >= 0, n == 0 && err == nil
}
