package freebsd

import (
	"slices"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/platform"
	"onset/platform/posix"
)

// tree is what the main process of expect fork or daemon makes. Its queue
// tells who made whom; nothing is held for that, and all of it is forgotten
// when the queue is closed.
type tree struct {
	queue int
	token uint64
	main  *kin
	mains []int // processes that are or were main
	kins  map[int]*kin
	died  []*kin // not forgotten yet
	dead  []*kin // the last that ended
}

// maxDead bounds tree.dead: a shell may run any number of programs first.
const maxDead = 64

// kin is a process of a tree. Older dead are kept by their descendants only.
type kin struct {
	pid      int
	maker    *kin // nil: it is the first, or was made while nobody looked
	dead     bool
	executed bool // a program, when all its makers had ended
}

const treeNotes = unix.NOTE_EXIT | unix.NOTE_EXEC | unix.NOTE_TRACK

// follow begins a tree with a process that is held by its gate, or that was
// taken over. Where that cannot be, forks are not counted.
func (p *Processes) follow(token uint64, pid int) *tree {
	queue, err := newQueue()
	if err != nil {
		p.Warn("cannot count the forks of a job: " + err.Error())
		return nil
	}
	t := &tree{queue: queue, token: token, mains: []int{pid}, kins: map[int]*kin{}}
	if !t.add(pid) || p.Poller.Add(queue, platform.Readable, func(platform.Ready) { p.hear(t) }) != nil {
		unix.Close(queue)
		return nil
	}
	t.main = t.kins[pid]
	p.trees[token] = t
	return t
}

// add has the queue tell of a process and all that it makes.
func (t *tree) add(pid int) bool {
	if change(t.queue, unix.Kevent_t{Ident: uint64(pid), Filter: unix.EVFILT_PROC, Flags: unix.EV_ADD, Fflags: treeNotes}) != nil {
		return false
	}
	t.kins[pid] = &kin{pid: pid}
	return true
}

// hear takes what the queue of a tree tells. The birth of a process comes
// before all that it does. The end of one that was executed and has not been
// heard of since comes with its execution, so before the births of its
// children: the dead are forgotten when all is heard.
func (p *Processes) hear(t *tree) {
	var batch [64]unix.Kevent_t
	for n := len(batch); n == len(batch); {
		var err error
		if n, err = unix.Kevent(t.queue, nil, batch[:], &unix.Timespec{}); err != nil {
			break
		}
		for i := range batch[:n] {
			p.note(t, &batch[i])
		}
	}
	for _, k := range t.died {
		delete(t.kins, k.pid)
	}
	t.dead = append(t.dead, t.died...)
	t.dead = slices.Delete(t.dead, 0, max(0, len(t.dead)-maxDead))
	t.died = t.died[:0]
}

func (p *Processes) note(t *tree, e *unix.Kevent_t) {
	pid := int(e.Ident)
	k := t.kins[pid]
	if e.Fflags&unix.NOTE_CHILD != 0 {
		if k == nil { // it is told again if its maker's own birth is not heard yet
			t.kins[pid] = &kin{pid: pid, maker: t.kins[int(e.Data)]}
		}
		return
	}
	switch {
	case k == nil:
	case e.Fflags&unix.NOTE_EXIT != 0:
		k.dead = true
		t.died = append(t.died, k)
	case e.Fflags&unix.NOTE_EXEC != 0 && k.orphaned():
		k.executed = true
		if k == t.main {
			p.replaced(k)
		}
	}
}

// orphaned reports whether a process was made by others that have all ended.
func (k *kin) orphaned() bool {
	if k.maker == nil {
		return false
	}
	for m := k.maker; m != nil; m = m.maker {
		if !m.dead {
			return false
		}
	}
	return true
}

// replaced tells the execution of a process whose makers have all ended, once
// it is main.
func (p *Processes) replaced(k *kin) {
	if k != nil && k.executed {
		k.executed = false
		p.Tell(engine.Replaced{PID: k.pid})
	}
}

// pass makes another process main, and returns how many forks lead to it; 0 if
// nobody looked.
func (t *tree) pass(heir int) (forks int) {
	k := t.kin(heir)
	forks = t.forks(k)
	t.main = k
	t.mains = append(t.mains, heir)
	return forks
}

// kin returns what a tree knows of a process, or nil.
func (t *tree) kin(pid int) *kin {
	if k := t.kins[pid]; k != nil {
		return k
	}
	for _, k := range slices.Backward(t.dead) {
		if k.pid == pid {
			return k
		}
	}
	return nil
}

// forks counts those that lead from main to a process; 0 if nobody looked.
func (t *tree) forks(to *kin) (n int) {
	for k := to; k != nil; k = k.maker {
		if k == t.main {
			return n
		}
		n++
	}
	return 0
}

// lateHeir returns the last descendant of main that its maker left, if it has
// ended, too, before anybody looked: that is still to be told, and how. 0 if
// there is none.
func (t *tree) lateHeir() (heir int) {
	most := 0
	for _, k := range t.dead {
		if n := t.forks(k); n > 0 && n >= most && posix.Inherits(parentOf(k.pid)) {
			most, heir = n, k.pid
		}
	}
	return heir
}

// Detach implements platform.Processes.
func (p *Processes) Detach(pid int) {
	for token, t := range p.trees {
		if slices.Contains(t.mains, pid) {
			p.unfollow(token)
		}
	}
	delete(p.stopping, pid)
}

// unfollow forgets the tree of a token, if it has one.
func (p *Processes) unfollow(token uint64) {
	if t := p.trees[token]; t != nil {
		p.Poller.Remove(t.queue)
		unix.Close(t.queue)
		delete(p.trees, token)
	}
}
