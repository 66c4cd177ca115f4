package timers

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"onset/eventsources"
)

// fewTimers are told of one by one.
const fewTimers = 500

// hours are a time window, and whether it is told to hold.
type hours struct {
	window   window
	fact     eventsources.Fact
	in, told bool
	change   time.Time
}

// watchHours looks which windows it is in.
func (r *run) watchHours(now moment) {
	r.hoursChange = time.Time{}
	for _, h := range r.windows {
		h.in, h.change = h.window.at(now.wall, r.local)
		if !h.change.IsZero() && (r.hoursChange.IsZero() || h.change.Before(r.hoursChange)) {
			r.hoursChange = h.change
		}
		r.hoursMoved = r.hoursMoved || h.in != h.told
	}
}

// tell tells init the facts that are others than before.
func (r *run) tell(now moment) error {
	if r.hoursMoved || len(r.changed) > fewTimers {
		return r.tellAll(now)
	}
	for _, t := range slices.SortedFunc(maps.Keys(r.changed), compareTimers) {
		facts := t.newFacts(now, r.local)
		for _, f := range t.facts {
			if !slices.ContainsFunc(facts, func(g eventsources.Fact) bool { return slices.Equal(f.Env, g.Env) }) {
				if err := r.init.Retract(f); err != nil {
					return err
				}
			}
		}
		for _, f := range facts {
			if err := r.init.Assert(f); err != nil {
				return err
			}
		}
		t.facts = facts
	}
	clear(r.changed)
	return nil
}

func compareTimers(a, b *timer) int { return cmp.Compare(a.key, b.key) }

// tellAll tells init all facts.
func (r *run) tellAll(now moment) error {
	var all []eventsources.Fact
	for _, key := range slices.Sorted(maps.Keys(r.windows)) {
		h := r.windows[key]
		if h.told = h.in; h.in {
			all = append(all, h.fact)
		}
	}
	for _, t := range slices.SortedFunc(maps.Values(r.timers), compareTimers) {
		if r.changed[t] {
			t.facts = t.newFacts(now, r.local)
		}
		all = append(all, t.facts...)
	}
	clear(r.changed)
	r.hoursMoved = false
	return r.init.Hold(all)
}
