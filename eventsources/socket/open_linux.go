package socket

import (
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	hasAbstract = true
	reusePort   = unix.SO_REUSEPORT
	freeBind    = unix.IP_FREEBIND
	freeBind6   = unix.IPV6_FREEBIND

	bytesWaiting = unix.TIOCINQ
)

// connectionsWaiting is for TCP (net/ipv4/tcp.c, tcp_get_info).
func connectionsWaiting(fd int) (int, error) {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0, err
	}
	return int(info.Unacked), nil
}

// maskedGroups are those that bind sets, whatever was set before (netlink(7)).
const maskedGroups = 32

// setOwnOptions sets what is Linux's alone.
func (s *spec) setOwnOptions(fd int) error {
	switch {
	case s.device != "":
		if err := unix.BindToDevice(fd, s.device); err != nil {
			return fmt.Errorf("DEVICE=%s: %w", s.device, err)
		}
	case s.proto == "netlink" && s.group > maskedGroups:
		return unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, s.group)
	}
	return nil
}

// bindClosed makes a file that nobody may connect to: bind takes the mode of
// the socket (unix(7) does not say so; fs/namei.c, net/unix/af_unix.c).
func bindClosed(fd int, address unix.Sockaddr) error {
	if err := unix.Fchmod(fd, 0); err != nil {
		return err
	}
	return unix.Bind(fd, address)
}

// ownSockaddr is of what is Linux's alone.
func (s *spec) ownSockaddr() (address unix.Sockaddr, domain, protocol int, err error) {
	if s.proto == "vsock" {
		return &unix.SockaddrVM{CID: s.cid, Port: s.port}, unix.AF_VSOCK, 0, nil
	}
	var groups uint32
	if s.group > 0 && s.group <= maskedGroups {
		groups = 1 << (s.group - 1)
	}
	return &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}, unix.AF_NETLINK, s.family, nil
}

// newLimit raises a limit on descriptors.
func newLimit(need, hard uint64) *unix.Rlimit {
	return &unix.Rlimit{Cur: need, Max: max(need, hard)}
}
