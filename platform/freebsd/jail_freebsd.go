package freebsd

import (
	"onset/core/job"
	"onset/platform/posix"
)

// isolation is what jobs have in the kernel besides processes: a jail, mounts
// for it, and rules of rctl(8) with a login class to be in. All of it is found
// by its name, so a manager can take over what one before it made.
type isolation struct {
	notice func(token uint64, text string)
}

func newIsolation(notice func(token uint64, text string)) *isolation {
	return &isolation{notice: notice}
}

// place comes before the fork of a process: it makes the rules of its cgroup
// stanzas. The login classes are for posix.Plan.Cgroups; where there is one,
// only the exec stage will do. After an error, and if the fork fails, release
// is due.
func (i *isolation) place(token uint64, s *job.Spec) (classes []string, err error) {
	return nil, nil
}

// jail returns the name for posix.Plan.Jail, "" where a plan needs none.
func (i *isolation) jail(token uint64, plan *posix.Plan) string { return "" }

// jid returns the jail of a spawn, or 0: all processes in there are of it, and
// have the cpuset of the jail.
func (i *isolation) jid(token uint64) int { return 0 }

// release removes what a spawn had; it is due when nothing of it lives.
func (i *isolation) release(token uint64) {}

// takeOver removes what a manager before this one left for tokens that are
// nobody's now. It is due once, after all processes are adopted.
func (i *isolation) takeOver(own map[uint64]bool) {}

// starved reports whether a process that is dead by KILL was killed for want
// of memory.
func (i *isolation) starved(token uint64, pid int) bool { return false }
