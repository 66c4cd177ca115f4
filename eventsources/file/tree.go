package file

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// directory is one on the way to a file that an operand names.
type directory struct {
	path     string
	parent   *directory // nil: it is /
	children map[string]*directory

	plain map[string][]*operand // for one entry, by its name
	globs []*operand            // for some entries
	whole []*operand            // for the directory itself and all entries

	entered bool
	id      fileID // if entered
	link    bool   // likewise: the path ends in a link
	mute    bool   // likewise: the kernel does not tell of all that happens there
	known   map[string]*entry
	closed  map[string]bool // written before it was told that they were made
}

// entry is what is known of an entry. The zero value was gone when it was
// looked at.
type entry struct {
	id       fileID
	modified int64 // ns
	content  bool  // it is a file with something in it
	silent   bool  // the kernel does not tell of writing
}

func newDirectory(path string, parent *directory) *directory {
	return &directory{path: path, parent: parent, children: map[string]*directory{}, plain: map[string][]*operand{},
		known: map[string]*entry{}, closed: map[string]bool{}}
}

// interests reports whether an operand is about an entry.
func (d *directory) interests(name string) bool {
	return len(d.whole) > 0 || len(d.plain[name]) > 0 || slices.ContainsFunc(d.globs, func(o *operand) bool { return o.matches(name) })
}

// about calls f with each operand that is about an entry as such.
func (d *directory) about(name string, f func(o *operand, match string)) {
	for _, o := range d.plain[name] {
		f(o, "")
	}
	for _, o := range d.globs {
		if o.matches(name) {
			f(o, filepath.Join(d.path, name))
		}
	}
}

// list returns the entries there are that are of interest.
func (d *directory) list() map[string]*entry {
	found := map[string]*entry{}
	names := slices.Collect(maps.Keys(d.plain))
	if len(d.globs)+len(d.whole) > 0 {
		names = append(names, d.names()...)
	}
	for _, name := range names {
		if found[name] == nil && d.interests(name) {
			if e := look(filepath.Join(d.path, name)); e != nil {
				found[name] = e
			}
		}
	}
	return found
}

// names returns the names of all entries; none of a directory that cannot be
// read.
func (d *directory) names() []string {
	dir, err := os.Open(d.path)
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	return names
}

// knownTo returns the names of known entries that an operand may be about, in
// order.
func (d *directory) knownTo(o *operand) []string {
	if o.asDir || o.isGlob() {
		return slices.Sorted(maps.Keys(d.known))
	}
	if name := filepath.Base(o.path); d.known[name] != nil {
		return []string{name}
	}
	return nil
}

// hasSilent reports whether writing to some files has to be looked for.
func (d *directory) hasSilent() bool {
	for _, e := range d.known {
		if e.silent {
			return true
		}
	}
	return false
}

// look returns what there is at a path; nil if nothing.
func look(path string) *entry {
	var st unix.Stat_t
	if lstat(path, &st) != nil {
		return nil
	}
	return &entry{id: idOf(&st), modified: st.Mtim.Nano(), content: st.Mode&unix.S_IFMT == unix.S_IFREG && st.Size > 0}
}

func lstat(path string, st *unix.Stat_t) (err error) {
	for err = unix.EINTR; err == unix.EINTR; {
		err = unix.Lstat(path, st)
	}
	return err
}

// lookAtDir returns whether there is a directory at a path, and whether that is
// the end of a link.
func lookAtDir(path string) (id fileID, link, ok bool) {
	var st unix.Stat_t
	if lstat(path, &st) != nil {
		return id, false, false
	}
	if link = st.Mode&unix.S_IFMT == unix.S_IFLNK; link {
		err := error(unix.EINTR)
		for err == unix.EINTR {
			err = unix.Stat(path, &st)
		}
		if err != nil {
			return id, link, false
		}
	}
	return idOf(&st), link, st.Mode&unix.S_IFMT == unix.S_IFDIR
}

// place returns the directory that an operand belongs to, making what is
// missing of the tree.
func (t *tracker) place(o *operand) *directory {
	path := o.path
	if !o.asDir {
		path = filepath.Dir(path)
	}
	d := t.root
	for name := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if name == "" {
			continue
		}
		child := d.children[name]
		if child == nil {
			child = newDirectory(filepath.Join(d.path, name), d)
			d.children[name] = child
		}
		d = child
	}
	return d
}

// find returns the directory of a path; nil if it is not in the tree.
func (t *tracker) find(path string) *directory {
	d := t.root
	for name := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if name != "" && d != nil {
			d = d.children[name]
		}
	}
	return d
}

// plant puts an operand into the tree and tells of what is there.
func (t *tracker) plant(o *operand) {
	d := t.place(o)
	names := []string{filepath.Base(o.path)}
	switch {
	case o.asDir:
		d.whole = append(d.whole, o)
	case o.isGlob():
		d.globs = append(d.globs, o)
	default:
		d.plain[names[0]] = append(d.plain[names[0]], o)
	}
	if !d.entered {
		top := d
		for top.parent != nil && !top.parent.entered {
			top = top.parent
		}
		t.enter(top, false)
		return
	}
	known := d.knownTo(o)
	if o.asDir || o.isGlob() {
		names = d.names()
	}
	for _, name := range names {
		if d.known[name] != nil || !d.interests(name) {
			continue
		}
		if e := look(filepath.Join(d.path, name)); e != nil { // it may be news to others
			t.appear(d, name, e, !o.asDir || len(d.whole) > 1)
		}
	}
	t.present(d, o, known, true)
}

// present tells an operand of what there is by these names: the facts, and the
// event create if announce is set.
func (t *tracker) present(d *directory, o *operand, names []string, announce bool) {
	t.each(d, o, names, func(match string) {
		t.hold(o, match, true)
		if announce {
			t.tell(o, create, match)
		}
	})
}

// each calls f with what is there of an operand by these names.
func (t *tracker) each(d *directory, o *operand, names []string, f func(match string)) {
	if !d.entered {
		return
	}
	if o.asDir {
		f("")
		return
	}
	for _, name := range names {
		d.about(name, func(other *operand, match string) {
			if other == o {
				f(match)
			}
		})
	}
}

// uproot takes an operand out of the tree, with its facts.
func (t *tracker) uproot(o *operand) {
	d := t.place(o)
	t.release(d, o)
	names := d.knownTo(o)
	is := func(other *operand) bool { return other == o }
	switch {
	case o.asDir:
		d.whole = slices.DeleteFunc(d.whole, is)
	case o.isGlob():
		d.globs = slices.DeleteFunc(d.globs, is)
	default:
		name := filepath.Base(o.path)
		if d.plain[name] = slices.DeleteFunc(d.plain[name], is); len(d.plain[name]) == 0 {
			delete(d.plain, name)
		}
	}
	for _, name := range names {
		if !d.interests(name) {
			t.forget(d, name)
		}
	}
	for d.parent != nil && len(d.children)+len(d.plain)+len(d.globs)+len(d.whole) == 0 {
		t.unwatch(d)
		delete(t.unwatched, d)
		delete(d.parent.children, filepath.Base(d.path))
		d = d.parent
	}
}

// release ends the facts of an operand.
func (t *tracker) release(d *directory, o *operand) {
	t.each(d, o, d.knownTo(o), func(match string) { t.hold(o, match, false) })
}
