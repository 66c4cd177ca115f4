package posix

import (
	"errors"
	"fmt"
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
// ends the job unmounts them. They show the machine's files, so it is nowhere
// that is emptied, as /var/run is by cleanvar of rc(8).
const treeDir = "/var/db/onset"

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

// mount mounts an item at its place in a tree.
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

// allMounts returns what is mounted, in this order.
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

// RemoveTree unmounts the files of a jail, also where another mount hides them.
func RemoveTree(jail string) error {
	all, err := allMounts()
	root := treeDir + "/" + jail
	for i := len(all) - 1; i >= 0; i-- {
		at := unix.ByteSliceToString(all[i].Mntonname[:])
		if _, rest, ok := strings.Cut(at, root); !ok || rest != "" && rest[0] != '/' {
			continue
		}
		id := all[i].Fsid.Val
		failed := unix.Unmount(fmt.Sprintf("FSID:%d:%d", id[0], id[1]), unix.MNT_FORCE|unix.MNT_BYFSID)
		if failed != nil && failed != unix.ENOENT { // it is gone
			err = errors.Join(err, &os.PathError{Op: "unmount", Path: at, Err: failed})
		}
		if strings.HasSuffix(at, root) {
			unix.Rmdir(at)
		}
	}
	unix.Rmdir(root) // of one that got no further
	return err
}
