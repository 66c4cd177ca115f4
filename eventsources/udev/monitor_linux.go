package udev

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"onset/eventsources/kept"
)

const maxMessage = 64 << 10 // bytes

// errLost: the kernel has dropped messages.
var errLost = errors.New("messages were lost")

// monitor is a socket for messages of a group.
type monitor struct {
	group   group
	fd      int
	buffer  []byte
	control [128]byte
}

// keptName is that of the socket of a group with init.
func (g group) keptName() string { return "udev." + strconv.Itoa(int(g)) }

// takeOver returns the socket that init kept for the process before this one,
// with what came meanwhile; one of the preferred group if there is a choice.
func takeOver(preferred group) *monitor {
	var m *monitor
	for _, g := range []group{preferred, kernelGroup + udevGroup - preferred} {
		if fd, ok := kept.Take(g.keptName()); ok && m == nil {
			m = &monitor{group: g, fd: fd, buffer: make([]byte, maxMessage)}
		} else if ok {
			unix.Close(fd)
			kept.Drop(g.keptName())
		}
	}
	return m
}

// listen makes a socket.
func listen(g group, room int) (*monitor, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, fmt.Errorf("cannot make a netlink socket: %w", err)
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, room) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, room) // as far as it is allowed
	}
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: uint32(g)})
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("cannot listen for uevents: %w", err)
	}
	return &monitor{group: g, fd: fd, buffer: make([]byte, maxMessage)}, nil
}

// keep has init keep the socket.
func (m *monitor) keep() error { return kept.Keep(m.group.keptName(), m.fd) }

// receive returns the variables of the next message, until it is called again.
// They are nil if it is none of the kernel's or of root's udevd. The error is
// EAGAIN without a message, and errLost.
func (m *monitor) receive() ([]byte, error) {
	n, control, flags, from, err := unix.Recvmsg(m.fd, m.buffer, m.control[:], 0)
	switch {
	case err == unix.ENOBUFS:
		return nil, errLost
	case err == unix.EINTR:
		return nil, nil
	case err != nil:
		return nil, err
	}
	sender, ok := from.(*unix.SockaddrNetlink)
	if !ok || flags&unix.MSG_TRUNC != 0 || sender.Groups != uint32(m.group) {
		return nil, nil // said to this socket alone, or too long for any udevd
	}
	if m.group == kernelGroup && sender.Pid != 0 || !byRoot(m.control[:control]) {
		return nil, nil
	}
	vars, ok := m.group.properties(m.buffer[:n])
	if !ok {
		return nil, nil
	}
	return vars, nil
}

// byRoot looks at the credentials that came with a message.
func byRoot(control []byte) bool {
	for len(control) > 0 {
		header, data, rest, err := unix.ParseOneSocketControlMessage(control)
		if err != nil {
			return false
		}
		if header.Level == unix.SOL_SOCKET && header.Type == unix.SCM_CREDENTIALS && len(data) >= unix.SizeofUcred {
			return binary.NativeEndian.Uint32(data[4:]) == 0 // struct ucred: pid, uid, gid
		}
		control = rest
	}
	return false
}

// close closes the socket, also where init keeps it.
func (m *monitor) close() {
	unix.Close(m.fd)
	kept.Drop(m.group.keptName())
}
