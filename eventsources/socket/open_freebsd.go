package socket

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	hasAbstract = false
	reusePort   = unix.SO_REUSEPORT_LB // shares connections out, as Linux does
	freeBind    = unix.IP_BINDANY
	freeBind6   = unix.IPV6_BINDANY

	bytesWaiting = 0x4004667f // FIONREAD
)

func connectionsWaiting(fd int) (int, error) {
	return unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_LISTENQLEN)
}

func (s *spec) setOwnOptions(int) error {
	if s.device != "" {
		return errors.New("this kernel binds no sockets to devices")
	}
	return nil
}

// bindClosed: whoever connects before the file has its mode is refused, since
// the socket does not listen yet; to one of datagrams the umask stands in the
// way.
func bindClosed(fd int, address unix.Sockaddr) error { return unix.Bind(fd, address) }

func (s *spec) ownSockaddr() (address unix.Sockaddr, domain, protocol int, err error) {
	return nil, 0, 0, fmt.Errorf("this kernel has no %s", s.proto)
}

// newLimit raises a limit on descriptors.
func newLimit(need, hard uint64) *unix.Rlimit {
	return &unix.Rlimit{Cur: int64(need), Max: int64(max(need, hard))}
}
