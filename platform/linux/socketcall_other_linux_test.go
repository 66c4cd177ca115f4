//go:build !amd64

package linux

import "golang.org/x/sys/unix"

func socketcallListen(int, int) error { return unix.ENOSYS }
