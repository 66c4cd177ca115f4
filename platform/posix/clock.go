package posix

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
