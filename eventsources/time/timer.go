package timers

import (
	"container/heap"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	"onset/core/expr"
	"onset/eventsources"
)

// catchUp is up to where times are caught up that a clock set forward left
// out, and how far a clock set back is taken for the same time again; as
// cron(8) has it.
const catchUp = 3 * time.Hour

// unseen is how far a clock may be set without a difference to timers that go
// by time that passes; as cron has it, too.
const unseen = 5 * time.Minute

// timer is an operand, of one job or of several.
type timer struct {
	key   string
	args  []string // as written
	jobs  []string // sorted
	spec  spec
	entry *entry
	store *store

	wall    time.Time     // of a wall timer: when it is due next
	rings   time.Duration // when the alarm for that is, with jitter
	index   int           // in the queue of alarms; -1 if it is never due
	running bool          // an event of it is not over
	waiting []time.Time   // for the end of that
	full    bool          // there were too many of them, which was told
	facts   []eventsources.Fact
}

// alarms is a heap of timers, the next first.
type alarms []*timer

func (a alarms) Len() int { return len(a) }
func (a alarms) Less(i, j int) bool {
	if a[i].rings != a[j].rings {
		return a[i].rings < a[j].rings
	}
	return a[i].key < a[j].key
}
func (a alarms) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].index, a[j].index = i, j
}

// Push implements heap.Interface.
func (a *alarms) Push(x any) {
	t := x.(*timer)
	t.index = len(*a)
	*a = append(*a, t)
}

// Pop implements heap.Interface.
func (a *alarms) Pop() any {
	t := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	t.index = -1
	return t
}

// place has the alarm of a timer ring as it is due now, or never.
func (a *alarms) place(t *timer, now moment, id string) {
	due, ok := t.due(now)
	if !ok {
		a.remove(t)
		return
	}
	if t.rings = due + t.jitter(id); t.index < 0 {
		heap.Push(a, t)
	} else {
		heap.Fix(a, t.index)
	}
}

func (a *alarms) remove(t *timer) {
	if t.index >= 0 {
		heap.Remove(a, t.index)
	}
}

// due is when the timer is due, without jitter.
func (t *timer) due(now moment) (time.Duration, bool) {
	if t.over() || t.store.is == foreign {
		return 0, false
	}
	if t.spec.byWall() {
		return now.runAt(t.wall), !t.wall.IsZero()
	}
	return t.entry.due, t.entry.due != 0
}

// over reports whether the timer has run as often as it may.
func (t *timer) over() bool { return t.spec.count > 0 && t.entry.ran >= t.spec.count }

// jitter is the delay of the run that is next. It is another each time and on
// each machine, and the same after the source was started anew.
func (t *timer) jitter(id string) time.Duration {
	if t.spec.jitter == 0 {
		return 0
	}
	due := int64(t.entry.due)
	if t.spec.byWall() {
		due = t.wall.UnixNano()
	}
	h := fnv.New64a()
	for _, part := range []string{id, t.key, strconv.FormatInt(due, 10)} {
		h.Write([]byte(part + "\x00"))
	}
	return time.Duration(h.Sum64() % uint64(t.spec.jitter))
}

// wallAfter returns the first time of a wall timer after that one, zero if
// there is none.
func (t *timer) wallAfter(ref time.Time, local *time.Location) (next time.Time) {
	if t.spec.kind == calendar {
		next, _ = t.spec.cron.next(ref, t.zone(local))
	} else if t.spec.at.After(ref) && t.entry.last.IsZero() {
		next = t.spec.at
	}
	return next
}

func (t *timer) zone(local *time.Location) *time.Location {
	if t.spec.zone != nil {
		return t.spec.zone
	}
	return local
}

// resume finds when a wall timer is due next after its entry was read: at once
// if a time was missed that is caught up.
func (t *timer) resume(now time.Time, local *time.Location) {
	ref := t.entry.ref
	if ahead := ref.Sub(now); ahead >= catchUp {
		ref = now // that was another clock
	}
	t.wall = t.wallAfter(ref, local)
	if t.wall.IsZero() || t.wall.After(now) || t.spec.persistent || now.Sub(t.wall) <= catchUp {
		return
	}
	t.skipTo(now, local)
}

// skipTo leaves out the times up to now.
func (t *timer) skipTo(now time.Time, local *time.Location) {
	t.entry.ref = now
	t.wall = t.wallAfter(now, local)
	t.store.changed = true
}

// step follows a wall clock that was set.
func (t *timer) step(by time.Duration, now time.Time, local *time.Location) {
	far := catchUp
	if t.spec.cron.elapsed {
		far = unseen
	}
	skipped := t.wall.After(now.Add(-by)) && !t.wall.After(now)
	switch {
	case t.wall.IsZero() || !t.wall.After(now) && !skipped:
	case t.spec.persistent && by > 0:
		t.resume(now, local)
	case t.spec.persistent && by <= -catchUp:
		t.wall = t.wallAfter(now, local)
	case skipped && by > far, by <= -far:
		t.skipTo(now, local)
	}
}

// take moves a timer that is due on to the next time, and returns for when it
// was due.
func (t *timer) take(now moment, local *time.Location) (scheduled time.Time) {
	t.store.changed = true
	switch t.spec.kind {
	case every:
		scheduled = now.wallAt(t.entry.due)
		t.entry.due += ((now.run-t.entry.due)/t.spec.every + 1) * t.spec.every
	case after:
		scheduled = now.wallAt(t.entry.due)
		t.entry.due = 0
	default:
		scheduled = t.wall
		if t.entry.ref = now.wall; t.wall.After(now.wall) {
			t.entry.ref = t.wall
		}
		t.wall = t.wallAfter(t.entry.ref, local)
	}
	return scheduled
}

// stamp writes a time as events have it; intervals have milliseconds.
func (t *timer) stamp(at time.Time, local *time.Location) string {
	return at.Truncate(time.Millisecond).In(t.zone(local)).Format(time.RFC3339Nano)
}

// event returns the event of a run.
func (t *timer) event(scheduled, now time.Time, local *time.Location) eventsources.Event {
	env := append(slices.Clip(t.args), "SCHEDULED="+t.stamp(scheduled, local), "ACTUAL="+t.stamp(now, local))
	return eventsources.Event{Name: eventName, Env: env}
}

// matches reports whether jobs of the timer start by an event.
func (t *timer) matches(e eventsources.Event) bool {
	n := expr.Node{Name: eventName, Args: t.args}
	return n.Matches(&expr.Subject{Name: e.Name, Env: e.Env}, nil)
}

// newFacts returns what `initctl timers` shows, in seconds.
func (t *timer) newFacts(now moment, local *time.Location) (facts []eventsources.Fact) {
	var times []string
	if t.index >= 0 {
		times = append(times, "NEXT="+t.stamp(now.wallAt(t.rings).Round(time.Second), local))
	}
	if !t.entry.last.IsZero() {
		times = append(times, "LAST="+t.stamp(t.entry.last.Round(time.Second), local))
	}
	for _, job := range t.jobs {
		env := append([]string{"JOB=" + job, "TIMER=" + written(t.args)}, times...)
		facts = append(facts, eventsources.Fact{Name: "timer", Env: env})
	}
	return facts
}

var quoted = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// written returns arguments as a job file has them.
func written(args []string) string {
	words := make([]string, len(args))
	for i, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		if strings.ContainsAny(value, " \t\n\"'\\()") {
			value = `"` + quoted.Replace(value) + `"`
		}
		words[i] = key + "=" + value
	}
	return strings.Join(words, " ")
}
