package bus

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// hasAbstract says that socket names need no file.
const hasAbstract = true

// maxCommand is how much of a command line is kept, in bytes.
const maxCommand = 256

// peerOf returns who connected, as of then.
func peerOf(fd int) (peer, error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return peer{-1, -1}, err
	}
	return peer{int(cred.Uid), int(cred.Pid)}, nil
}

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
	return strings.ReplaceAll(strings.TrimRight(string(b[:max(n, 0)]), "\x00"), "\x00", " ")
}

// rootOf returns the root directory of a process; empty if it is ours.
func rootOf(pid int) (string, error) {
	root, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/root")
	if root == "/" {
		root = ""
	}
	return root, err
}
