//go:build !linux && !freebsd

package main

import (
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"onset/core/job"
)

// signals are those the system has a name for.
var signals = func() (list job.Signals) {
	for n := syscall.Signal(1); n < 65; n++ {
		if name, ok := strings.CutPrefix(unix.SignalName(n), "SIG"); ok {
			list = append(list, job.SignalName{Name: name, Number: job.Signal(n)})
		}
	}
	return list
}()
