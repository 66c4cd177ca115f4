package bus

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// hasAbstract says that socket names need no file.
const hasAbstract = true

// peerOf returns who connected, as of then.
func peerOf(fd int) (peer, error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return peer{-1, -1}, err
	}
	return peer{int(cred.Uid), int(cred.Pid)}, nil
}

// widen sees to it that a socket takes wholeWrite bytes whole; it does.
func widen(int) {}

// UnreadRights reports whether descriptors come with a message that was
// peeked at, but not to who peeks; they do here.
func UnreadRights(oob []byte, flags int) bool { return false }

// queued returns how many bytes a socket holds.
func queued(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.SIOCINQ)
	if err != nil {
		return 0
	}
	return n
}

// commandOf returns the command line of a process; empty without one.
func commandOf(pid int) string {
	fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/cmdline", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	var b [maxCommand]byte
	n, _ := unix.Read(fd, b[:])
	return commandLine(b[:max(n, 0)])
}

// rootOf returns the root directory of a process; empty if it is ours.
func rootOf(pid int) (string, error) {
	root, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/root")
	if root == "/" {
		root = ""
	}
	return root, err
}
