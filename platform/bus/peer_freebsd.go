package bus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// hasAbstract says that socket names need no file.
const hasAbstract = false

// xucred is struct xucred of sys/ucred.h.
type xucred struct {
	version, uid uint32
	groups       int16
	group        [16]uint32
	pid          uint64 // in the low half since FreeBSD 13, where 0 was
}

// peerOf returns who connected, as of then. Kernels before FreeBSD 13 do not
// tell the process; that it reached the path of the socket has to do as a sign
// that it is in the host's file system.
func peerOf(fd int) (peer, error) {
	var x xucred
	size := uint32(unsafe.Sizeof(x))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), 0, unix.LOCAL_PEERCRED,
		uintptr(unsafe.Pointer(&x)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return peer{-1, -1}, errno
	}
	who := peer{int(x.uid), int(int32(x.pid))}
	if who.pid <= 0 {
		who.pid = -1
	}
	return who, nil
}

// widen sees to it that a socket takes wholeWrite bytes whole or not at all, and
// as many in all as one of Linux: 8 KiB are usual here. One that cannot be made
// so still works.
func widen(fd int) {
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 4*wholeWrite)
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDLOWAT, wholeWrite)
}

// UnreadRights reports whether descriptors come with a message that was
// peeked at: this kernel makes none for who peeks, so it has to be received.
func UnreadRights(oob []byte, flags int) bool {
	if flags&unix.MSG_CTRUNC != 0 {
		return true // only descriptors take so much
	}
	msgs, _ := unix.ParseSocketControlMessage(oob)
	for _, m := range msgs {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_RIGHTS {
			return true
		}
	}
	return false
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

// commandOf returns the command line of a process; empty without one.
func commandOf(pid int) string {
	args, err := unix.SysctlRaw("kern.proc.args", pid)
	if err != nil {
		return ""
	}
	return commandLine(args)
}

// Of struct kinfo_file in sys/user.h: its size, what it is about, which is
// kfRoot for the root directory, and the path.
const (
	kfSize, kfAbout = 0, 8
	kfPath          = 368
	kfRoot          = -2
)

// rootOf returns the root directory of a process; empty if it is ours.
func rootOf(pid int) (string, error) {
	files, err := unix.SysctlRaw("kern.proc.filedesc", pid)
	if err != nil {
		return "", err
	}
	for len(files) > kfPath {
		size := int(int32(binary.NativeEndian.Uint32(files[kfSize:])))
		if size <= kfPath || size > len(files) {
			break
		}
		if int32(binary.NativeEndian.Uint32(files[kfAbout:])) == kfRoot {
			path, _, _ := bytes.Cut(files[kfPath:size], []byte{0})
			switch string(path) {
			case "/":
				return "", nil
			case "":
				return "", errors.New("it has no path any more")
			}
			return string(path), nil
		}
		files = files[size:]
	}
	return "", errors.New("the kernel does not tell")
}
