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
	held  map[string]string // by path, of subsystems that are wanted: what lasts of it

	last uint64 // SEQNUM of the latest message
	told uint64 // the other group has told what is not later
	seen uint64 // the last look at what exists saw what is not later
	// gone and came have what a look found gone or new, which was told without
	// messages that are yet to come, not later than these.
	gone, came map[string]uint64
}

// order is how many messages of other devices a message may be behind: udevd
// handles devices side by side.
const order = 1000

func newTracker(init eventsources.Init, source Source) *tracker {
	return &tracker{init: init, strip: !source.NoStrip, want: wants{all: source.All}, held: map[string]string{}, gone: map[string]uint64{}, came: map[string]uint64{}}
}

// begin takes what was found of subsystems that are wanted anew for known, and
// makes the facts be those that are wanted.
func (t *tracker) begin(w wants, anew []found) error {
	t.want = w
	maps.DeleteFunc(t.held, func(_, text string) bool { return !w.tracks(lasted(text).subsystem) })
	for _, f := range anew {
		if _, known := t.held[f.path]; !known {
			t.hold(f.lasting())
		}
	}
	var facts []eventsources.Fact
	for _, path := range slices.Sorted(maps.Keys(t.held)) {
		if text := t.held[path]; w.by[lasted(text).subsystem].fact {
			facts = append(facts, factOf(text, t.strip))
		}
	}
	return t.init.Hold(facts)
}

// handle tells of a message, unless that is a repetition.
func (t *tracker) handle(ctx context.Context, u uevent) error {
	_, known := t.held[u.path]
	repeats := u.seq > 0 && (u.seq <= t.told || u.seq <= t.gone[u.path] ||
		u.action == "add" && known && u.seq <= t.came[u.path] || u.action == "remove" && !known && u.seq <= t.seen)
	if t.last = max(t.last, u.seq); t.last > t.seen+order {
		clear(t.gone)
		clear(t.came)
	}
	if repeats && (!known || u.action == "remove") {
		return nil // it may be long gone, or have come again
	}
	var err error
	if u.action == "remove" {
		err = t.forget(u.path)
	} else {
		err = t.keep(u)
	}
	if repeats || err != nil {
		return err
	}
	return t.emit(ctx, u)
}

// knows reports whether a device is known already.
func (t *tracker) knows(u uevent) bool {
	_, known := t.held[u.path]
	return known
}

// hold keeps what lasts of a device in mind, and nothing else of its message.
func (t *tracker) hold(text string) { t.held[lasted(text).path] = text }

// keep takes a device for what is said of it now, and instead of where it was
// before it moved.
func (t *tracker) keep(u uevent) error {
	before, known := t.held[u.path]
	if from := u.get("DEVPATH_OLD"); from != "" && u.action == "move" {
		if was, ok := t.held[from]; ok {
			before, known = was, true
			delete(t.held, from)
		}
	}
	now := u.lasting()
	if known && now == before {
		return nil
	}
	if t.hold(now); !t.want.by[u.subsystem].fact {
		return nil
	}
	fact := factOf(now, t.strip)
	if !known {
		return t.init.Assert(fact)
	}
	old := factOf(before, t.strip)
	if slices.Equal(fact.Env, old.Env) {
		return nil // they differed in what is not printable
	}
	if err := t.init.Assert(fact); err != nil {
		return err
	}
	return t.init.Retract(old)
}

// forget ends the fact of a device.
func (t *tracker) forget(path string) error {
	text, known := t.held[path]
	delete(t.held, path)
	if !known || !t.want.by[lasted(text).subsystem].fact {
		return nil
	}
	return t.init.Retract(factOf(text, t.strip))
}

func (t *tracker) emit(ctx context.Context, u uevent) error {
	if !t.want.event(u.subsystem, u.action) {
		return nil
	}
	return t.init.Emit(ctx, u.event(t.strip))
}

// compare tells the differences to what was found, by a look that began after
// one message and ended after another. Messages up to then that say no more
// than this will be repetitions, but that a device is added which was known
// before: somebody wants it told again. What udevd has not handled may be left to its
// messages.
func (t *tracker) compare(ctx context.Context, all []found, leave bool, began, seen uint64) error {
	t.seen = seen
	exists := map[string]bool{}
	for _, f := range all {
		exists[f.path] = true
	}
	for _, path := range slices.Sorted(maps.Keys(t.held)) {
		if exists[path] {
			continue
		}
		u := lasted(t.held[path])
		u.action, t.gone[path] = "remove", began
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

// added tells that a device was added, as the last look found.
func (t *tracker) added(ctx context.Context, f found) error {
	f.action, t.came[f.path] = "add", t.seen
	return t.emit(ctx, f.uevent)
}
