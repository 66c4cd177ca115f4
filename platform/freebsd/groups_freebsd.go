package freebsd

import (
	"os"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// groups knows which processes come from a spawn. While the manager lives that
// forked the first of them, the kernel's reaper tells: they are the subtree of
// that one. What outlives the manager is a number that children inherit, of the
// set of processors that all of them run on (cpuset(2)): each spawn is born
// with a number of its own. Without a limit on processors it has no other
// effect. A table says whose number it is; it is in memory that outlives the
// manager, too.
type groups struct {
	reaper
	table  []tag            // by number
	of     map[uint64]group // by token
	tokens map[int]uint64   // by the first process of a group of this manager
	jid    func(token uint64) int
	failed bool  // told that there are no numbers
	mask   *cpus // that jobs are to have; nil: all
	warn   func(string)
}

// group are the processes of a spawn.
type group struct {
	number int // 0: none
	root   int // first process, if it is a child of this manager
	first  int // first process, if that is known
}

// tag is what is known of a number. All changes of it leave it right.
type tag struct {
	token uint64
	first int64 // process; 0: not forked yet, as far as is known
}

// maxNumbers is more than there are processes: the kernel takes the lowest
// number that is free.
const maxNumbers = 1 << 17

// GroupMemory is how many bytes Remember needs.
const GroupMemory = maxNumbers * int(unsafe.Sizeof(tag{}))

// highest is the place in the table, which no number has, of the highest one
// in use.
const highest = 0

func newGroups(jid func(token uint64) int, warn func(string)) *groups {
	g := &groups{table: make([]tag, maxNumbers), of: map[uint64]group{}, tokens: map[int]uint64{}, jid: jid, warn: warn}
	all, _ := processors(levelRoot)
	if own, ok := processors(levelSet); ok && own != all {
		g.mask = &own
	}
	return g
}

// Remember has memory that outlives the manager, GroupMemory bytes, know which
// processes come from which spawn. It is that of the manager before if there was one,
// else zero. It comes before all else.
func (p *Processes) Remember(memory []byte) {
	g := p.groups
	g.table = unsafe.Slice((*tag)(unsafe.Pointer(&memory[0])), maxNumbers)
	for n := 1; n <= int(g.table[highest].first); n++ {
		if t := g.table[n]; t.token != 0 {
			g.of[t.token] = group{number: n, first: int(t.first)}
		}
	}
}

// begin has all that this process forks from now on be of a token. The process
// itself is of it too, until the next one.
func (g *groups) begin(token uint64) {
	var number int32
	if _, _, errno := unix.Syscall(unix.SYS_CPUSET, uintptr(unsafe.Pointer(&number)), 0, 0); errno != 0 {
		if !g.failed {
			g.failed = true
			g.warn("processes of jobs will not be known after a crash of init: cpuset: " + errno.Error())
		}
		number = 0
	}
	if number > 0 && g.mask != nil {
		unix.Syscall6(unix.SYS_CPUSET_SETAFFINITY, levelOwn, ofSet, uintptr(number), uintptr(g.mask.size), uintptr(unsafe.Pointer(&g.mask.mask)), 0)
	}
	g.of[token] = group{number: g.note(int(number), token)}
}

// cpus is a set of processors, cpuset_t: 128 bytes since FreeBSD 14.
type cpus struct {
	size int
	mask [128]byte
}

// processors returns those that a set may use in which this process is.
func processors(level uintptr) (c cpus, ok bool) {
	for c.size = 32; c.size <= len(c.mask); c.size *= 2 {
		_, _, errno := unix.Syscall6(unix.SYS_CPUSET_GETAFFINITY, level, ofProcess, ^uintptr(0), uintptr(c.size), uintptr(unsafe.Pointer(&c.mask)), 0)
		if errno == 0 {
			return c, true
		}
	}
	return c, false
}

// note enters whose number it is, and returns it, or 0 if there is no place.
func (g *groups) note(number int, token uint64) int {
	if number <= 0 || number >= len(g.table) {
		return 0
	}
	t := &g.table[number]
	if other, ok := g.of[t.token]; ok && t.token != token { // nothing of it lives any more
		other.number = 0
		g.of[t.token] = other
	}
	*t = tag{}
	g.table[highest].first = max(g.table[highest].first, int64(number))
	t.token = token
	return number
}

// born says which process was forked.
func (g *groups) born(token uint64, pid int) {
	old := g.of[token]
	g.of[token] = group{number: old.number, root: pid, first: pid}
	g.tokens[pid] = token
	if old.number > 0 {
		g.table[old.number].first = int64(pid)
	}
}

// adopt learns what a process is of that a manager before made.
func (g *groups) adopt(token uint64, pid int) {
	own := g.of[token]
	if own.first == 0 {
		own.first = pid
	}
	root := pid
	if pid != own.first || parentOf(pid) != os.Getpid() {
		root = g.rootOf(pid)
	}
	if root != 0 { // forked before this program was executed anew
		own.root = root
		g.tokens[root] = token
	}
	if own.number == 0 {
		own.number = g.note(numberOf(pid), token)
	}
	g.of[token] = own
}

// forget forgets a token of which nothing lives.
func (g *groups) forget(token uint64) {
	own, ok := g.of[token]
	if !ok {
		return
	}
	delete(g.of, token)
	if g.tokens[own.root] == token {
		delete(g.tokens, own.root)
	}
	if n := own.number; n > 0 && g.table[n].token == token {
		g.table[n] = tag{}
	}
}

// Arguments of cpuset(2) and its like.
const (
	levelRoot = 1 // CPU_LEVEL_ROOT
	levelSet  = 2 // CPU_LEVEL_CPUSET
	levelOwn  = 3 // CPU_LEVEL_WHICH
	ofProcess = 2 // CPU_WHICH_PID
	ofSet     = 3 // CPU_WHICH_CPUSET
)

// numberOf returns the number that a process was born with, or 0 if it is dead.
func numberOf(pid int) int { return setID(ofProcess, pid) }

func setID(of, id int) int {
	var number int32
	_, _, errno := unix.Syscall6(unix.SYS_CPUSET_GETID, levelSet, uintptr(of), uintptr(id), uintptr(unsafe.Pointer(&number)), 0, 0)
	if errno != 0 {
		return 0
	}
	return int(number)
}

// members are the processes of a token, dead or alive.
func (g *groups) members(token uint64) []int {
	own, ok := g.of[token]
	switch {
	case !ok:
		return nil
	case own.root != 0:
		return g.subtree(own.root)
	}
	jid := g.jid(token)
	if jid == 0 && (own.number == 0 || setID(ofSet, own.number) == 0) {
		return nil // nobody has it any more
	}
	var pids []int
	for _, k := range allProcesses() {
		if pid := k.pid(); pid != os.Getpid() && (jid != 0 && k.int(kinfoJail) == jid || own.number != 0 && numberOf(pid) == own.number) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// family are those of the members that live, with their parents.
func (g *groups) family(token uint64) (family map[int]int, seen []int) {
	family, seen = map[int]int{}, g.members(token)
	for _, pid := range seen {
		if k, ok := look(pid); ok && !k.dead() {
			family[pid] = k.parent()
		}
	}
	return family, seen
}

// living are those of the members that are not dead.
func (g *groups) living(token uint64) []int {
	return slices.DeleteFunc(g.members(token), func(pid int) bool { return !alive(pid) })
}

// TokenOf implements platform.Processes.
func (p *Processes) TokenOf(pid int) uint64 {
	if pid <= 0 || pid == os.Getpid() {
		return 0
	}
	g := p.groups
	if n := numberOf(pid); n > 0 && n < len(g.table) {
		if token := g.table[n].token; token != 0 && g.of[token].number == n {
			return token
		}
	}
	if root := g.rootOf(pid); root != 0 { // it is dead, or took another number
		return g.tokens[root]
	}
	k, ok := look(pid)
	if !ok || k.int(kinfoJail) == 0 {
		return 0
	}
	for token := range g.of {
		if jid := g.jid(token); jid != 0 && jid == k.int(kinfoJail) {
			return token
		}
	}
	return 0
}
