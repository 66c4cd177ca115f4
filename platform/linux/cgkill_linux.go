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
	c.killed[token] = true
	return false, c.strike(token)
}

// strike sends KILL to all that the kernel shows in the group of a token.
func (c *cgroups) strike(token uint64) error {
	if os.WriteFile(c.path(token)+"/cgroup.kill", []byte("1"), 0) == nil { // since Linux 5.14
		return nil
	}
	return c.hunt(token)
}

// strikeAgain does so in groups that are to be empty and are not. A process
// whose fork was under way at the first time may only come to be seen after it
// (cgroup.kill knows of those since Linux 6.14); the end of its parent, which has
// the signal, is told later still, and brings a Collect.
func (c *cgroups) strikeAgain() {
	for token := range c.killed {
		if unix.Access(c.path(token), unix.F_OK) != nil {
			delete(c.killed, token)
			continue
		}
		c.strike(token)
	}
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
