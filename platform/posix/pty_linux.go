package posix

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// OpenPTY opens a pseudo terminal in its default, cooked mode. The master
// does not block; both are close-on-exec and neither becomes the controlling
// terminal of this process.
func OpenPTY() (master, slave int, err error) {
	const flags = unix.O_RDWR | unix.O_NOCTTY | unix.O_CLOEXEC
	master, err = unix.Open("/dev/ptmx", flags|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, -1, &os.PathError{Op: "open", Path: "/dev/ptmx", Err: err}
	}
	if err = unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		unix.Close(master)
		return -1, -1, os.NewSyscallError("unlockpt", err)
	}
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER, uintptr(flags))
	if errno == 0 {
		return master, int(peer), nil
	}
	return openPeer(master, flags)
}

// openPeer opens the slave by its path, for kernels before 4.13.
func openPeer(master, flags int) (int, int, error) {
	n, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	if err != nil {
		unix.Close(master)
		return -1, -1, os.NewSyscallError("ptsname", err)
	}
	name := "/dev/pts/" + strconv.Itoa(n)
	slave, err := unix.Open(name, flags, 0)
	if err != nil {
		unix.Close(master)
		return -1, -1, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return master, slave, nil
}

// TerminalName returns the path of what a descriptor is.
func TerminalName(fd int) (string, error) {
	return os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
}
