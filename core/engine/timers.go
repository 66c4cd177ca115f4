package engine

import (
	"cmp"
	"container/heap"
	"time"

	"onset/core/job"
)

// timerKind is what a timer is for.
type timerKind uint8

const (
	killTimer     timerKind = iota // KILL to main; id is the instance
	retryTimer                     // spawn again; id is the instance
	limitTimer                     // of the present state; id is the instance
	graceTimer                     // facts of a lost connection; id is the connection
	quiesceTimer                   // session shutdown
	signTimer                      // main is slow to become ready; id is the instance
	watchdogTimer                  // of main; id is the instance
	healthTimer                    // next check, or end of the time of one; id is the instance
	settleTimer                    // main is taken for ready; id is the instance
)

// timer is an entry of the heap. The truth is in the state; an entry whose
// due time no longer agrees with it is passed over.
type timer struct {
	due  time.Duration
	kind timerKind
	id   uint64
	slot job.Slot
}

// timerHeap has the first due at the top; equal times go by kind and id, so
// that the order does not depend on history.
type timerHeap []timer

func (h timerHeap) Len() int      { return len(h) }
func (h timerHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h timerHeap) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(h[i].due, h[j].due), cmp.Compare(h[i].kind, h[j].kind),
		cmp.Compare(h[i].id, h[j].id), cmp.Compare(h[i].slot, h[j].slot)) < 0
}
func (h *timerHeap) Push(x any) { *h = append(*h, x.(timer)) }
func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	*h = old[:len(old)-1]
	return t
}

func (h timerHeap) next() (time.Duration, bool) {
	if len(h) == 0 {
		return 0, false
	}
	return h[0].due, true
}

func (e *Engine) arm(t timer) { heap.Push(&e.timers, t) }

// alive reports whether the state still has the timer.
func (e *Engine) alive(t timer) bool {
	switch t.kind {
	case killTimer:
		j := e.instances[t.id]
		return j != nil && j.KillDue == t.due
	case retryTimer:
		j := e.instances[t.id]
		return j != nil && j.Proc(t.slot).RetryAt == t.due
	case limitTimer:
		j := e.instances[t.id]
		return j != nil && j.Due == t.due
	case signTimer:
		j := e.instances[t.id]
		return j != nil && j.SignDue == t.due
	case watchdogTimer:
		j := e.instances[t.id]
		return j != nil && j.Report.Due == t.due
	case healthTimer:
		j := e.instances[t.id]
		return j != nil && j.Checkup.Due == t.due
	case settleTimer:
		j := e.instances[t.id]
		return j != nil && j.State == job.Spawned && j.Settle == t.due
	case graceTimer:
		for _, g := range e.s.Graces {
			if g.Conn == t.id && g.Due == t.due {
				return true
			}
		}
		return false
	default:
		return e.s.Quiesce != nil && e.s.Quiesce.Due == t.due
	}
}

// trimTimers drops dead entries from the top, so that Deadline is true.
func (e *Engine) trimTimers() {
	for len(e.timers) > 0 && !e.alive(e.timers[0]) {
		heap.Pop(&e.timers)
	}
}

func (e *Engine) fireTimers() {
	for e.trimTimers(); len(e.timers) > 0 && e.timers[0].due <= e.now(); e.trimTimers() {
		e.fire(heap.Pop(&e.timers).(timer))
	}
}

func (e *Engine) fire(t timer) {
	switch t.kind {
	case killTimer:
		e.killTimeout(e.instances[t.id])
	case retryTimer:
		e.spawnSlot(e.instances[t.id], t.slot)
	case limitTimer:
		e.limitOver(e.instances[t.id])
	case signTimer:
		e.signMissing(e.instances[t.id])
	case watchdogTimer:
		e.lookAtWatchdog(e.instances[t.id])
	case healthTimer:
		e.checkDue(e.instances[t.id])
	case settleTimer:
		e.assume(e.instances[t.id])
	case graceTimer:
		e.graceOver(t.id)
	case quiesceTimer:
		e.quiesceTick()
	}
}

func (e *Engine) rebuildTimers() {
	for _, c := range e.allClasses() {
		for _, j := range c.Instances {
			if j.KillDue != 0 {
				e.arm(timer{due: j.KillDue, kind: killTimer, id: j.ID})
			}
			if j.Due != 0 {
				e.arm(timer{due: j.Due, kind: limitTimer, id: j.ID})
			}
			if j.State == job.Spawned && j.Settle != 0 {
				e.arm(timer{due: j.Settle, kind: settleTimer, id: j.ID})
			}
			e.rebuildWatch(j)
			for slot, p := range j.Live {
				if at := p.RetryAt; at != 0 {
					e.arm(timer{due: at, kind: retryTimer, id: j.ID, slot: job.Slot(slot)})
				}
			}
		}
	}
	for _, g := range e.s.Graces {
		if g.Due == 0 {
			continue
		}
		e.arm(timer{due: g.Due, kind: graceTimer, id: g.Conn})
	}
	if q := e.s.Quiesce; q != nil && q.Due != 0 {
		e.arm(timer{due: q.Due, kind: quiesceTimer})
	}
}
