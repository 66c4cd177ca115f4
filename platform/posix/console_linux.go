package posix

import "golang.org/x/sys/unix"

const (
	getLine   = unix.TCGETS
	setLine   = unix.TCSETSF
	lineSpeed = unix.CBAUD | unix.CBAUDEX
)
