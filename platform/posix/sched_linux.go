package posix

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const ioprioOfProcess, ioprioClassShift = 1, 13

var ioprioClasses = map[string]int{"realtime": 1, "best-effort": 2, "idle": 3}

var schedPolicies = map[string]uint32{"other": unix.SCHED_NORMAL, "fifo": unix.SCHED_FIFO, "rr": unix.SCHED_RR,
	"batch": unix.SCHED_BATCH, "idle": unix.SCHED_IDLE}

func (s *stage) policy() error {
	if s.Isolation.Sched == "" {
		return nil
	}
	policy, ok := schedPolicies[s.Isolation.Sched]
	if !ok {
		return unix.EINVAL
	}
	return unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: policy, Priority: uint32(s.Isolation.SchedPrio)}, 0)
}

// runOn has this thread run on some processors only.
func runOn(list []int) error {
	var set unix.CPUSet
	for _, cpu := range list {
		set.Set(cpu)
	}
	return unix.SchedSetaffinity(0, &set)
}

// ioprio reads a class with an optional level, as "best-effort 4".
func (s *stage) ioprio() error {
	f := strings.Fields(s.Isolation.IOPrio)
	if len(f) == 0 {
		return nil
	}
	class, ok := ioprioClasses[f[0]]
	level := 0
	if len(f) > 1 {
		n, err := strconv.ParseUint(f[1], 10, 3)
		ok, level = ok && err == nil, int(n)
	}
	if !ok {
		return unix.EINVAL
	}
	_, _, errno := unix.RawSyscall(unix.SYS_IOPRIO_SET, ioprioOfProcess, 0, uintptr(class<<ioprioClassShift|level))
	if errno != 0 {
		return errno
	}
	return nil
}
