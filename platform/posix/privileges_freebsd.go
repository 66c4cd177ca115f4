package posix

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// privilege is nothing here: the kernel has no capabilities.
type privilege struct{}

const noCapabilities = "unable to set capabilities"

func (s *stage) privileges() *SetupError {
	if len(s.Isolation.CapBounding)+len(s.Isolation.CapAmbient) == 0 {
		return nil
	}
	return failure(noCapabilities, unix.ENOSYS)
}

func (*privilege) beforeIDs() unix.Errno { return 0 }

func (*privilege) afterIDs() unix.Errno { return 0 }

// setNoNewPrivileges needs FreeBSD 14.
func setNoNewPrivileges() unix.Errno {
	const ofProcess, noNewPrivileges = 0, 19 // P_PID, PROC_NO_NEW_PRIVS_CTL
	enable := int32(1)
	_, _, errno := unix.RawSyscall6(unix.SYS_PROCCTL, ofProcess, uintptr(unix.Getpid()), noNewPrivileges, uintptr(unsafe.Pointer(&enable)), 0, 0)
	if errno == unix.EINVAL {
		return unix.EOPNOTSUPP
	}
	return errno
}
