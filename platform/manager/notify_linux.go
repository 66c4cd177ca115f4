package manager

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"onset/core/job"
)

// Where the socket of sd_notify is: that of a system, that of others before a
// number; and how many bytes are added to its name.
const (
	systemNotify = "/run/onset/notify"
	otherNotify  = "@onset/notify/"
	notifySuffix = 0
)

// notifySocketOf returns the address at which the process of a spec gets at the
// socket: one with a root directory of its own only at an abstract one, which is
// also what there is while no directory can be written to.
func (m *Manager) notifySocketOf(_ uint64, s *job.Spec) (address string, err error) {
	address = m.address
	ownRoot := s.Root != "" || s.Attrs.Chroot != ""
	if address[0] == '@' || !ownRoot {
		err = m.bindNotify(address, 0)
	}
	if address[0] != '@' && (ownRoot || err != nil) {
		address = "@" + strings.TrimPrefix(address, "/")
		err = m.bindNotify(address, 0)
	}
	return address, err
}

// spawnOf returns the token of the spawn that a message comes from, or 0.
func (m *Manager) spawnOf(_ *notifySocket, from sender) uint64 {
	return m.k.Processes.TokenOf(from.pid)
}

// passCredentials has the kernel tell who sent a message.
func passCredentials(fd int) error {
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
}

// takeRights returns the sender and the descriptors of a control message.
func takeRights(oob []byte) (from sender, files []int) {
	msgs, _ := unix.ParseSocketControlMessage(oob)
	for i := range msgs {
		if fds, err := unix.ParseUnixRights(&msgs[i]); err == nil {
			files = append(files, fds...)
		} else if who, err := unix.ParseUnixCredentials(&msgs[i]); err == nil {
			from = sender{int(who.Pid), int(who.Uid)}
		}
	}
	return from, files
}

// sameFile reports whether two descriptors are of one open file, as far as
// the kernel tells.
func sameFile(a, b int) bool {
	const file = 0 // KCMP_FILE
	own := uintptr(os.Getpid())
	order, _, errno := unix.Syscall6(unix.SYS_KCMP, own, own, file, uintptr(a), uintptr(b), 0)
	if errno == 0 {
		return order == 0
	}
	var x, y unix.Stat_t
	return unix.Fstat(a, &x) == nil && unix.Fstat(b, &y) == nil && x.Dev == y.Dev && x.Ino == y.Ino &&
		x.Mode&unix.S_IFMT != 0 // all without a kind share one inode
}
