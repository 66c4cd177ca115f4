package timers

import (
	"container/heap"
	"context"
	"os"
	"sync"
	"time"

	"onset/core/expr"
	"onset/eventsources"
)

const (
	volatile = 0
	durable  = 1
)

const (
	// maxWaiting is how many events are waited for at once: init allows a client
	// 4096 calls. Further ones are taken to be over when they are on their way.
	maxWaiting = 1000
	// maxQueued is how many runs of a timer wait with OVERLAP=queue.
	maxQueued = 100
)

// run is one run of the source.
type run struct {
	init   eventsources.Init
	clock  clock
	stores [2]*store
	machine
	spawn func(func()) // go

	timers     map[string]*timer
	windows    map[string]*hours
	alarms     alarms
	complaints map[string]bool // that were made
	changed    map[*timer]bool // whose facts are to be told
	last       moment          // of the last turn
	checked    time.Duration   // when the zone and the folders were looked at
	zones      map[string]*time.Location
	local      *time.Location
	file       os.FileInfo // of the system's zone
	waiting    int         // events that are not over
	byWall     bool        // something goes by the wall clock
	// hoursChange is when a window begins or ends next; hoursMoved: one has, and
	// init was not told.
	hoursChange time.Time
	hoursMoved  bool

	mu       sync.Mutex // below, of what other goroutines tell
	some     chan struct{}
	finished [][]*timer // by an event each
	happened map[*timer]time.Duration
	byEvent  map[string][]*timer
}

// machine is what is asked of the machine once.
type machine struct {
	id, boot string // other ones on other machines, and after the next boot
	zone     string // file of the zone of the system (localtime(5))
	// startup is when init emitted its first event.
	startup func() (time.Duration, bool)
}

func newRun(init eventsources.Init, c clock, stores [2]*store, m machine) *run {
	r := &run{init: init, clock: c, stores: stores, machine: m, last: c.now(), spawn: func(f func()) { go f() },
		timers: map[string]*timer{}, windows: map[string]*hours{}, zones: map[string]*time.Location{},
		complaints: map[string]bool{}, changed: map[*timer]bool{},
		some: make(chan struct{}, 1), happened: map[*timer]time.Duration{}}
	r.local, r.file = systemZone(m.zone, nil)
	r.checked = r.last.run
	r.openStores(r.last)
	return r
}

func (r *run) close() {
	for _, s := range r.stores {
		s.save(r.boot, r.clock.now(), r.init.Logf)
		s.close()
	}
}

func (r *run) placeAll(now moment) {
	for _, t := range r.timers {
		r.alarms.place(t, now, r.id)
		r.changed[t] = true
	}
}

// indexEvents notes which events timers wait for.
func (r *run) indexEvents() {
	byEvent := map[string][]*timer{}
	for _, t := range r.timers {
		if t.spec.kind == after {
			byEvent[t.spec.after.Name] = append(byEvent[t.spec.after.Name], t)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byEvent = byEvent
}

// heard notes when an event happened that timers wait for.
func (r *run) heard(s eventsources.Signal) {
	if s.Kind != eventsources.EventEmitted {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.byEvent[s.Name] {
		if t.spec.after.Matches(&expr.Subject{Name: s.Name, Env: s.Env}, nil) {
			r.happened[t] = r.clock.now().run
			r.wake()
		}
	}
}

func (r *run) wake() {
	select {
	case r.some <- struct{}{}:
	default:
	}
}

// turn does what is to be done now, and sets the alarm for what is next.
func (r *run) turn(ctx context.Context) error {
	now := r.clock.now()
	r.look(now)
	fires := append(r.hear(now), r.ring(now)...)
	for _, s := range r.stores {
		s.save(r.boot, now, r.init.Logf)
	}
	r.emit(ctx, fires)
	if err := r.tell(now); err != nil {
		return err
	}
	r.clock.set(r.next(now))
	return nil
}

// hear takes what other goroutines told, and returns the runs that waited for
// the end of others.
func (r *run) hear(now moment) (fires []*fire) {
	r.mu.Lock()
	finished, happened := r.finished, r.happened
	r.finished, r.happened = nil, map[*timer]time.Duration{}
	r.mu.Unlock()
	for t, when := range happened {
		if r.timers[t.key] == t {
			t.entry.due, t.store.changed = when+t.spec.delay, true
			r.alarms.place(t, now, r.id)
			r.changed[t] = true
		}
	}
	for _, timers := range finished {
		r.waiting--
		for _, t := range timers {
			if t.running = false; len(t.waiting) > 0 && r.timers[t.key] == t && !t.over() {
				fires = append(fires, r.claim(t, t.waiting[0], now))
				t.waiting, t.full = t.waiting[1:], false
			}
		}
	}
	return fires
}

// look notices a clock that was set, hours that begin or end, and each minute
// another zone or folder.
func (r *run) look(now moment) {
	by := now.offset() - r.last.offset()
	set := by.Abs() > 50*time.Millisecond // less is the clock being slowed or sped up
	zone := false
	if set || now.run-r.checked >= minute || r.held() != nil && now.run-r.checked >= time.Second {
		r.checked = now.run
		local, file := systemZone(r.zone, r.file)
		zone = file != r.file
		if zone {
			r.local, r.file = local, file
		}
		r.openStores(now)
	}
	if set {
		r.last = now
	}
	if set || zone {
		for _, t := range r.timers {
			switch {
			case !t.spec.byWall():
			case set:
				t.step(by, now.wall, r.local)
			case t.spec.zone == nil && t.wall.After(now.wall):
				t.wall = t.wallAfter(now.wall, r.local)
			}
		}
		r.placeAll(now)
	}
	if set || zone || !r.hoursChange.IsZero() && !r.hoursChange.After(now.wall) {
		r.watchHours(now)
	}
}

// held returns a store that another process has.
func (r *run) held() *store {
	for _, s := range r.stores {
		if s.is == foreign {
			return s
		}
	}
	return nil
}

// fire is a run of a timer that is on its way.
type fire struct {
	timer *timer
	event eventsources.Event
}

// ring takes the timers whose alarms ring.
func (r *run) ring(now moment) (fires []*fire) {
	for len(r.alarms) > 0 && r.alarms[0].rings <= now.run {
		t := heap.Pop(&r.alarms).(*timer)
		scheduled := t.take(now, r.local)
		switch {
		case !t.running:
			fires = append(fires, r.claim(t, scheduled, now))
		case t.spec.queue && len(t.waiting) < maxQueued:
			t.waiting = append(t.waiting, scheduled)
		case t.spec.queue && !t.full:
			t.full = true
			r.init.Logf("%s: %d runs wait already; others are left out", written(t.args), maxQueued)
		}
		r.alarms.place(t, now, r.id)
		r.changed[t] = true
	}
	return fires
}

// claim writes a run down.
func (r *run) claim(t *timer, scheduled time.Time, now moment) *fire {
	t.entry.ran++
	t.entry.last = scheduled
	t.running, t.store.changed = true, true
	r.changed[t] = true
	if t.over() {
		r.alarms.remove(t)
	}
	return &fire{t, t.event(scheduled, now.wall, r.local)}
}

// emit emits the events of runs, but for those of which another's event starts
// the same jobs: patterns match more than themselves.
func (r *run) emit(ctx context.Context, fires []*fire) {
	by := map[*fire][]*timer{}
	for i, parent := range parents(fires) {
		by[fires[parent]] = append(by[fires[parent]], fires[i].timer)
	}
	for _, f := range fires {
		timers := by[f]
		if timers == nil {
			continue
		}
		wait := r.waiting < maxWaiting
		r.waiting++
		r.spawn(func() {
			emitAndWait(ctx, r.init, f.event, wait)
			r.mu.Lock()
			defer r.mu.Unlock()
			r.finished = append(r.finished, timers)
			r.wake()
		})
	}
}

// comparisons is how many events are compared in a turn, which then takes some
// milliseconds for that. Further ones come beside what matches them too.
const comparisons = 100_000

// parents returns for each run which one's event is to be emitted for it.
func parents(fires []*fire) []int {
	list, budget := make([]int, len(fires)), comparisons
	for i, f := range fires {
		list[i] = i
		for j, other := range fires {
			if budget--; budget < 0 {
				break
			}
			if j != i && f.timer.matches(other.event) && (j < i || !other.timer.matches(f.event)) {
				list[i] = j
				break
			}
		}
	}
	for i := range list {
		root := list[i]
		for range list {
			root = list[root]
		}
		if list[i] = root; list[root] != root || !fires[i].timer.matches(fires[root].event) {
			list[i] = i // patterns that match each other in a ring
		}
	}
	return list
}

// next is when the alarm is to ring.
func (r *run) next(now moment) time.Duration {
	next := now.run + 24*time.Hour
	if len(r.alarms) > 0 {
		next = min(next, r.alarms[0].rings)
	}
	if !r.hoursChange.IsZero() {
		next = min(next, now.runAt(r.hoursChange))
	}
	if r.byWall || r.stores[durable].lock == nil || r.stores[volatile].lock == nil {
		next = min(next, r.checked+minute)
	}
	if r.held() != nil {
		next = min(next, r.checked+time.Second)
	}
	return next
}
