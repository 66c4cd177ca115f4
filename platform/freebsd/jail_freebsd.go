package freebsd

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"onset/core/job"
	"onset/platform/posix"
)

// isolation is what jobs have in the kernel besides processes: jails with
// mounts for them, and rules of rctl(8) with a login class to be in. All of it
// is found by its name, so a manager can take over what one before it made.
type isolation struct {
	prefix string          // of the names of jails, behind which is the token
	jailed map[uint64]bool // spawns that this manager gave one
	stale  map[string]bool // jails of nobody, in which something lives
	taken  bool            // what was left is taken over
	warn   func(string)
	rules
}

// newIsolation is given what tells the inits of this machine apart; warn is told
// what cannot be removed, notice what the job of a token has to do without.
func newIsolation(name string, warn func(string), notice func(token uint64, text string)) *isolation {
	return &isolation{prefix: name + "_", warn: warn, jailed: map[uint64]bool{}, stale: map[string]bool{}, rules: rules{name: name, notice: notice,
		of: map[uint64]string{}, adopted: map[uint64]bool{}, known: map[string]bool{}}}
}

// place comes before the fork of a process: it makes the rules of its cgroup
// stanzas. The login classes are for posix.Plan.Cgroups; where there is one,
// only the exec stage will do. After an error, and if the fork fails, release
// is due.
func (i *isolation) place(token uint64, s *job.Spec) (classes []string, err error) {
	class, err := i.rules.place(token, s)
	if class != "" {
		classes = []string{class}
	}
	return classes, err
}

// jail completes the plan of a process that needs a jail.
func (i *isolation) jail(token uint64, plan *posix.Plan) {
	if len(plan.Isolation.Namespaces) > 0 {
		plan.Jail = i.prefix + strconv.FormatUint(token, 10)
		i.jailed[token] = true
	}
}

// jid returns the jail of a spawn, or 0: all processes in there are of it, and
// have the cpuset of the jail.
func (i *isolation) jid(token uint64) int {
	if i.taken && !i.jailed[token] && !i.adopted[token] {
		return 0
	}
	jid, _ := posix.FindJail(i.prefix + strconv.FormatUint(token, 10))
	return jid
}

// release removes what a spawn had; it is due when nothing of it lives.
func (i *isolation) release(token uint64) {
	if i.jailed[token] || i.adopted[token] {
		i.unjail(i.prefix + strconv.FormatUint(token, 10))
	}
	delete(i.jailed, token)
	i.rules.release(token)
	i.clear()
}

func (i *isolation) unjail(name string) {
	if jid, _ := posix.FindJail(name); jid != 0 { // nobody is in there but the dead
		if err := posix.RemoveJail(jid); err != nil && err != unix.EINVAL { // it is gone with them
			i.warn("cannot remove jail " + name + ": " + err.Error())
		}
	}
	if err := posix.RemoveTree(name); err != nil {
		i.warn("cannot remove what jail " + name + " saw: " + err.Error())
	}
}

// clear removes the jails of nobody in which nothing lives any more.
func (i *isolation) clear() {
	for name := range i.stale {
		if jid, empty := posix.FindJail(name); jid == 0 || empty {
			i.unjail(name)
			delete(i.stale, name)
		}
	}
}

// takeOver removes what a manager before this one left for tokens that are
// nobody's now. It is due once, after all processes are adopted.
func (i *isolation) takeOver(own map[uint64]bool) {
	i.taken = true
	i.rules.takeOver(own)
	left := posix.Trees()
	posix.Jails(func(_ int, name string) { left = append(left, name) })
	for _, name := range left {
		if token, ok := i.tokenOf(name); ok && !own[token] {
			i.stale[name] = true
		}
	}
	i.clear()
}

// tokenOf reads the name of a jail.
func (i *isolation) tokenOf(name string) (token uint64, ok bool) {
	number, ok := strings.CutPrefix(name, i.prefix)
	token, err := strconv.ParseUint(number, 10, 64)
	return token, ok && err == nil
}
