package udev

import (
	"context"
	"maps"
	"slices"

	"onset/eventsources"
)

// tracker makes events and facts of messages and of what is found.
type tracker struct {
	init  eventsources.Init
	strip bool
	want  wants
	held  map[string]uevent // by path: the devices of subsystems that are wanted

	last uint64 // SEQNUM of the latest message
	told uint64 // the other group has told what is not later
	seen uint64 // the last look at what exists saw what is not later
}

func newTracker(init eventsources.Init, source Source) *tracker {
	return &tracker{init: init, strip: !source.NoStrip, want: wants{all: source.All}, held: map[string]uevent{}}
}

// begin takes what was found of subsystems that are wanted anew for known, and
// makes the facts be those that are wanted.
func (t *tracker) begin(w wants, anew []found) error {
	t.want = w
	maps.DeleteFunc(t.held, func(_ string, u uevent) bool { return !w.tracks(u.subsystem) })
	for _, f := range anew {
		if _, known := t.held[f.path]; !known {
			t.held[f.path] = f.uevent
		}
	}
	var facts []eventsources.Fact
	for _, path := range slices.Sorted(maps.Keys(t.held)) {
		if u := t.held[path]; w.by[u.subsystem].fact {
			facts = append(facts, u.fact(t.strip))
		}
	}
	return t.init.Hold(facts)
}

// handle tells of a message, unless that is a repetition.
func (t *tracker) handle(ctx context.Context, u uevent) error {
	_, known := t.held[u.path]
	repeats := u.seq > 0 && (u.seq <= t.told || u.seq <= t.seen && (u.action == "add" && known || u.action == "remove" && !known))
	t.last = max(t.last, u.seq)
	var err error
	switch {
	case u.action != "remove":
		err = t.keep(u)
	case !repeats:
		err = t.forget(u.path)
	}
	if repeats || err != nil {
		return err
	}
	return t.emit(ctx, u)
}

// keep takes a device for what is said of it now, and instead of where it was
// before it moved.
func (t *tracker) keep(u uevent) error {
	old, known := t.held[u.path]
	if from := u.get("DEVPATH_OLD"); from != "" && u.action == "move" {
		if was, ok := t.held[from]; ok {
			old, known = was, true
			delete(t.held, from)
		}
	}
	t.held[u.path] = u
	if !t.want.by[u.subsystem].fact {
		return nil
	}
	fact := u.fact(t.strip)
	if !known {
		return t.init.Assert(fact)
	}
	before := old.fact(t.strip)
	if slices.Equal(before.Env, fact.Env) {
		return nil
	}
	if err := t.init.Assert(fact); err != nil {
		return err
	}
	return t.init.Retract(before)
}

// forget ends the fact of a device.
func (t *tracker) forget(path string) error {
	u, known := t.held[path]
	delete(t.held, path)
	if !known || !t.want.by[u.subsystem].fact {
		return nil
	}
	return t.init.Retract(u.fact(t.strip))
}

func (t *tracker) emit(ctx context.Context, u uevent) error {
	if !t.want.event(u.subsystem, u.action) {
		return nil
	}
	return t.init.Emit(ctx, u.event(t.strip))
}

// compare tells the differences to what was found, which shows the uevents up
// to seen. What udevd has not handled may be left to its messages.
func (t *tracker) compare(ctx context.Context, all []found, leave bool, seen uint64) error {
	t.seen = seen
	exists := map[string]bool{}
	for _, f := range all {
		exists[f.path] = true
	}
	for _, path := range slices.Sorted(maps.Keys(t.held)) {
		if exists[path] {
			continue
		}
		u := t.held[path]
		u.action = "remove"
		err := t.forget(path)
		if err == nil {
			err = t.emit(ctx, u)
		}
		if err != nil {
			return err
		}
	}
	for _, f := range all {
		_, known := t.held[f.path]
		if !known && leave && !f.handled {
			continue
		}
		err := t.keep(f.uevent)
		if err == nil && !known {
			err = t.added(ctx, f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// added tells that a device was added.
func (t *tracker) added(ctx context.Context, f found) error {
	f.action = "add"
	return t.emit(ctx, f.uevent)
}
