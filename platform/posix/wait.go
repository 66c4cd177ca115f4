package posix

import (
	"errors"

	"golang.org/x/sys/unix"

	"onset/core/job"
)

// What is told of a child, in the codes of siginfo.
const (
	ChildExited    = 1
	ChildKilled    = 2
	ChildDumped    = 3
	ChildTrapped   = 4
	ChildStopped   = 5
	ChildContinued = 6
)

// Dead says that of a code.
func Dead(code int) bool { return code <= ChildDumped }

// StatusOf is the status of a dead child.
func StatusOf(code, status int) job.Status {
	if code == ChildExited {
		return job.Exit(status)
	}
	return job.Killed(job.Signal(status))
}

// WaitFor is the option of waitid(2) that takes a report of a code and no
// other.
func WaitFor(code int) int {
	switch {
	case Dead(code):
		return unix.WEXITED
	case code == ChildContinued:
		return unix.WCONTINUED
	}
	return unix.WSTOPPED
}

// Signal sends a signal to a process or to its group, unless that is our own.
// One that is not there is no error.
func Signal(pid int, sig unix.Signal, group bool) error {
	if pid == 0 {
		return nil
	}
	if group {
		if id, err := unix.Getpgid(pid); err == nil && id > 1 && id != unix.Getpgrp() {
			pid = -id
		}
	}
	if err := unix.Kill(pid, sig); err != nil && err != unix.ESRCH {
		return err
	}
	return nil
}

// SignalAll signals each of some processes.
func SignalAll(pids []int, sig unix.Signal) (err error) {
	for _, pid := range pids {
		err = errors.Join(err, Signal(pid, sig, false))
	}
	return err
}
