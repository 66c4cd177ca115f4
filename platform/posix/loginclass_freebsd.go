package posix

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// loginClass is what a job is limited as together with others (rctl(8)); nil
// is that of init.
type entering struct{ loginClass *byte }

// cgroups reads the one login class that a process can be in.
func (s *stage) cgroups() *SetupError {
	if len(s.Cgroups) == 0 {
		return nil
	}
	var err error
	s.loginClass, err = syscall.BytePtrFromString(s.Cgroups[0])
	if err != nil {
		return failure(noCgroup, err)
	}
	return nil
}

// enterCgroups comes late: limits on threads and memory are those of the job,
// and the stage may need more. It takes no memory.
func (s *stage) enterCgroups() *SetupError {
	if s.loginClass == nil {
		return nil
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETLOGINCLASS, uintptr(unsafe.Pointer(s.loginClass)), 0, 0); errno != 0 {
		return &SetupError{Step: StepText, Text: noCgroup, Errno: errno}
	}
	return nil
}
