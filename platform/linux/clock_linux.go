package linux

import (
	"time"

	"golang.org/x/sys/unix"

	"onset/core/cause"
)

// Clock reads the machine's clocks. The monotonic one is that of the kernel,
// so it goes on over a re-exec.
func Clock() cause.Clock {
	var mono unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono)
	return cause.Clock{Mono: time.Duration(mono.Nano()), Wall: time.Now().UnixNano()}
}

// BecomeSubreaper makes orphans of this process's descendants its children.
func BecomeSubreaper() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }
