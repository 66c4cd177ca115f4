package posix

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// schedPolicies are those of sched_setscheduler(2).
var schedPolicies = map[string]uintptr{"fifo": 1, "other": 2, "rr": 3}

// policy gives idle jobs the idle class of rtprio(2). There is none like batch.
func (s *stage) policy() error {
	var errno unix.Errno
	switch name := s.Isolation.Sched; name {
	case "":
	case "idle":
		const set, idleClass, lowest = 1, 4, 31 // RTP_SET, RTP_PRIO_IDLE, RTP_PRIO_MAX
		p := [2]uint16{idleClass, lowest}
		_, _, errno = unix.RawSyscall(unix.SYS_RTPRIO, set, 0, uintptr(unsafe.Pointer(&p)))
	default:
		policy, ok := schedPolicies[name]
		if !ok {
			return unix.EOPNOTSUPP
		}
		prio := int32(s.Isolation.SchedPrio)
		if prio > 31 { // for which the kernel has no good name
			return unix.EINVAL
		}
		_, _, errno = unix.RawSyscall(unix.SYS_SCHED_SETSCHEDULER, 0, policy, uintptr(unsafe.Pointer(&prio)))
	}
	if errno != 0 {
		return errno
	}
	return nil
}

// runOn has this process run on some processors only. It leaves the number of
// its set as it is.
func runOn(list []int) error {
	const levelWhich, ofProcess = 3, 2
	var mask [128]byte
	for _, cpu := range list {
		if cpu >= 8*len(mask) {
			return unix.EINVAL
		}
		mask[cpu/8] |= 1 << (cpu % 8)
	}
	errno := unix.ERANGE
	for size := 32; errno == unix.ERANGE && size <= len(mask); size *= 2 { // how large a set is depends on the kernel
		_, _, errno = unix.Syscall6(unix.SYS_CPUSET_SETAFFINITY, levelWhich, ofProcess, ^uintptr(0), uintptr(size), uintptr(unsafe.Pointer(&mask)), 0)
	}
	if errno != 0 {
		return errno
	}
	return nil
}

func (s *stage) ioprio() error {
	if s.Isolation.IOPrio == "" {
		return nil
	}
	return unix.EOPNOTSUPP
}
