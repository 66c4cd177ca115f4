package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// open connects to a socket, "@" in front of the name of an abstract one.
// Package net would do it, and take longer to be there than to do it. Waiting
// is left to the runtime's poller: in a blocking system call its watchdog
// would stay awake.
func open(name string) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: name}); err != nil {
		unix.Close(fd)
		return nil, err
	}
	// A window of calls is written before an answer is read, and some kernels have
	// room for 8 KiB.
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 256<<10)
	return os.NewFile(uintptr(fd), name), nil
}
