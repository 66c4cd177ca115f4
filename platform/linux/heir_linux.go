package linux

import (
	"cmp"
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"onset/core/engine"
)

// inherit finds who goes on in the place of a process that ended, and takes it
// over.
func (p *Processes) inherit(e *engine.Exited, c *child, t *tracee) {
	heir := p.heir(e.PID, c)
	if heir == 0 {
		return
	}
	h := &child{token: c.token, follows: true, second: true}
	h.session, _ = unix.Getsid(heir)
	p.children[heir] = h
	e.Heir = heir
	if t != nil && t.of != nil {
		t.of.tree.ended = append(t.of.tree.ended, e.PID)
		e.Forks = p.generations(t.of, heir)
	}
}

// heir returns a root of what lives of the spawn of a process that ended: the
// one with most descendants, of these the oldest. 0 if nothing lives.
func (p *Processes) heir(pid int, c *child) int {
	family := p.family(pid, c)
	size := map[int]int{}
	for id := range family {
		for range family { // no further than there are
			if _, ok := family[family[id]]; !ok {
				break
			}
			id = family[id]
		}
		size[id]++
	}
	roots := slices.Sorted(maps.Keys(size))
	if len(roots) == 0 {
		return 0
	}
	return slices.MaxFunc(roots, func(a, b int) int {
		_, startOfA, _ := describe(a)
		_, startOfB, _ := describe(b)
		return cmp.Or(cmp.Compare(size[a], size[b]), cmp.Compare(startOfB, startOfA))
	})
}

// maxScans bounds how often family looks: a service may fork all the time.
const maxScans = 8

// family returns what lives of a spawn, with the parent of each. A process may
// fork and end while it is looked for, and so be missed with its child: two
// looks have to agree.
func (p *Processes) family(pid int, c *child) (family map[int]int) {
	var before []int
	for range maxScans {
		var seen []int
		if family, seen = p.scan(pid, c); before != nil && slices.Equal(seen, before) {
			break
		}
		before = seen
	}
	return family
}

// scan looks once, and also returns whom it saw, dead or alive: those in the
// group of the spawn and in its tree while that is traced. Where the group has
// none it is also those in the session of the process, and their descendants.
func (p *Processes) scan(pid int, c *child) (family map[int]int, seen []int) {
	family, seen = map[int]int{}, []int{}
	note := func(id int) {
		seen = append(seen, id)
		if parent, ok := living(id); ok {
			family[id] = parent
		}
	}
	for _, id := range p.cgroups.processes(c.token) {
		note(id)
	}
	grouped := len(seen) > 0
	for id, t := range p.traced {
		if t.leads(id) && !t.leaving && t.of.tree.token == c.token && tracedHere(id) {
			note(id)
		}
	}
	if !grouped {
		all := allProcesses()
		for _, id := range all {
			if sid, err := unix.Getsid(id); err == nil && (sid == pid || sid == c.session && sid != 0) {
				note(id)
			}
		}
		descend(family, all)
	}
	seen = slices.AppendSeq(seen, maps.Keys(family))
	slices.Sort(seen)
	return family, slices.Compact(seen)
}

// descend adds all descendants to a family.
func descend(family map[int]int, all []int) {
	if len(family) == 0 {
		return
	}
	parents := map[int]int{}
	for _, id := range all {
		if parent, ok := living(id); ok {
			parents[id] = parent
		}
	}
	for again := true; again; {
		again = false
		for id, parent := range parents {
			if _, born := family[parent]; born && family[id] == 0 {
				family[id], again = parent, true
			}
		}
	}
}

// generations returns how many forks lead from a process to another, 0 if
// nobody looked.
func (p *Processes) generations(from *kin, to int) (n int) {
	t := p.traced[to]
	if t == nil {
		return 0
	}
	for k := t.of; k != nil; k = k.maker {
		if k == from {
			return n
		}
		n++
	}
	return 0
}
