package local

import (
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

// xucred is struct xucred of sys/ucred.h. The process is in it since FreeBSD 13.
type xucred struct {
	version, uid uint32
	groups       int16
	group        [16]uint32
	pid          uint64 // in the low half
}

// peer returns who is at the other end of a connection.
func peer(conn *net.UnixConn) (c client, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return c, err
	}
	var x xucred
	size := uint32(unsafe.Sizeof(x))
	var errno unix.Errno
	err = raw.Control(func(fd uintptr) {
		_, _, errno = unix.Syscall6(unix.SYS_GETSOCKOPT, fd, 0, unix.LOCAL_PEERCRED,
			uintptr(unsafe.Pointer(&x)), uintptr(unsafe.Pointer(&size)), 0)
	})
	if err == nil && errno != 0 {
		err = errno
	}
	return client{int(x.uid), int(x.group[0]), int(int32(x.pid))}, err
}
