// Package event holds events and their queue (UPSTART §3.1).
//
// An event is pending until the engine has offered it to every class that
// names it, handling while anything blocks it, and finished when nothing
// does. The queue hands out events in passes: within a pass in order of
// creation, an event that wakes up behind the pass waits for the next one.
// An event that rests costs nothing, however many there are.
//
// The queue owns its events; the engine changes them.
package event

import (
	"cmp"
	"container/heap"
	"slices"

	"onset/core/cause"
	"onset/core/env"
)

// ID identifies an event for the life of an engine; 0 is no event.
type ID uint64

// Progress is how far an event has come.
type Progress uint8

// The stages. A finished event is on its way out: it is in the queue only
// while its waiters are told.
const (
	Pending Progress = iota
	Handling
	Finished
)

// Waiter is somebody told when an event finishes: an instance in starting or
// stopping, or a pending call on a connection. Instance is 0 for a call.
type Waiter struct {
	Instance   uint64
	Call, Conn uint64
}

// Event is one event with what it waits for and who waits for it.
type Event struct {
	ID       ID
	Name     string
	Env      env.Table
	Session  string   // chroot root; empty reaches every class
	Provides []string // further names the JOB of a job event answers to
	File     int      // descriptor reference of the platform; 0 is none
	Progress Progress
	Failed   bool
	Blockers int
	Waiters  []Waiter
	Cause    *cause.Cause

	awake bool // is in one of the queue's heaps
}

// Queue holds every unfinished event.
type Queue struct {
	Last      ID // the newest ID given out
	Cursor    ID // how far the present pass has come; 0 between passes
	events    map[ID]*Event
	many      bool // there were, since the map was made
	now, next ids
}

// NewQueue returns a queue with these events that goes on where the one that
// had them stood.
func NewQueue(last, cursor ID, events []*Event) *Queue {
	q := &Queue{Last: last, Cursor: cursor, events: make(map[ID]*Event, len(events))}
	for _, ev := range events {
		q.events[ev.ID] = ev
		ev.awake = false
		if ev.due() {
			q.wake(ev)
		}
	}
	return q
}

// Add gives the event an ID and queues it.
func (q *Queue) Add(ev *Event) {
	q.Last++
	ev.ID = q.Last
	q.events[ev.ID] = ev
	q.wake(ev)
}

// Get returns an event of the queue, or nil.
func (q *Queue) Get(id ID) *Event { return q.events[id] }

// Len returns the number of unfinished events.
func (q *Queue) Len() int { return len(q.events) }

// All returns every event in order of creation.
func (q *Queue) All() []*Event {
	all := make([]*Event, 0, len(q.events))
	for _, ev := range q.events { // order-free: sorted below
		all = append(all, ev)
	}
	slices.SortFunc(all, func(a, b *Event) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// Block adds a blocker to an event.
func (q *Queue) Block(id ID) { q.events[id].Blockers++ }

// Unblock takes a blocker away; the last one wakes the event up.
func (q *Queue) Unblock(id ID) {
	ev := q.events[id]
	if ev.Blockers <= 0 {
		panic("internal error: event " + ev.Name + " has no blocker to remove")
	}
	ev.Blockers--
	if ev.Blockers == 0 {
		q.wake(ev)
	}
}

// Remove takes a finished event out of the queue, and with the last of many
// the memory they took.
func (q *Queue) Remove(ev *Event) {
	delete(q.events, ev.ID)
	if q.many = q.many || len(q.events) > 64; q.many && len(q.events) == 0 {
		q.events, q.many = make(map[ID]*Event), false
	}
}

// Next returns the next event worth a visit: pending, or without blockers.
// It returns nil when all of them rest.
func (q *Queue) Next() *Event {
	for {
		if len(q.now) == 0 {
			if len(q.next) == 0 {
				q.Cursor = 0
				return nil
			}
			q.now, q.next, q.Cursor = q.next, q.now, 0
		}
		id := heap.Pop(&q.now).(ID)
		q.Cursor = id
		ev := q.events[id]
		if ev == nil {
			continue
		}
		ev.awake = false
		if ev.due() {
			return ev
		}
	}
}

// Rests reports whether Next has nothing.
func (q *Queue) Rests() bool {
	due := func(id ID) bool { ev := q.events[id]; return ev != nil && ev.due() }
	return !slices.ContainsFunc(q.now, due) && !slices.ContainsFunc(q.next, due)
}

// due reports whether an event is worth a visit.
func (ev *Event) due() bool { return ev.Progress == Pending || ev.Blockers == 0 }

func (q *Queue) wake(ev *Event) {
	if ev.awake {
		return
	}
	ev.awake = true
	if ev.ID > q.Cursor {
		heap.Push(&q.now, ev.ID)
	} else {
		heap.Push(&q.next, ev.ID)
	}
}

// ids is a heap with the smallest ID first.
type ids []ID

func (h ids) Len() int           { return len(h) }
func (h ids) Less(i, j int) bool { return h[i] < h[j] }
func (h ids) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *ids) Push(x any)        { *h = append(*h, x.(ID)) }
func (h *ids) Pop() any {
	old := *h
	id := old[len(old)-1]
	*h = old[:len(old)-1]
	return id
}
