package posix

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// fiodgname is FIODGNAME: the name of a device in a buffer.
const fiodgname = 0x80000000 | unsafe.Sizeof(deviceName{})<<16 | 'f'<<8 | 120

type deviceName struct {
	length int32
	buf    *byte
}

// OpenPTY opens a pseudo terminal in its default, cooked mode. The master
// does not block; both are close-on-exec and neither becomes the controlling
// terminal of this process.
func OpenPTY() (master, slave int, err error) {
	const flags = unix.O_RDWR | unix.O_NOCTTY | unix.O_CLOEXEC
	fd, _, errno := unix.Syscall(unix.SYS_POSIX_OPENPT, uintptr(flags), 0, 0)
	if errno != 0 {
		return -1, -1, os.NewSyscallError("posix_openpt", errno)
	}
	master = int(fd)
	name, err := TerminalName(master)
	if err == nil {
		if slave, err = unix.Open(name, flags, 0); err == nil {
			err = setUp(master, slave)
		}
	}
	if err != nil {
		if slave > 0 {
			unix.Close(slave)
		}
		unix.Close(master)
		return -1, -1, os.NewSyscallError("ptsname", err)
	}
	return master, slave, nil
}

// setUp makes the terminal as fast as one of Linux: with its speed goes how
// much it holds, a fifth of a second's bits in bytes.
func setUp(master, slave int) error {
	mode, err := unix.IoctlGetTermios(slave, unix.TIOCGETA)
	if err == nil {
		mode.Ispeed, mode.Ospeed = unix.B38400, unix.B38400
		err = unix.IoctlSetTermios(slave, unix.TIOCSETA, mode)
	}
	if err == nil {
		err = unix.SetNonblock(master, true)
	}
	return err
}

// TerminalName returns the path of the terminal that a descriptor is; of a
// master, that of its slave.
func TerminalName(fd int) (string, error) {
	var buf [64]byte
	arg := deviceName{int32(len(buf)), &buf[0]}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), fiodgname, uintptr(unsafe.Pointer(&arg)))
	if errno != 0 {
		return "", errno
	}
	return "/dev/" + unix.ByteSliceToString(buf[:]), nil
}
