package keeper

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// apart makes the keeper process 1.
var apart = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}

func (f *first) pid() int { return 1 }

// ownSignals are those that other kernels do not have, or not Go there.
var ownSignals = []syscall.Signal{unix.SIGPWR, 35, 64}

func TestRebootEndsTheNamespace(t *testing.T) {
	f := boot(t, "reboot")
	ws := f.end().Sys().(syscall.WaitStatus)
	if !ws.Signaled() || ws.Signal() != unix.SIGHUP { // reboot(2), "Behavior inside PID namespaces"
		t.Errorf("ended with %#x, want by SIGHUP\n%s", ws, f.log())
	}
}

// ignored returns the bits of signals 1 to 31 that this process ignores; those
// above may come from who runs the test.
func ignored() uint64 {
	status, err := os.ReadFile("/proc/thread-self/status")
	must(err)
	_, mask, _ := strings.Cut(string(status), "SigIgn:")
	mask, _, _ = strings.Cut(mask, "\n")
	bits, err := strconv.ParseUint(strings.TrimSpace(mask), 16, 64)
	must(err)
	return bits & (1<<31 - 1)
}

// descriptors returns how many a process has open.
func descriptors(t *testing.T, pid int) int {
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// privateKB returns what process 1 alone holds of memory.
func privateKB(t *testing.T, f *first) (private, pss int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", f.cmd.Process.Pid))
	if err != nil {
		t.Skip("no smaps_rollup: ", err)
	}
	for line := range strings.Lines(string(text)) {
		var what string
		var kb int
		switch fmt.Sscan(line, &what, &kb); what {
		case "Private_Clean:", "Private_Dirty:":
			private += kb
		case "Pss:":
			pss = kb
		}
	}
	return private, pss
}

func TestKeeperIsSmall(t *testing.T) {
	f := boot(t, "idle")
	f.until("ready")
	private, pss := privateKB(t, f)
	t.Logf("private %d kB, PSS %d kB, in the test binary", private, pss)
	if private > 2200 && !raceEnabled {
		t.Errorf("private %d kB, want at most 2200", private)
	}
}

func init() {
	keepers["broken"] = script{manager: exitManager,
		change: func(o *Options) { o.Path, o.Args = "/bin/sh", []string{"sh", "-c", "exit 2"} }}
	keepers["missing"] = script{manager: exitManager, change: func(o *Options) { o.Path = "/nonexistent" }}
}

// TestBrokenUpgrade has a program whose managers die by their own fault, and one
// that is not there: the program of the keeper itself goes on.
func TestBrokenUpgrade(t *testing.T) {
	for _, script := range []string{"broken", "missing"} {
		f := boot(t, script)
		if code := f.end().ExitCode(); code != 42 {
			t.Errorf("%s: exit status %d, want 42 by a manager\n%s", script, code, f.log())
		}
	}
}
