//go:build linux && (386 || arm)

package posix

import "golang.org/x/sys/unix"

// The calls with ids of 32 bits.
const (
	sysSetgroups = unix.SYS_SETGROUPS32
	sysSetgid    = unix.SYS_SETGID32
	sysSetuid    = unix.SYS_SETUID32
)
