package linux

import (
	"bytes"
	"cmp"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

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
	h := &child{token: c.token, forks: true, second: true}
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
		return cmp.Or(cmp.Compare(size[a], size[b]), cmp.Compare(startOf(b), startOf(a)))
	})
}

// family returns what lives of a spawn, with the parent of each: the processes
// in its group and in its tree while that is traced, and where its group has
// none those in the session of the process and their descendants.
func (p *Processes) family(pid int, c *child) map[int]int {
	family := map[int]int{}
	for _, id := range p.cgroups.processes(c.token) {
		if alive(id) {
			family[id] = parentOf(id)
		}
	}
	grouped := len(family) > 0
	for id, t := range p.traced {
		if t.leads(id) && !t.leaving && t.of.tree.token == c.token && tracedHere(id) && alive(id) {
			family[id] = parentOf(id)
		}
	}
	if grouped {
		return family
	}
	parents := map[int]int{}
	for _, id := range allProcesses() {
		if !alive(id) {
			continue
		}
		parents[id] = parentOf(id)
		if sid, err := unix.Getsid(id); err == nil && (sid == pid || sid == c.session && sid != 0) {
			family[id] = parents[id]
		}
	}
	for again := true; again; {
		again = false
		for id, parent := range parents {
			if _, child := family[parent]; child && family[id] == 0 {
				family[id], again = parent, true
			}
		}
	}
	return family
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

// startOf returns when a process was started, in ticks since boot: the 22nd
// field of proc(5), where the third follows the program's name.
func startOf(pid int) uint64 {
	text, _ := os.ReadFile(procPath(pid, "stat"))
	f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(f) < 20 {
		return 0
	}
	n, _ := strconv.ParseUint(f[19], 10, 64)
	return n
}
