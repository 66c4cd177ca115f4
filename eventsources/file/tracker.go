package file

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
	"unicode/utf8"

	"onset/eventsources"
)

// what is told by a notice.
type what uint8

const (
	made     what = iota // an entry is there
	gone                 // an entry is not there any more, or a directory
	written              // a file was closed that was open for writing
	closed               // likewise, one of those that were added, by their paths
	changed              // something is different in a directory
	replaced             // a directory may be another one now
)

// notice is what a kernel tells, by the path that the directory was watched by.
type notice struct {
	what what
	path string
}

// tracker knows what there is. One goroutine uses it.
type tracker struct {
	ctx      context.Context
	init     eventsources.Init
	notifier *notifier
	root     *directory
	operands map[string]*operand
	warned   map[string]bool

	watches   map[string]*watch // by path
	byID      map[fileID]*watch
	unwatched map[*directory]bool // entered, and to be looked at from time to time
	limited   bool                // it was told that some are
	doubts    map[*entry]*doubt
}

func newTracker(ctx context.Context, init eventsources.Init, n *notifier) *tracker {
	return &tracker{ctx: ctx, init: init, notifier: n, root: newDirectory("/", nil), operands: map[string]*operand{},
		warned: map[string]bool{}, watches: map[string]*watch{}, byID: map[fileID]*watch{}, unwatched: map[*directory]bool{}, doubts: map[*entry]*doubt{}}
}

// warn tells once of an operand that cannot be.
func (t *tracker) warn(job, text string) {
	if !t.warned[job+text] {
		t.warned[job+text] = true
		t.init.Logf("%s: %s", eventsources.JobName(job), text)
	}
}

// setOperands changes what is asked for.
func (t *tracker) setOperands(next map[string]*operand) {
	for _, file := range slices.Sorted(maps.Keys(t.operands)) {
		if next[file] == nil {
			t.uproot(t.operands[file])
			delete(t.operands, file)
		}
	}
	for _, file := range slices.Sorted(maps.Keys(next)) {
		o := t.operands[file]
		if o == nil {
			t.operands[file] = next[file]
			t.plant(next[file])
			continue
		}
		announce, fact := false, o.fact
		for _, job := range next[file].jobs {
			_, known := slices.BinarySearch(o.jobs, job)
			announce = announce || !known
		}
		d := t.place(o)
		if fact && !next[file].fact {
			t.release(d, o)
		}
		o.wants, o.fact, o.jobs, o.someOf = next[file].wants, next[file].fact, next[file].jobs, next[file].someOf
		if announce || o.fact && !fact {
			t.present(d, o, d.knownTo(o), announce)
		}
	}
}

// tell emits an event that is wanted.
func (t *tracker) tell(o *operand, k kind, match string) {
	if !o.wants[k] || !t.sayable(o, match) {
		return
	}
	err := t.init.Emit(t.ctx, eventsources.Event{Name: "file", Env: o.env(kinds[k], match)})
	if err != nil && t.ctx.Err() == nil {
		t.init.Logf("cannot tell of %s: %v", o.file, err)
	}
}

// hold makes the fact of an operand true or false.
func (t *tracker) hold(o *operand, match string, exists bool) {
	if !o.fact || !t.sayable(o, match) {
		return
	}
	change := t.init.Retract
	if exists {
		change = t.init.Assert
	}
	if err := change(eventsources.Fact{Name: "file", Env: o.env("", match)}); err != nil {
		t.init.Logf("cannot tell of %s: %v", o.file, err)
	}
}

// sayable reports whether D-Bus can carry a name, which files need not have.
func (t *tracker) sayable(o *operand, match string) bool {
	ok := utf8.ValidString(match)
	if !ok {
		t.warn(o.someOf, "a file that FILE="+o.file+" matches has a name that is not UTF-8, and is left out")
	}
	return ok
}

// enter begins to know a directory, if it is there, and tells of what is in it.
// news says that it was not there before.
func (t *tracker) enter(d *directory, news bool) {
	id, link, ok := lookAtDir(d.path)
	if !ok {
		return
	}
	d.entered, d.id, d.link = true, id, link
	t.watch(d)
	for _, o := range d.whole {
		t.hold(o, "", true)
		t.tell(o, create, "")
	}
	now := d.list()
	for _, name := range slices.Sorted(maps.Keys(now)) {
		t.appear(d, name, now[name], false)
		if news {
			t.doubt(d, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.children)) {
		t.enter(d.children[name], news)
	}
}

// leave ends what was known of a directory, and tells that all in it is gone.
func (t *tracker) leave(d *directory) {
	if !d.entered {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(d.children)) {
		t.leave(d.children[name])
	}
	for _, name := range slices.Sorted(maps.Keys(d.known)) {
		t.vanish(d, name, false)
	}
	for _, o := range d.whole {
		t.hold(o, "", false)
		t.tell(o, remove, "")
	}
	t.unwatch(d)
	delete(t.unwatched, d)
	d.entered, d.mute = false, false
	clear(d.closed)
}

// know takes note of an entry.
func (t *tracker) know(d *directory, name string, e *entry) {
	t.forget(d, name)
	d.known[name] = e
	if e.id != (fileID{}) {
		e.silent = t.notifier.addFile(filepath.Join(d.path, name)) != nil
		if e.silent {
			t.unwatched[d] = true
		}
	}
}

func (t *tracker) forget(d *directory, name string) {
	if e := d.known[name]; e != nil {
		delete(d.known, name)
		delete(t.doubts, e)
		t.notifier.removeFile(filepath.Join(d.path, name))
	}
}

// appear tells that an entry is there. Those of a directory that was not
// entered before are no news to who asks for all of it.
func (t *tracker) appear(d *directory, name string, e *entry, news bool) {
	t.know(d, name, e)
	d.about(name, func(o *operand, match string) {
		if e.id != (fileID{}) {
			t.hold(o, match, true)
		}
		t.tell(o, create, match)
	})
	if news {
		t.tellWhole(d, name)
	}
}

func (t *tracker) vanish(d *directory, name string, news bool) {
	t.forget(d, name)
	d.about(name, func(o *operand, match string) {
		t.hold(o, match, false)
		t.tell(o, remove, match)
	})
	if news {
		t.tellWhole(d, name)
	}
}

func (t *tracker) write(d *directory, name string) {
	d.about(name, func(o *operand, match string) { t.tell(o, modify, match) })
	t.tellWhole(d, name)
}

// tellWhole tells who asks for a directory that an entry has changed.
func (t *tracker) tellWhole(d *directory, name string) {
	for _, o := range d.whole {
		t.tell(o, modify, filepath.Join(d.path, name))
	}
}

// notice takes what the kernel tells.
func (t *tracker) notice(n notice) {
	if w := t.watches[n.path]; w != nil {
		switch n.what {
		case changed:
			for _, d := range slices.Clone(w.dirs) {
				t.compare(d, false, false)
			}
			return
		case gone, replaced:
			t.lose(w)
		}
	}
	if n.what == closed {
		if d := t.find(filepath.Dir(n.path)); d != nil {
			t.written(d, filepath.Base(n.path))
		}
		return
	}
	w := t.watches[filepath.Dir(n.path)]
	if w == nil || n.path == "/" {
		return
	}
	name := filepath.Base(n.path)
	for _, d := range slices.Clone(w.dirs) {
		switch n.what {
		case made:
			t.made(d, name)
		case gone:
			if child := d.children[name]; child != nil {
				t.leave(child)
			}
			if d.known[name] != nil {
				t.vanish(d, name, true)
			}
		case written:
			t.written(d, name)
		}
	}
}

// made takes note of an entry that the kernel says was made. It may be gone
// again, or known by a look at the directory.
func (t *tracker) made(d *directory, name string) {
	if d.interests(name) {
		e, known := look(filepath.Join(d.path, name)), d.known[name]
		if e == nil {
			e = &entry{}
		}
		if known == nil || e.id != (fileID{}) && known.id != e.id {
			t.appear(d, name, e, true)
		}
		if d.closed[name] {
			delete(d.closed, name)
			t.write(d, name)
		}
	}
	if child := d.children[name]; child != nil {
		t.reconcile(child)
	}
}

// written takes note of a file that was written. One that is not the one known
// is told of once it is.
func (t *tracker) written(d *directory, name string) {
	if !d.interests(name) {
		return
	}
	e, known := look(filepath.Join(d.path, name)), d.known[name]
	switch {
	case e == nil:
	case known != nil && known.id == e.id:
		known.modified = e.modified
		delete(t.doubts, known)
		t.write(d, name)
	default:
		d.closed[name] = true
	}
}

// reconcile enters or leaves a directory, as it is there.
func (t *tracker) reconcile(d *directory) {
	id, link, ok := lookAtDir(d.path)
	if d.entered && (!ok || id != d.id) {
		t.leave(d)
	}
	switch {
	case ok && !d.entered:
		t.enter(d, true)
	case ok:
		d.link = link
		t.watch(d)
	}
}

// compare tells the differences of a directory to what was known. Files were
// written if the time says so, where byTime is set or the kernel does not tell;
// deep is for all below, too.
func (t *tracker) compare(d *directory, byTime, deep bool) {
	now := d.list()
	for _, name := range slices.Sorted(maps.Keys(d.known)) {
		if now[name] == nil {
			t.vanish(d, name, true)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(now)) {
		e, known := now[name], d.known[name]
		switch {
		case known == nil || known.id != e.id:
			t.appear(d, name, e, true)
			t.doubt(d, name)
		case known.modified != e.modified && (byTime || known.silent):
			known.modified = e.modified
			delete(t.doubts, known)
			t.write(d, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.children)) {
		child := d.children[name]
		was := child.entered
		if t.reconcile(child); deep && was && child.entered {
			t.compare(child, byTime, deep)
		}
	}
}

// rescan makes good for what the kernel lost.
func (t *tracker) rescan() { t.compare(t.root, true, true) }

// remounted looks whether directories are others now.
func (t *tracker) remounted(d *directory) {
	for _, name := range slices.Sorted(maps.Keys(d.children)) {
		child := d.children[name]
		was := child.entered
		if t.reconcile(child); was && child.entered {
			t.remounted(child)
		}
	}
}
