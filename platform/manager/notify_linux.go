package manager

import (
	"os"

	"golang.org/x/sys/unix"
)

// passCredentials has the kernel tell who sent a message.
func passCredentials(fd int) error {
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
}

// takeRights returns the sender and the descriptors of a control message.
func takeRights(oob []byte) (sender int, files []int) {
	msgs, _ := unix.ParseSocketControlMessage(oob)
	for i := range msgs {
		if fds, err := unix.ParseUnixRights(&msgs[i]); err == nil {
			files = append(files, fds...)
		} else if who, err := unix.ParseUnixCredentials(&msgs[i]); err == nil {
			sender = int(who.Pid)
		}
	}
	return sender, files
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
