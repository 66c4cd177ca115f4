package timers

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"onset/eventsources"
)

// reconcile makes the timers and windows those of the conditions.
func (r *run) reconcile(list []eventsources.Condition) error {
	now := r.clock.now()
	jobs, windows, complaints := map[string][]string{}, map[string]*hours{}, map[string]bool{}
	var fresh []*timer
	for _, c := range list {
		key, job := keyOf(c.Operand.Args), eventsources.JobName(c.Job)
		var err error
		switch {
		case c.Fact && r.windows[key] != nil:
			windows[key] = r.windows[key]
		case c.Fact:
			var h hours
			h.fact = eventsources.Fact{Name: windowName, Env: c.Operand.Args}
			if h.window, err = parseWindow(c.Operand.Args, r.findZone); err == nil && windows[key] == nil {
				windows[key] = &h
			}
		case r.timers[key] == nil:
			var t *timer
			if t, err = r.newTimer(key, c.Operand.Args); err == nil {
				r.timers[key] = t
				fresh = append(fresh, t)
			}
		}
		switch {
		case err != nil:
			r.complain(complaints, "job %s: %s: %v", job, strings.TrimSpace(c.Operand.Name+" "+written(c.Operand.Args)), err)
		case !c.Fact && !slices.Contains(jobs[key], job):
			jobs[key] = append(jobs[key], job)
		}
	}
	r.windows = windows
	r.indexEvents() // before init is asked what happened
	r.settle(jobs, fresh, now)
	r.findOverlaps(complaints)
	r.complaints = complaints
	r.watchHours(now)
	return r.tellAll(now)
}

// settle drops timers that no job has any more, and begins those that are new.
func (r *run) settle(jobs map[string][]string, fresh []*timer, now moment) {
	r.byWall = len(r.windows) > 0
	for key, t := range r.timers {
		if jobs[key] == nil {
			r.drop(t, now)
			continue
		}
		if slices.Sort(jobs[key]); !slices.Equal(t.jobs, jobs[key]) {
			t.jobs, r.changed[t] = jobs[key], true
		}
		r.byWall = r.byWall || t.spec.byWall()
	}
	for _, t := range fresh {
		r.adopt(t, now)
	}
}

// complain writes a line about jobs once, for as long as it is true.
func (r *run) complain(complaints map[string]bool, format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if complaints[line] = true; !r.complaints[line] {
		r.init.Logf("%s", line)
	}
}

// findOverlaps complains of timers whose events match what other jobs wait for
// at times of their own: those of an operand that says the same and more.
func (r *run) findOverlaps(complaints map[string]bool) {
	for _, t := range r.timers {
		parts := strings.Split(t.key, "\x00")
		for set := 1; set < 1<<len(parts)-1; set++ {
			var less []string
			harmless := t.spec.kind == calendar
			for i, part := range parts {
				if set&(1<<i) != 0 {
					less = append(less, part)
				} else if name, _, _ := strings.Cut(part, "="); name == "TZ" || name == "JITTER" {
					harmless = false
				}
			}
			if other := r.timers[strings.Join(less, "\x00")]; other != nil && !harmless {
				r.complain(complaints, "%s of job %s starts job %s too, which has %s: give each a NAME",
					written(t.args), t.jobs[0], other.jobs[0], written(other.args))
			}
		}
	}
}

// keyOf is the same for the same arguments in any order.
func keyOf(args []string) string {
	return strings.Join(slices.Sorted(slices.Values(args)), "\x00")
}

func (r *run) newTimer(key string, args []string) (*timer, error) {
	spec, err := parse(args, r.findZone)
	if err != nil {
		return nil, err
	}
	t := &timer{key: key, args: args, spec: spec, index: -1, store: r.stores[volatile]}
	if spec.persistent {
		t.store = r.stores[durable]
	}
	return t, nil
}

// drop forgets a timer that no job has any more, but for what it did.
func (r *run) drop(t *timer, now moment) {
	if !t.spec.persistent {
		t.entry.ref = now.wall
	}
	t.entry.gone, t.store.changed = true, true
	r.alarms.remove(t)
	delete(r.timers, t.key)
	delete(r.changed, t)
}

// adopt makes a timer go on as it is in its store, or begin.
func (r *run) adopt(t *timer, now moment) {
	e := t.store.entries[t.key]
	isNew := e == nil
	if isNew {
		e = &entry{ref: now.wall}
		if t.store.entries[t.key] = e; t.spec.kind == at && t.spec.persistent {
			e.ref = time.Time{} // what is past is missed
		}
	}
	t.entry = e
	switch t.spec.kind {
	case calendar, at:
		if e.gone && !t.spec.persistent {
			e.ref = now.wall
		}
		t.resume(now.wall, r.local)
		if isNew && t.spec.kind == at && t.wall.IsZero() {
			r.init.Logf("%s of job %s is past and will not run", written(t.args), strings.Join(t.jobs, ", "))
		}
	case every:
		if e.due == 0 {
			e.due = now.run + t.spec.every
		} else if e.gone && e.due <= now.run {
			t.take(now, r.local)
		}
	case after:
		if e.gone && e.due <= now.run {
			e.due = 0
		}
		if isNew || e.old {
			r.lookBack(t, now)
		}
	}
	e.gone, e.old, t.store.changed = false, false, true
	r.alarms.place(t, now, r.id)
	r.changed[t] = true
}

// lookBack begins a delay whose event was before the source was there.
func (r *run) lookBack(t *timer, now moment) {
	if t.spec.after.Name == "startup" {
		t.entry.due = r.sinceStartup(now) + t.spec.delay
	} else if when, ok := r.lastOf(t.spec.after, now); ok && when+t.spec.delay > now.run-late {
		t.entry.due = cmp.Or(when+t.spec.delay, 1)
	}
}

// sinceStartup returns when init emitted startup: now if that cannot be told,
// since that is when sources are started.
func (r *run) sinceStartup(now moment) time.Duration {
	if began, ok := r.startup(); ok {
		return max(began, 1)
	}
	return now.run
}

// openStores gets hold of files that are not held, and takes what is there for
// the timers there are already.
func (r *run) openStores(now moment) {
	for _, s := range r.stores {
		before := s.is
		s.prune(now.wall)
		if found := s.open(r.init.Logf); found != nil {
			r.merge(s, found, now)
			for _, t := range r.timers {
				if t.store == s {
					r.adopt(t, now)
				}
			}
		} else if s.is != before {
			r.placeAll(now)
		}
	}
}

// merge adds what a file has to what happened since this run began.
func (r *run) merge(s *store, found *saved, now moment) {
	sameBoot := found.boot == r.boot && (r.boot != "" || !s.durable && found.run <= now.run)
	s.changed = true
	if !sameBoot && !s.durable {
		return
	}
	for key, e := range found.entries {
		if !sameBoot {
			e.old = true
			if wall := found.dueWall[key]; !wall.IsZero() {
				e.due = cmp.Or(now.runAt(wall), 1) // 0 is none
			}
		}
		if mine := s.entries[key]; mine != nil {
			// It may be from that very file, where the lock was removed.
			if e.ran = max(e.ran, mine.ran); !mine.last.IsZero() {
				e.ref, e.last, e.due = mine.ref, mine.last, mine.due
			}
		}
		s.entries[key] = e
	}
}
