package posix

import (
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"onset/core/job"
)

// resources are the kernel's numbers of job.LimitNames; -1 where it has none.
var resources = [job.NumLimits]int{unix.RLIMIT_CPU, unix.RLIMIT_FSIZE, unix.RLIMIT_DATA, unix.RLIMIT_STACK, unix.RLIMIT_CORE,
	unix.RLIMIT_RSS, unix.RLIMIT_NPROC, unix.RLIMIT_NOFILE, unix.RLIMIT_MEMLOCK, unix.RLIMIT_AS, -1, -1, -1, -1, -1, -1}

// unraise does nothing: FreeBSD starts process 1 with equal limits.
func unraise() {}

func setLimit(i int, l *job.Limit) error {
	if !l.Set {
		return nil
	}
	if resources[i] < 0 || l.Soft > l.Hard { // the kernel would lower the soft one
		return unix.EINVAL
	}
	const most = uint64(1<<63 - 1) // the kernel's "unlimited"
	return unix.Setrlimit(resources[i], &unix.Rlimit{Cur: int64(min(l.Soft, most)), Max: int64(min(l.Hard, most))})
}

// groupsOf appends the groups to set, of which the first is the effective one.
func groupsOf(ids *IDs, to []uint32) []uint32 {
	to = append(to, uint32(ids.GID))
	for _, g := range ids.Groups {
		if g != ids.GID {
			to = append(to, uint32(g))
		}
	}
	return to
}

// setIDs sets groups, group and user, in this order; on this kernel they are
// those of the process.
func setIDs(ids *IDs, named bool) (Step, unix.Errno) {
	if unix.Geteuid() == 0 || ids.Asked {
		var groups [256]uint32
		list := groupsOf(ids, groups[:0])
		if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(list)), uintptr(unsafe.Pointer(unsafe.SliceData(list))), 0); errno != 0 {
			return StepGroups, errno
		}
	}
	if !named {
		return 0, 0
	}
	if err := unix.Setgid(ids.GID); err != nil {
		return StepSetgid, err.(syscall.Errno)
	}
	if err := unix.Setuid(ids.UID); err != nil {
		return StepSetuid, err.(syscall.Errno)
	}
	return 0, 0
}

func dup(from, to int) error { return unix.Dup2(from, to) }

func takeTerminal(fd int) error { return unix.IoctlSetInt(fd, unix.TIOCSCTTY, 0) }

// profile has nothing to switch: the kernel knows no such labels.
func (s *stage) profile() *SetupError {
	if s.Profile == "" {
		return nil
	}
	return fault(StepProfile, unix.ENOSYS)
}

// oom knows of processes that are killed like any other, and of those that
// never are, with all that they make (protect(1)).
func (s *stage) oom() *SetupError {
	const never, protect, set, inherit = -1000, 1, 1, 0x20 // PROC_SPROTECT, PPROT_SET, PPROT_INHERIT
	switch s.OOM {
	case 0:
	case never:
		if errno := procctl(protect, set|inherit); errno != 0 {
			return fault(StepOOM, errno)
		}
	default:
		e := &SetupError{Step: StepNotice, Text: "oom score " + strconv.Itoa(s.OOM) + " has no effect: the kernel knows no score but never"}
		e.send(s.report)
	}
	return nil
}

// procctl sets something of this process.
func procctl(command uintptr, value int32) unix.Errno {
	const ofProcess = 0 // P_PID
	_, _, errno := unix.RawSyscall6(unix.SYS_PROCCTL, ofProcess, uintptr(unix.Getpid()), command, uintptr(unsafe.Pointer(&value)), 0, 0)
	return errno
}
