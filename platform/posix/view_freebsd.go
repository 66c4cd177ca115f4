package posix

import (
	"errors"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// view is a tree of files as a list of mounts.
type view struct {
	items   []*item
	mounted []mountPoint // of the machine
	console bool         // the job writes to it
}

// item is a file system to be mounted.
type item struct {
	at       string // in the tree
	fstype   string
	from     string // what it shows; empty: nothing of the machine
	readOnly bool
	what     string // in messages
	options  []string
	devices  string // patterns of those to be seen of a devfs; empty: all
}

// mountPoint is one of the machine, by its path in the root of this process.
type mountPoint struct{ at, fstype string }

// synthetic are file systems that are the same wherever they are mounted; they
// are mounted again, as not all of them can be shown elsewhere.
var synthetic = []string{"devfs", "fdescfs", "procfs", "linprocfs", "linsysfs", "mqueuefs"}

// below reports whether a path is at or below another, and what is behind it.
func below(p, top string) (rest string, ok bool) {
	if top == "/" {
		top = ""
	}
	rest, ok = strings.CutPrefix(p, top)
	return rest, ok && (rest == "" || rest[0] == '/')
}

// show puts a directory of the machine, with what is mounted below it, into
// the tree. Mounts whose place others than root can change are left out.
func (v *view) show(from, at string) {
	if real, err := filepath.EvalSymlinks(from); err == nil { // as mounts are known
		from = real
	}
	v.cover(at)
	v.items = append(v.items, &item{at: at, fstype: "nullfs", from: from, what: "mount"})
	for _, m := range v.mounted {
		if _, own := below(m.at, treeDir); own {
			continue
		}
		rest, ok := below(m.at, from)
		i := &item{at: path.Join(at, rest), fstype: "nullfs", from: m.at, what: "mount"}
		if !ok {
			continue
		}
		if slices.Contains(synthetic, m.fstype) {
			i.fstype = m.fstype
		}
		if place, err := v.resolve(i.at); rest != "" && (err != nil || place != i.at) {
			continue
		}
		v.cover(i.at)
		v.items = append(v.items, i)
	}
}

// cover takes away what is at a place and below.
func (v *view) cover(at string) {
	v.items = slices.DeleteFunc(v.items, func(i *item) bool { _, ok := below(i.at, at); return ok })
}

// source is where a path of the tree is on the machine, or "".
func (v *view) source(p string) string {
	top, from := "", ""
	for _, i := range v.items {
		rest, ok := below(p, i.at)
		if !ok || len(i.at) < len(top) {
			continue
		}
		top, from = i.at, ""
		if i.from != "" {
			from = path.Join(i.from, rest)
		}
	}
	return from
}

// errOthers is why a place is refused: somebody could have it be another,
// outside of the tree, while it is mounted.
var errOthers = errors.New("others than root can change the path")

// resolve follows the links of a path as they are in the tree. It fails where
// others than root could make new ones.
func (v *view) resolve(p string) (at string, err error) {
	at = "/"
	for links := 0; p != ""; {
		var name string
		name, p, _ = strings.Cut(strings.TrimLeft(p, "/"), "/")
		switch name {
		case "", ".":
			continue
		case "..":
			at = path.Dir(at)
			continue
		}
		here, next := v.source(at), path.Join(at, name)
		there := v.source(next)
		if here == "" || there == "" {
			return "", unix.ENOENT
		}
		var dir, entry unix.Stat_t
		if err := inTurn(func() error { return unix.Stat(here, &dir) }, func() error { return unix.Lstat(there, &entry) }); err != nil {
			return "", err
		}
		if dir.Uid != 0 || dir.Mode&0o022 != 0 {
			return "", errOthers
		}
		if entry.Mode&unix.S_IFMT != unix.S_IFLNK {
			at = next
			continue
		}
		target, err := os.Readlink(there)
		if links++; links > 32 {
			err = unix.ELOOP
		}
		if err != nil {
			return "", err
		}
		if path.IsAbs(target) {
			at = "/"
		}
		p = target + "/" + p
	}
	return at, nil
}

// put has a place be what a stanza says.
func (v *view) put(p place, at, from string) error {
	add := func(i *item) {
		i.at, i.what = at, p.what
		v.cover(at)
		v.items = append(v.items, i)
	}
	switch p.what {
	case "bind":
		v.show(from, at)
	case "private tmp":
		add(&item{fstype: "tmpfs", options: []string{"mode", "1777"}})
	case "private dev":
		fd := path.Join(at, "fd")
		descriptors := slices.ContainsFunc(v.items, func(i *item) bool { return i.at == fd && i.fstype == "fdescfs" })
		show := privateDevices
		if v.console {
			show += " console"
		}
		add(&item{fstype: "devfs", devices: show})
		if descriptors {
			v.items = append(v.items, &item{at: fd, fstype: "fdescfs", what: p.what})
		}
	case "hide":
		hollow, err := v.hollow(at)
		if err != nil {
			return err
		}
		add(hollow)
	case "readonly":
		v.readOnly(at)
	}
	return nil
}

// hollow is what hides a directory or, since FreeBSD 14, a file.
func (v *view) hollow(at string) (*item, error) {
	var st unix.Stat_t
	if err := unix.Stat(v.source(at), &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return &item{fstype: "tmpfs", readOnly: true, options: []string{"mode", "0", "size", "65536"}}, nil
	}
	empty := treeDir + "/empty"
	err := os.MkdirAll(treeDir, 0o700)
	if err == nil {
		err = os.WriteFile(empty, nil, 0)
	}
	return &item{fstype: "nullfs", from: empty, readOnly: true}, err
}

func (v *view) readOnly(at string) {
	is := false
	for _, i := range v.items {
		if _, ok := below(i.at, at); ok {
			i.readOnly, is = true, is || i.at == at
		}
	}
	if !is {
		v.items = append(v.items, &item{at: at, fstype: "nullfs", from: v.source(at), readOnly: true, what: "readonly"})
	}
}
