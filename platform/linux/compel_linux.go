package linux

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// harmless are the signals that end nobody by themselves.
var harmless = []unix.Signal{unix.SIGCHLD, unix.SIGCONT, unix.SIGURG, unix.SIGWINCH, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU,
	unix.SIGSTOP, unix.SIGKILL}

// compel ends a process by a signal that would end it, were it not process 1
// of its namespace: from such a one the kernel keeps every signal that it does
// not handle. One with children is left alone, since they would be killed with
// it, and it mostly ends after them.
func compel(pid int, sig unix.Signal) {
	if pid == 0 || slices.Contains(harmless, sig) {
		return
	}
	ids := strings.Fields(statusWord(pid, "NSpid"))
	if len(ids) < 2 || ids[len(ids)-1] != "1" || handles(pid, sig) || hasChildren(pid) {
		return
	}
	unix.Kill(pid, unix.SIGKILL)
}

// handles reports whether a process catches, ignores, blocks or waits for a
// signal.
func handles(pid int, sig unix.Signal) bool {
	for _, name := range []string{"SigCgt", "SigIgn", "SigBlk"} {
		mask, err := strconv.ParseUint(statusWord(pid, name), 16, 64)
		if err != nil || mask>>(sig-1)&1 != 0 {
			return true
		}
	}
	// A signal that is waited for does not count as blocked meanwhile.
	text, err := os.ReadFile(procPath(pid, "syscall"))
	call, _, _ := strings.Cut(string(text), " ")
	return err != nil || call == strconv.Itoa(unix.SYS_RT_SIGTIMEDWAIT)
}

// hasChildren also says so where the kernel does not tell.
func hasChildren(pid int) bool {
	for _, tid := range threads(pid) {
		if text, err := os.ReadFile(procPath(pid, "task", itoa(tid), "children")); err != nil || len(text) > 0 {
			return true
		}
	}
	return false
}
