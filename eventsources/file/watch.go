package file

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// watch is a directory that is watched once for all paths that lead to it.
type watch struct {
	path string
	id   fileID
	dirs []*directory
}

// poll looks at what the kernel does not tell of.
func (t *tracker) poll() {
	for _, d := range slices.SortedFunc(maps.Keys(t.unwatched), func(a, b *directory) int { return len(a.path) - len(b.path) }) {
		if !t.unwatched[d] {
			continue // left meanwhile
		}
		byTime := d.mute || !t.isWatched(d)
		if t.reconcile(d); d.entered {
			t.compare(d, byTime, false)
		}
		if !d.entered || t.isWatched(d) && !d.mute && !d.hasSilent() {
			delete(t.unwatched, d)
		}
	}
	t.limited = t.limited && len(t.unwatched) > 0
}

func (t *tracker) isWatched(d *directory) bool {
	w := t.byID[d.id]
	return w != nil && slices.Contains(w.dirs, d)
}

// watch has the kernel tell of a directory that was entered.
func (t *tracker) watch(d *directory) {
	if t.isWatched(d) {
		return
	}
	if kind := muteKind(d.path); kind != "" && !d.mute {
		d.mute = true
		t.cannotWatch(d, errors.New(kind+" does not tell of all that happens"))
	}
	w := t.byID[d.id]
	if w == nil {
		if old := t.watches[d.path]; old != nil {
			t.lose(old)
		}
		if err := t.notifier.add(d.path); err != nil {
			t.cannotWatch(d, err)
			return
		}
		w = &watch{path: d.path, id: d.id}
		t.watches[w.path], t.byID[w.id] = w, w
	}
	w.dirs = append(w.dirs, d)
}

// cannotWatch tells so once, with an operand that needs the directory. Those
// above may be closed to who runs this.
func (t *tracker) cannotWatch(d *directory, err error) {
	t.unwatched[d] = true
	above := len(d.plain)+len(d.globs)+len(d.whole) == 0
	if t.limited || above && err == unix.EACCES {
		return
	}
	t.limited = true
	file := ""
	for _, o := range t.operands {
		if strings.HasPrefix(o.path, d.path) {
			file = o.file
			break
		}
	}
	t.init.Logf("cannot watch %s for FILE=%s: %v; looking every %v, also where others cannot be watched", d.path, file, err, pollEvery)
}

func (t *tracker) unwatch(d *directory) {
	w := t.byID[d.id]
	if w == nil {
		return
	}
	w.dirs = slices.DeleteFunc(w.dirs, func(o *directory) bool { return o == d })
	if len(w.dirs) == 0 {
		t.drop(w)
	}
}

func (t *tracker) drop(w *watch) {
	delete(t.watches, w.path)
	delete(t.byID, w.id)
	t.notifier.remove(w.path)
}

// lose ends a watch that the kernel has ended, or that is of another directory
// now. What the directory above tells comes on its own.
func (t *tracker) lose(w *watch) {
	t.drop(w)
	for _, d := range w.dirs {
		t.unwatched[d] = true
		if d.link || d.path != w.path {
			t.reconcile(d)
		}
	}
}
