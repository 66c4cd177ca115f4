package posix

import (
	"errors"
	"os"
	"path"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"onset/core/job"
)

// treeDir is where the trees of files of jobs are, by the names of their
// jails: this kernel has no mounts of one process, so all see them, and who
// ends the job unmounts them.
const treeDir = "/var/run/onset"

// wantsTree reports whether a job is to see other files than the machine.
func wantsTree(i *job.Isolation) bool { return len(i.Bind)+len(placesOf(i)) > 0 }

// plant mounts the tree of a job, whose root shows a directory, and returns
// its path.
func (s *stage) plant(root string) (string, *SetupError) {
	mounted, err := mountsBelow(s.Root)
	if err != nil {
		return "", NoIsolation("mount", err)
	}
	v := &view{mounted: mounted, console: s.Console == job.ConsoleOutput || s.Console == job.ConsoleOwner}
	v.show(root, "/")
	if err := s.arrange(v); err != nil {
		return "", err
	}
	tree := treeDir + "/" + s.Jail
	err = os.MkdirAll(treeDir, 0o700)
	if err == nil {
		err = unix.Mkdir(tree, 0o700)
	}
	if err != nil {
		return "", NoIsolation("mount "+tree, err)
	}
	slices.SortStableFunc(v.items, func(a, b *item) int { return strings.Compare(a.at, b.at) })
	for _, i := range v.items {
		if err := i.mount(tree); err != nil {
			return "", NoIsolation(i.what+" "+i.at, err)
		}
	}
	return tree, nil
}

// arrange puts everything in its place.
func (s *stage) arrange(v *view) *SetupError {
	list, from := placesOf(&s.Isolation), map[place]string{}
	for _, b := range s.Isolation.Bind {
		source, optional := strings.CutPrefix(b.Key, "-")
		_, err := os.Stat(source)
		if optional && missing(err) {
			continue
		}
		if err == nil && !path.IsAbs(source) {
			err = unix.EINVAL
		}
		if err != nil {
			return NoIsolation("bind "+source, err)
		}
		p := place{rank: rankBind, what: "bind", path: path.Clean(b.Value)}
		list, from[p] = append(list, p), source
	}
	slices.SortStableFunc(list, func(a, b place) int { return a.order(&b) })
	for _, p := range list {
		err := p.legal()
		at := ""
		if err == nil {
			at, err = v.resolve(p.path)
		}
		if p.optional && missing(err) {
			continue
		}
		if err == nil {
			err = v.put(p, at, from[p])
		}
		if err != nil {
			return NoIsolation(p.what+" "+p.path, err)
		}
	}
	return nil
}

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

func (i *item) mount(tree string) error {
	flags, at := 0, path.Join(tree, i.at)
	options := i.options
	if i.from != "" {
		var st unix.Statfs_t
		if err := unix.Statfs(i.from, &st); err != nil {
			return err
		}
		flags = int(st.Flags) & (unix.MNT_NOSUID | unix.MNT_NOEXEC | unix.MNT_NOSYMFOLLOW)
	} else {
		flags = unix.MNT_NOSUID
	}
	if i.fstype == "nullfs" {
		options = append(options, "target", i.from)
	}
	if i.readOnly && !slices.Contains(synthetic, i.fstype) {
		flags |= unix.MNT_RDONLY
	}
	err := Nmount(i.fstype, at, flags, options...)
	if err == unix.EDEADLK { // it would cover itself, if nothing were between
		err = inTurn(
			func() error { return Nmount("tmpfs", at, unix.MNT_RDONLY, "size", "65536") },
			func() error { return Nmount(i.fstype, at, flags, options...) })
	}
	if err == nil && i.devices != "" {
		err = showDevices(at, i.devices)
	}
	return err
}

// privateDevices are what every program may count on.
const privateDevices = "null zero full random urandom tty log fd fd/* stdin stdout stderr ptmx pts pts/*"

// devfsRule is struct devfs_rule.
type devfsRule struct {
	magic, id, conditions, switches uint32
	pattern                         [200]byte
	actions, hide, uid, gid         uint32
	mode, ruleset                   uint16
}

const (
	devfsMagic   = 0xdb0a087a
	devfsApply   = 0x80000000 | uint(unsafe.Sizeof(devfsRule{}))<<16 | 'D'<<8 | 2 // DEVFSIO_RAPPLY
	devfsPattern = 2                                                              // DRC_PATHPTRN
	devfsHiding  = 1                                                              // DRA_BACTS
	devfsHide    = 1
	devfsUnhide  = 2
)

// showDevices hides all of a device file system but what fits to some patterns.
func showDevices(at, patterns string) error {
	fd, err := unix.Open(at, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	apply := func(pattern string, what uint32) error {
		r := devfsRule{magic: devfsMagic, actions: devfsHiding, hide: what}
		if copy(r.pattern[:], pattern) > 0 {
			r.conditions = devfsPattern
		}
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(devfsApply), uintptr(unsafe.Pointer(&r))); errno != 0 {
			return errno
		}
		return nil
	}
	if err := apply("", devfsHide); err != nil {
		return err
	}
	for _, name := range strings.Fields(patterns) {
		if err := apply(name, devfsUnhide); err != nil {
			return err
		}
	}
	return nil
}

// mounts returns what is mounted, in this order.
func allMounts() ([]unix.Statfs_t, error) {

	for {
		n, err := unix.Getfsstat(nil, unix.MNT_NOWAIT)
		if err != nil {
			return nil, err
		}
		list := make([]unix.Statfs_t, n+8) // some may come meanwhile
		if n, err = unix.Getfsstat(list, unix.MNT_NOWAIT); err != nil || n < len(list) {
			return list[:n], err
		}
	}
}

// mountsBelow returns the mounts of a root, by their paths in it.
func mountsBelow(root string) (list []mountPoint, err error) {
	all, err := allMounts()
	for i := range all {
		if at, ok := below(unix.ByteSliceToString(all[i].Mntonname[:]), path.Clean("/"+root)); ok {
			list = append(list, mountPoint{at: path.Clean("/" + at), fstype: unix.ByteSliceToString(all[i].Fstypename[:])})
		}
	}
	return list, err
}

// Trees returns the names of the jails whose files are mounted.
func Trees() (names []string) {
	all, _ := allMounts()
	for i := range all {
		if _, rest, ok := strings.Cut(unix.ByteSliceToString(all[i].Mntonname[:]), treeDir+"/"); ok && !strings.Contains(rest, "/") {
			names = append(names, rest)
		}
	}
	return names
}

// RemoveTree unmounts the files of a jail.
func RemoveTree(jail string) {
	all, _ := allMounts()
	root := treeDir + "/" + jail
	for i := len(all) - 1; i >= 0; i-- {
		at := unix.ByteSliceToString(all[i].Mntonname[:])
		if _, rest, ok := strings.Cut(at, root); !ok || rest != "" && rest[0] != '/' {
			continue
		}
		unix.Unmount(at, unix.MNT_FORCE)
		if strings.HasSuffix(at, root) {
			unix.Rmdir(at)
		}
	}
	unix.Rmdir(root) // of one that got no further
}
