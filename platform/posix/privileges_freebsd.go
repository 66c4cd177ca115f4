package posix

import "golang.org/x/sys/unix"

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
	errno := procctl(19, 1) // PROC_NO_NEW_PRIVS_CTL
	if errno == unix.EINVAL {
		return unix.EOPNOTSUPP
	}
	return errno
}
