package posix

import (
	"os"

	"golang.org/x/sys/unix"
)

const (
	idPID           = 0 // P_PID
	procReapAcquire = 2 // PROC_REAP_ACQUIRE of procctl(2)
)

// AdoptOrphans makes orphans of this process's descendants its children.
// Process 1 has them already.
func AdoptOrphans() error {
	_, _, errno := unix.Syscall6(unix.SYS_PROCCTL, idPID, uintptr(unix.Getpid()), procReapAcquire, 0, 0, 0)
	if errno != 0 && errno != unix.EBUSY {
		return os.NewSyscallError("procctl", errno)
	}
	return nil
}
