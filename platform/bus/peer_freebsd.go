package bus

import (
	"errors"

	"golang.org/x/sys/unix"
)

// hasAbstract says that socket names need no file.
const hasAbstract = false

// peerOf returns who connected; the process is not told.
func peerOf(fd int) (peer, error) {
	cred, err := unix.GetsockoptXucred(fd, 0, unix.LOCAL_PEERCRED)
	if err != nil {
		return peer{-1, -1}, err
	}
	return peer{int(cred.Uid), -1}, nil
}

// queued returns how many bytes a socket holds.
func queued(fd int) int {
	const fionread = 0x4004667f
	n, err := unix.IoctlGetInt(fd, fionread)
	if err != nil {
		return 0
	}
	return n
}

func commandOf(int) string { return "" }

func rootOf(int) (string, error) { return "", errors.ErrUnsupported }
