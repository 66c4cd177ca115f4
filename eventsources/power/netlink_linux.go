package power

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// socket is one of netlink. The end of its context ends reading.
type socket struct {
	file   *os.File
	conn   syscall.RawConn
	buffer []byte
	lost   bool // something was, which is not told yet
}

// openSocket opens a socket of a protocol, which hears the groups of the mask.
func openSocket(ctx context.Context, protocol int, groups uint32) (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "netlink")
	if err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		file.Close()
		return nil, err
	}
	s := &socket{file: file, buffer: make([]byte, 16<<10)}
	if s.conn, err = file.SyscallConn(); err != nil {
		file.Close()
		return nil, err
	}
	context.AfterFunc(ctx, func() { file.Close() })
	return s, nil
}

// errLost: the kernel had more to tell than the socket has room for.
var errLost = errors.New("messages were lost")

// receive waits for what the kernel itself sends, until it is read next. The
// error is errLost when all is read that waited as something was lost: until
// then the kernel leaves out what is new without a word.
func (s *socket) receive() (b []byte, err error) {
	for {
		var n int
		var from unix.Sockaddr
		var fault error
		err = s.conn.Read(func(fd uintptr) bool {
			n, from, fault = unix.Recvfrom(int(fd), s.buffer, 0)
			return fault != unix.EAGAIN || s.lost
		})
		switch {
		case err == nil && fault == unix.ENOBUFS:
			s.lost = true
			continue
		case err == nil && fault == unix.EAGAIN:
			s.lost = false
			return nil, errLost
		}
		if err = errors.Join(err, fault); err != nil {
			return nil, err
		}
		if peer, ok := from.(*unix.SockaddrNetlink); ok && peer.Pid == 0 {
			return s.buffer[:n], nil
		}
	}
}

// openNotifications opens a socket for ACPI's notifications; family is their
// kind of message. There are none in a container, or without ACPI.
func openNotifications(ctx context.Context) (s *socket, family uint16, err error) {
	if s, err = openSocket(ctx, unix.NETLINK_GENERIC, 0); err != nil {
		return nil, 0, err
	}
	family, err = s.join(acpiFamily, acpiGroup)
	if err != nil {
		s.file.Close()
		return nil, 0, fmt.Errorf("cannot hear of ACPI from the kernel: %w", err)
	}
	return s, family, nil
}

// answerTime is how long the kernel may take to answer, which it does at once.
const answerTime = 10 * time.Second

func (s *socket) join(name, groupName string) (family uint16, err error) {
	if _, err := s.file.Write(askFamily(name)); err != nil {
		return 0, err
	}
	s.file.SetReadDeadline(time.Now().Add(answerTime))
	defer s.file.SetReadDeadline(time.Time{})
	answer, err := s.receive()
	if err != nil {
		return 0, err
	}
	family, group := parseFamily(answer, groupName)
	if family == 0 || group == 0 {
		return 0, fmt.Errorf("it has no %s", name)
	}
	fault := s.conn.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, int(group))
	})
	return family, errors.Join(err, fault)
}
