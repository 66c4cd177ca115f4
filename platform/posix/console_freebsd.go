package posix

import "golang.org/x/sys/unix"

const (
	getLine   = unix.TIOCGETA
	setLine   = unix.TIOCSETAF
	lineSpeed = 0 // which has fields of its own
)
