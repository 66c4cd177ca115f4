package socket

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// peer tells who connected to a unix socket.
func peer(fd int) []string {
	c, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return nil
	}
	return []string{fmt.Sprintf("CLIENT_PID=%d", c.Pid), fmt.Sprintf("CLIENT_UID=%d", c.Uid), fmt.Sprintf("CLIENT_GID=%d", c.Gid)}
}

// ownPeer is of addresses that are Linux's alone.
func ownPeer(from unix.Sockaddr) []string {
	if vm, ok := from.(*unix.SockaddrVM); ok {
		return []string{fmt.Sprintf("REMOTE_CID=%d", vm.CID), fmt.Sprintf("REMOTE_PORT=%d", vm.Port)}
	}
	return nil
}
