package posix

import (
	"os"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"onset/core/job"
)

// resources are the kernel's numbers of job.LimitNames.
var resources = [job.NumLimits]int{unix.RLIMIT_CPU, unix.RLIMIT_FSIZE, unix.RLIMIT_DATA, unix.RLIMIT_STACK, unix.RLIMIT_CORE,
	unix.RLIMIT_RSS, unix.RLIMIT_NPROC, unix.RLIMIT_NOFILE, unix.RLIMIT_MEMLOCK, unix.RLIMIT_AS, unix.RLIMIT_LOCKS,
	unix.RLIMIT_SIGPENDING, unix.RLIMIT_MSGQUEUE, unix.RLIMIT_NICE, unix.RLIMIT_RTPRIO, unix.RLIMIT_RTTIME}

// unraise sets the limit on descriptors that the program would have without Go.
func unraise() {
	if limit := startLimit(); limit != nil {
		unix.Setrlimit(unix.RLIMIT_NOFILE, limit)
	}
}

func setLimit(i int, l *job.Limit) error {
	if !l.Set {
		return nil
	}
	return unix.Setrlimit(resources[i], &unix.Rlimit{Cur: l.Soft, Max: l.Hard})
}

// groupsOf appends the groups to set.
func groupsOf(ids *IDs, to []uint32) []uint32 {
	for _, g := range ids.Groups {
		to = append(to, uint32(g))
	}
	return to
}

// setIDs sets groups, group and user of this thread, in this order. Where a
// job asks for none, a name space without groups is no fault.
func setIDs(ids *IDs, named bool) (Step, unix.Errno) {
	if unix.Geteuid() == 0 || ids.Asked {
		var groups [256]uint32
		list := groupsOf(ids, groups[:0])
		_, _, errno := syscall.RawSyscall(sysSetgroups, uintptr(len(list)), uintptr(unsafe.Pointer(unsafe.SliceData(list))), 0)
		if errno != 0 && (named || ids.Asked || errno != unix.EPERM) {
			return StepGroups, errno
		}
	}
	if !named {
		return 0, 0
	}
	if _, _, errno := syscall.RawSyscall(sysSetgid, uintptr(ids.GID), 0, 0); errno != 0 {
		return StepSetgid, errno
	}
	if _, _, errno := syscall.RawSyscall(sysSetuid, uintptr(ids.UID), 0, 0); errno != 0 {
		return StepSetuid, errno
	}
	return 0, 0
}

func dup(from, to int) error { return unix.Dup3(from, to, 0) }

// takeTerminal makes a terminal that of this session, also if another has it.
func takeTerminal(fd int) error {
	return unix.IoctlSetInt(fd, unix.TIOCSCTTY, 1)
}

func (s *stage) profile() *SetupError {
	if s.Profile == "" {
		return nil
	}
	return fault(StepProfile, writeFile("/proc/self/attr/exec", "exec "+s.Profile+"\n"))
}

// oom falls back to the file of old kernels (UPSTART §4.3 step 12).
func (s *stage) oom() *SetupError {
	if s.OOM == 0 {
		return nil
	}
	err := writeFile("/proc/self/oom_score_adj", strconv.Itoa(s.OOM))
	if os.IsNotExist(err) {
		scale := 15
		if s.OOM < 0 {
			scale = 17
		}
		err = writeFile("/proc/self/oom_adj", strconv.Itoa(s.OOM*scale/1000))
	}
	return fault(StepOOM, err)
}

// writeFile writes to a file that exists, in one piece.
func writeFile(name, text string) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}
