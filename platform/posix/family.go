package posix

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"onset/platform"
)

// maxScans bounds how often Family looks: a service may fork all the time.
const maxScans = 8

// Family returns what a scan finds of a spawn, with the parent of each that
// lives. A scan also returns whom it saw, dead or alive. A process may fork and
// end while it is looked for, and so be missed with its child: two looks have
// to agree.
func Family(scan func() (family map[int]int, seen []int)) (family map[int]int) {
	var before []int
	for range maxScans {
		var seen []int
		family, seen = scan()
		seen = slices.AppendSeq(seen, maps.Keys(family))
		slices.Sort(seen)
		if seen = slices.Compact(seen); before != nil && slices.Equal(seen, before) {
			break
		}
		before = seen
	}
	return family
}

// Heir returns a root of a family: the one with most descendants, of these the
// oldest. 0 if nothing lives.
func Heir(family map[int]int, started func(pid int) time.Duration) int {
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
		return cmp.Or(cmp.Compare(size[a], size[b]), cmp.Compare(started(b), started(a)))
	})
}

// Descend adds all descendants to a family, by the parents of all that lives.
func Descend(family, parents map[int]int) {
	for again := len(family) > 0; again; {
		again = false
		for id, parent := range parents {
			if _, born := family[parent]; born && family[id] == 0 {
				family[id], again = parent, true
			}
		}
	}
}

// Tree lists members, each after its parent. describe returns a command line
// and the start after the boot of what exists.
func Tree(members []int, parentOf func(pid int) int, describe func(pid int) (string, time.Duration, bool)) (tree []platform.Process) {
	slices.Sort(members)
	children, in := map[int][]int{}, map[int]bool{}
	for _, pid := range members {
		in[pid] = true
	}
	for _, pid := range slices.Compact(members) {
		parent := parentOf(pid)
		if !in[parent] {
			parent = 0
		}
		children[parent] = append(children[parent], pid)
	}
	var add func(parent int)
	add = func(parent int) {
		for _, pid := range children[parent] {
			if command, started, ok := describe(pid); ok {
				tree = append(tree, platform.Process{PID: pid, Parent: parent, Command: command, Started: started})
			}
			add(pid)
		}
	}
	add(0)
	return tree
}
