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
func (t *tracker) begin(w wants, anew []found) {
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
	if err := t.init.Hold(facts); err != nil {
		t.init.Logf("cannot make all facts true: %v", err)
	}
}

// handle tells of a message, unless that is a repetition.
func (t *tracker) handle(ctx context.Context, u uevent) error {
	_, known := t.held[u.path]
	repeats := u.seq > 0 && (u.seq <= t.told || u.seq <= t.seen && (u.action == "add" && known || u.action == "remove" && !known))
	t.last = max(t.last, u.seq)
	switch {
	case u.action != "remove":
		t.keep(u)
	case !repeats:
		t.forget(u.path)
	}
	if repeats {
		return nil
	}
	return t.emit(ctx, u)
}

// keep takes a device for what is said of it now, and instead of where it was
// before it moved.
func (t *tracker) keep(u uevent) {
	old, known := t.held[u.path]
	if from := u.get("DEVPATH_OLD"); from != "" && u.action == "move" {
		if was, ok := t.held[from]; ok {
			old, known = was, true
			delete(t.held, from)
		}
	}
	t.held[u.path] = u
	if !t.want.by[u.subsystem].fact {
		return
	}
	fact, before := u.fact(t.strip), eventsources.Fact{}
	if known {
		if before = old.fact(t.strip); slices.Equal(before.Env, fact.Env) {
			return
		}
	}
	if err := t.init.Assert(fact); err != nil {
		t.init.Logf("cannot make the fact %s of %s true: %v", fact.Name, u.path, err)
	}
	if known {
		t.retract(before, old.path)
	}
}

// forget ends the fact of a device.
func (t *tracker) forget(path string) {
	if u, known := t.held[path]; known {
		delete(t.held, path)
		if t.want.by[u.subsystem].fact {
			t.retract(u.fact(t.strip), path)
		}
	}
}

func (t *tracker) retract(f eventsources.Fact, path string) {
	if err := t.init.Retract(f); err != nil {
		t.init.Logf("cannot make the fact %s of %s false: %v", f.Name, path, err)
	}
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
		t.forget(path)
		if err := t.emit(ctx, u); err != nil {
			return err
		}
	}
	for _, f := range all {
		_, known := t.held[f.path]
		if !known && leave && !f.handled {
			continue
		}
		t.keep(f.uevent)
		if known {
			continue
		}
		if err := t.added(ctx, f); err != nil {
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
