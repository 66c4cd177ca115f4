package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// toBuild are the programs that tests run.
var toBuild = []string{".", "../initctl", "../onset-sources", "../../ci/run"}

// playRole is what the test binary does when it is a process of a test.
func playRole() {
	if trick := os.Getenv("ONSET_ESCAPE"); trick != "" {
		escape(trick)
	}
	if os.Getenv(clientMark) != "" {
		beClient(os.Args[1:])
		os.Exit(0)
	}
	defaultCancelSignal()
}

// defaultCancelSignal undoes what the C library's posix_spawn, and so make,
// does to its children: it ignores the signal that cancels threads, which jobs
// would inherit and show.
func defaultCancelSignal() {
	const cancel = 32
	var action struct{ handler, flags, restorer, mask uint64 } // zero = default
	unix.RawSyscall6(unix.SYS_RT_SIGACTION, cancel, uintptr(unsafe.Pointer(&action)), 0, unsafe.Sizeof(action.mask), 0, 0)
}

// onThisKernel: results of scripts are this kernel's.
func onThisKernel(result string) string { return result }

// asOther reports whether a session is to run as another user.
func asOther(attr *syscall.SysProcAttr) bool {
	return attr.Credential != nil || attr.UidMappings != nil
}

// apart reports whether a session is to have a network of its own.
func apart(attr *syscall.SysProcAttr) bool { return attr.Cloneflags&syscall.CLONE_NEWNET != 0 }

// arguments returns those of a process, the program's name first.
func arguments(pid int) []string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return strings.Split(string(text), "\x00")
}

// parent returns the parent of a process, 0 if it is gone.
func parent(pid int) (parent int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if _, rest, ok := strings.Cut(string(text), "\nPPid:"); ok {
		fmt.Sscan(rest, &parent)
	}
	return parent
}
