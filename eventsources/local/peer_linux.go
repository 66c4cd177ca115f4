package local

import (
	"net"

	"golang.org/x/sys/unix"
)

// peer returns who is at the other end of a connection.
func peer(conn *net.UnixConn) (c client, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return c, err
	}
	fault := raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			c = client{int(cred.Uid), int(cred.Gid), int(cred.Pid)}
		}
	})
	if err == nil {
		err = fault
	}
	return c, err
}
