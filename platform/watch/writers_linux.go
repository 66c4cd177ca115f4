package watch

import (
	"time"

	"golang.org/x/sys/unix"
)

// seenAfter is how long after its first change somebody who writes a file of
// that size is seen, at the latest: a file is made before it counts as written.
func seenAfter(size int64) time.Duration {
	if size == 0 {
		return 10 * time.Millisecond
	}
	return 0
}

// writers reports whether somebody has a file open for writing: only if not
// does the kernel grant a read lease, which is given back at once.
var writers = func(fd int) answer {
	switch _, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_RDLCK); err {
	case nil:
		unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_UNLCK)
		return no
	case unix.EAGAIN:
		return yes
	}
	return unknown // not ours, or a file system without leases
}
