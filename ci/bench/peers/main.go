//go:build linux

// Command peers measures Onset and other inits at the same things in the same
// run and prints the table on standard output, for docs/PERFORMANCE.md; what
// it is doing goes to standard error. It runs from the module root, as root.
//
// Each init is process 1 of PID, mount, network, IPC, UTS and cgroup
// namespaces of its own, in a root of its own, and everything there runs
// under SCHED_RR 1. The peers are the packages of Debian, unpacked below bin/,
// and systemd as installed. What cannot be measured is named with its reason.
//
// The order of a run: programs, then rounds in which every init takes its
// turn, so that a slow minute of the machine hits all of them; medians count.
package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const rounds = 5

func main() {
	if len(os.Args) > 1 && os.Args[1] == stageWord {
		runtime.LockOSThread()
		fmt.Fprintln(os.Stderr, "peers:", stage(os.Args[2:]))
		os.Exit(1)
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// run measures the rows and inits named, or all.
func run(only []string) error {
	named := func(name string) bool { return slices.Contains(only, name) }
	if slices.ContainsFunc(inits, func(p peer) bool { return named(p.name) }) {
		inits = slices.DeleteFunc(inits, func(p peer) bool { return !named(p.name) })
	}
	everyRow := !slices.ContainsFunc(rows, func(r row) bool { return named(r.name) })
	if os.Getuid() != 0 {
		fmt.Println("Not measured: namespaces and SCHED_RR need root.")
		return nil
	}
	if realtime() == nil {
		unix.Exec("/proc/self/exe", os.Args, os.Environ()) // so that every thread has it
	}
	dir, err := os.MkdirTemp("/dev/shm", "onset-peers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{dir: dir, figures: map[string]map[string][]float64{}, missing: map[string]map[string]string{}}
	if err := b.prepare(); err != nil {
		return err
	}
	for _, r := range rows {
		if everyRow || named(r.name) {
			b.measure(r)
		}
	}
	b.print(os.Stdout)
	return nil
}

// realtime puts the calling thread under SCHED_RR 1; an error means that it
// is there already, or cannot be.
func realtime() error {
	policy, _, errno := syscall.Syscall(syscall.SYS_SCHED_GETSCHEDULER, 0, 0, 0)
	if errno != 0 || policy == unix.SCHED_RR {
		return fmt.Errorf("scheduling policy %d: %v", policy, errno)
	}
	priority := int32(1)
	_, _, errno = syscall.Syscall(syscall.SYS_SCHED_SETSCHEDULER, 0, unix.SCHED_RR, uintptr(unsafe.Pointer(&priority)))
	if errno != 0 {
		return errno
	}
	return nil
}
