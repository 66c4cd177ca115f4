package event

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// add queues an event called after its turn.
func add(q *Queue, name string) *Event {
	ev := &Event{Name: name}
	q.Add(ev)
	return ev
}

// visits lets the queue rest and returns the names of the events it visits;
// during says what happens while one is visited.
func visits(q *Queue, during func(*Event)) (names []string) {
	for ev := q.Next(); ev != nil; ev = q.Next() {
		names = append(names, ev.Name)
		ev.Progress = Handling
		if during != nil {
			during(ev)
		}
		if ev.Blockers == 0 {
			q.Remove(ev)
		}
	}
	return names
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("visits %v, want %v", got, want)
	}
}

func TestEventsAreVisitedInOrderOfCreation(t *testing.T) {
	q := NewQueue(0, 0, nil)
	a, b := add(q, "a"), add(q, "b")
	if a.ID != 1 || b.ID != 2 || q.Last != 2 {
		t.Errorf("events have the numbers %d and %d, the last is %d", a.ID, b.ID, q.Last)
	}
	expect(t, visits(q, nil), "a", "b")
	if q.Len() != 0 || q.Get(1) != nil {
		t.Errorf("%d events are left", q.Len())
	}
}

func TestEventAddedInAPassBelongsToIt(t *testing.T) {
	q := NewQueue(0, 0, nil)
	add(q, "a")
	add(q, "b")
	expect(t, visits(q, func(ev *Event) {
		if ev.Name == "a" {
			add(q, "c")
		}
	}), "a", "b", "c")
}

func TestBlockedEventRests(t *testing.T) {
	q := NewQueue(0, 0, nil)
	a := add(q, "a")
	q.Block(a.ID)
	q.Block(a.ID)
	expect(t, visits(q, nil), "a")
	q.Unblock(a.ID)
	expect(t, visits(q, nil))
	q.Unblock(a.ID)
	expect(t, visits(q, nil), "a")
}

func TestPendingEventIsVisitedThoughItIsBlocked(t *testing.T) {
	q := NewQueue(0, 0, nil)
	q.Block(add(q, "a").ID)
	expect(t, visits(q, nil), "a")
}

func TestEventThatWakesUpBehindThePassWaitsForTheNext(t *testing.T) {
	q := NewQueue(0, 0, nil)
	a := add(q, "a")
	q.Block(a.ID)
	add(q, "b")
	add(q, "c")
	expect(t, visits(q, func(ev *Event) {
		if ev.Name == "b" {
			q.Unblock(a.ID)
		}
	}), "a", "b", "c", "a")
}

func TestEventThatWakesUpAheadOfThePassBelongsToIt(t *testing.T) {
	q := NewQueue(0, 0, nil)
	a, b := add(q, "a"), add(q, "b")
	q.Block(a.ID)
	q.Block(b.ID)
	expect(t, visits(q, nil), "a", "b")
	add(q, "c")
	q.Unblock(a.ID)
	expect(t, visits(q, func(ev *Event) {
		if ev.Name == "a" {
			q.Unblock(b.ID)
		}
	}), "a", "b", "c")
}

func TestEventThatWakesUpAndIsBlockedAgainIsPassedOver(t *testing.T) {
	q := NewQueue(0, 0, nil)
	a := add(q, "a")
	q.Block(a.ID)
	visits(q, nil)
	q.Unblock(a.ID)
	q.Block(a.ID)
	expect(t, visits(q, nil))
	q.Unblock(a.ID)
	expect(t, visits(q, nil), "a")
}

func TestEventIsWokenOnce(t *testing.T) {
	q := NewQueue(0, 0, nil)
	a := add(q, "a")
	q.Block(a.ID)
	visits(q, nil)
	for range 3 {
		q.Unblock(a.ID)
		q.Block(a.ID)
	}
	q.Unblock(a.ID)
	expect(t, visits(q, nil), "a")
}

func TestUnblockingAnEventWithoutBlockersIsAFault(t *testing.T) {
	q := NewQueue(0, 0, nil)
	a := add(q, "a")
	defer func() {
		if recover() == nil {
			t.Error("it is accepted")
		}
	}()
	q.Unblock(a.ID)
}

func TestRestoredQueueGoesOn(t *testing.T) {
	q := NewQueue(7, 0, []*Event{
		{ID: 6, Name: "pending"},
		{ID: 5, Name: "handled", Progress: Handling},
		{ID: 3, Name: "blocked", Progress: Handling, Blockers: 1},
		{ID: 4, Name: "pending and blocked", Blockers: 1},
	})
	var order []ID
	for _, ev := range q.All() {
		order = append(order, ev.ID)
	}
	if !slices.Equal(order, []ID{3, 4, 5, 6}) {
		t.Errorf("the order of creation is %v", order)
	}
	if ev := add(q, "new"); ev.ID != 8 {
		t.Errorf("the next event has the number %d", ev.ID)
	}
	expect(t, visits(q, nil), "pending and blocked", "handled", "pending", "new")
	q.Unblock(3)
	q.Unblock(4)
	expect(t, visits(q, nil), "blocked", "pending and blocked")
}

func TestQueueRestoredInAPassGoesOnInIt(t *testing.T) {
	q := NewQueue(0, 0, nil)
	a := add(q, "a")
	q.Block(a.ID)
	add(q, "b")
	add(q, "c")
	q.Next().Progress = Handling
	b := q.Next()
	q.Unblock(a.ID)
	q.Remove(b)
	expect(t, visits(restored(q), nil), "c", "a")
}

// model is the queue as UPSTART §3.1 tells it: a list, gone through from its
// beginning again and again until nothing in it changes.
type model struct {
	events []*Event
	at     int
	moved  bool // something was visited in this pass
}

func (m *model) next() *Event {
	for {
		for m.at < len(m.events) {
			ev := m.events[m.at]
			m.at++
			if ev.Progress == Pending || (ev.Progress == Handling && ev.Blockers == 0) {
				m.moved = true
				return ev
			}
		}
		if !m.moved {
			m.at = 0
			return nil
		}
		m.at, m.moved = 0, false
	}
}

func (m *model) find(id ID) *Event {
	i := slices.IndexFunc(m.events, func(ev *Event) bool { return ev.ID == id && ev.Progress != Finished })
	if i < 0 {
		return nil
	}
	return m.events[i]
}

// twins does the same to the queue and to its model.
type twins struct {
	*rand.Rand
	queue *Queue
	model model
}

func (w *twins) add() {
	ev := &Event{}
	w.queue.Add(ev)
	w.model.events = append(w.model.events, &Event{ID: ev.ID})
}

// change does something to a random event that is not finished.
func (w *twins) change() {
	if w.queue.Last == 0 {
		return
	}
	id := 1 + ID(w.Uint64N(uint64(w.queue.Last)))
	ev := w.model.find(id)
	switch {
	case ev == nil:
	case ev.Blockers > 0 && w.IntN(3) > 0:
		ev.Blockers--
		w.queue.Unblock(id)
	default:
		ev.Blockers++
		w.queue.Block(id)
	}
}

func (w *twins) trouble(n int) {
	for range w.IntN(n) {
		if w.IntN(3) == 0 {
			w.add()
		} else {
			w.change()
		}
	}
}

// visit compares one visit; it returns false when both rest.
func (w *twins) visit(t *testing.T) bool {
	got, want := w.queue.Next(), w.model.next()
	if (got == nil) != (want == nil) || (got != nil && got.ID != want.ID) {
		t.Fatalf("the queue visits %+v, the list %+v", got, want)
	}
	if got == nil {
		return false
	}
	got.Progress, want.Progress = Handling, Handling
	w.trouble(3)
	if got.Blockers != want.Blockers {
		t.Fatalf("event %d has %d blockers in the queue, %d in the list", got.ID, got.Blockers, want.Blockers)
	}
	if got.Blockers == 0 {
		want.Progress = Finished
		w.queue.Remove(got)
	}
	return true
}

func TestQueueVisitsAsAListThatIsScannedAgainAndAgain(t *testing.T) {
	for seed := range uint64(2000) {
		w := twins{Rand: rand.New(rand.NewPCG(seed, 1)), queue: NewQueue(0, 0, nil)}
		for range 20 {
			w.trouble(8)
			for budget := w.IntN(40); budget > 0 && w.visit(t); budget-- {
			}
			if w.IntN(3) == 0 {
				w.queue = restored(w.queue)
			}
		}
	}
}

// restored returns a queue as a snapshot makes it of another.
func restored(q *Queue) *Queue {
	var events []*Event
	for _, ev := range q.All() {
		c := *ev
		events = append(events, &c)
	}
	return NewQueue(q.Last, q.Cursor, events)
}

func TestAQueueRestsWhenNextHasNothing(t *testing.T) {
	q := NewQueue(0, 0, nil)
	a := add(q, "a")
	if q.Rests() {
		t.Error("a queue with a pending event rests")
	}
	q.Block(a.ID)
	visits(q, nil)
	if !q.Rests() {
		t.Error("a queue whose only event is blocked does not rest")
	}
	q.Unblock(a.ID)
	if q.Rests() {
		t.Error("a queue rests whose event is not blocked any more")
	}
	q.Block(a.ID)
	if !q.Rests() || q.Next() != nil {
		t.Error("an event that woke and is blocked again is due")
	}
}
