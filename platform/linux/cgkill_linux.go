package linux

import (
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"onset/platform/posix"
)

// kill signals each process of the group of a token and of groups below it.
// With KILL none escapes by forking. It reports whether the process pid was
// surely among them.
func (c *cgroups) kill(token uint64, pid int, sig unix.Signal) (reached bool, err error) {
	if sig != unix.SIGKILL {
		found := c.processes(token)
		return slices.Contains(found, pid), posix.SignalAll(found, sig)
	}
	if os.WriteFile(c.path(token)+"/cgroup.kill", []byte("1"), 0) == nil { // since Linux 5.14
		return false, nil
	}
	return false, c.hunt(token)
}

// hunt kills without the kernel's help until only processes are there that
// have their signal. Who has it forks no more, and who is frozen (since Linux
// 5.2) neither.
func (c *cgroups) hunt(token uint64) error {
	frozen := c.path(token) + "/cgroup.freeze"
	os.WriteFile(frozen, []byte("1"), 0)
	defer os.WriteFile(frozen, []byte("0"), 0)
	for before := map[int]bool{}; ; {
		now, again := map[int]bool{}, false
		found := c.processes(token)
		for _, pid := range found {
			now[pid] = true
			again = again || !before[pid]
		}
		if !again {
			return nil
		}
		if err := posix.SignalAll(found, unix.SIGKILL); err != nil {
			return err
		}
		before = now
	}
}
