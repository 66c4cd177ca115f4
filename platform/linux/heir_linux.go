package linux

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/platform/posix"
)

// inherit finds who goes on in the place of a process that ended, and takes it
// over.
func (p *Processes) inherit(e *engine.Exited, c *posix.Child, t *tracee) {
	heir := p.heir(e.PID, c)
	if heir == 0 && t != nil && t.of != nil {
		heir = p.lateHeir(t.of)
	}
	if heir == 0 {
		return
	}
	h := &posix.Child{Token: c.Token, Follows: true, Second: true}
	h.Session, _ = unix.Getsid(heir)
	p.Children[heir] = h
	e.Heir = heir
	if t != nil && t.of != nil {
		t.of.tree.ended = append(t.of.tree.ended, e.PID)
		e.Forks = generations(t.of, p.kinOf(t.of.tree, heir))
	}
}

// lateHeir returns the last descendant of a traced process that its maker left,
// if it has ended, too, before anybody looked: that is still to be told, and
// how. 0 if there is none.
func (p *Processes) lateHeir(of *kin) (heir int) {
	dead := slices.Clone(of.tree.dead)
	for id, t := range p.traced {
		if t.leads(id) && !t.leaving && t.of.tree == of.tree {
			dead = append(dead, t.of)
		}
	}
	most := 0
	for _, k := range dead {
		n := generations(of, k)
		if n > 0 && (n > most || n == most && k.pid > heir) && posix.Inherits(parentOf(k.pid)) {
			most, heir = n, k.pid
		}
	}
	return heir
}

// kinOf returns what a trace knows of a process of a tree, or nil.
func (p *Processes) kinOf(in *tree, pid int) *kin {
	if t := p.traced[pid]; t != nil {
		return t.of
	}
	for _, k := range in.dead {
		if k.pid == pid {
			return k
		}
	}
	return nil
}

// heir returns who goes on for a process that ended, or 0.
func (p *Processes) heir(pid int, c *posix.Child) int {
	return posix.Heir(p.family(pid, c), func(pid int) time.Duration {
		_, started, _ := describe(pid)
		return started
	})
}

// family returns what lives of a spawn, with the parent of each.
func (p *Processes) family(pid int, c *posix.Child) map[int]int {
	return posix.Family(func() (map[int]int, []int) { return p.scan(pid, c) })
}

// scan looks once, and also returns whom it saw, dead or alive: those in the
// group of the spawn and in its tree while that is traced. Where the group has
// none it is also those in the session of the process, and their descendants.
func (p *Processes) scan(pid int, c *posix.Child) (family map[int]int, seen []int) {
	family, seen = map[int]int{}, []int{}
	note := func(id int) {
		seen = append(seen, id)
		if parent, ok := living(id); ok {
			family[id] = parent
		}
	}
	for _, id := range p.cgroups.processes(c.Token) {
		note(id)
	}
	grouped := len(seen) > 0
	for id, t := range p.traced {
		if t.leads(id) && !t.leaving && t.of.tree.token == c.Token && tracedHere(id) {
			note(id)
		}
	}
	if !grouped {
		all := allProcesses()
		for _, id := range all {
			if sid, err := unix.Getsid(id); err == nil && (sid == pid || sid == c.Session && sid != 0) {
				note(id)
			}
		}
		posix.Descend(family, parentsOf(all))
	}
	return family, seen
}

// parentsOf returns the parents of those that live.
func parentsOf(all []int) map[int]int {
	parents := map[int]int{}
	for _, id := range all {
		if parent, ok := living(id); ok {
			parents[id] = parent
		}
	}
	return parents
}

// generations returns how many forks lead from a process to another, 0 if
// nobody looked.
func generations(from, to *kin) (n int) {
	for k := to; k != nil; k = k.maker {
		if k == from {
			return n
		}
		n++
	}
	return 0
}
