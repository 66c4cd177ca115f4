package posix

import (
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"onset/core/job"
)

// mounting is what the job's own mounts need.
type mounting struct {
	ownMounts bool        // there is a mount namespace of this process
	binds     []*mount    // with what they show
	nodes     []*mount    // of private dev
	links     [][2]string // targets and names of those that are links
	proc      int         // directory of processes, if anything is to be read-only
	hollow    int         // file system of what hides others; 0 before the first
}

// mount is a place with what is to be there.
type mount struct {
	place
	tree int // of bind
	make func(*stage, *mount) error
}

// sources opens what is shown elsewhere, before the job's own root hides it.
func (s *stage) sources() *SetupError {
	for _, b := range s.Isolation.Bind {
		from, optional := strings.CutPrefix(b.Key, "-")
		tree, err := cloneTree(from, unix.AT_RECURSIVE)
		if optional && missing(err) {
			continue
		}
		if err != nil {
			return NoIsolation("bind "+from, err)
		}
		s.binds = append(s.binds, &mount{place{rank: rankBind, what: "bind", path: path.Clean(b.Value)}, tree, (*stage).bind})
	}
	if len(s.Isolation.ReadOnly) > 0 {
		s.proc, _ = unix.Open("/proc", unix.O_PATH|unix.O_CLOEXEC, 0)
	}
	if !slices.Contains(s.Isolation.Private, "dev") {
		return nil
	}
	for _, name := range devices {
		s.node(name, "/dev/"+name)
	}
	if s.Console == job.ConsoleOutput || s.Console == job.ConsoleOwner {
		s.node("console", s.ConsolePath)
	}
	return nil
}

// mounts makes the job's tree of files, from its root downwards: what is said
// of a place counts for all below it that has no word of its own.
func (s *stage) mounts() *SetupError {
	if !s.ownMounts {
		return nil
	}
	defer unix.Umask(unix.Umask(0))
	if os.Getpid() == 1 {
		if err := s.ownProc(); err != nil {
			return err
		}
	}
	for _, m := range s.plannedMounts() {
		if err := s.mount(m); err != nil {
			return NoIsolation(m.what+" "+m.path, err)
		}
	}
	return s.dropHollow()
}

func (s *stage) mount(m *mount) error {
	if err := m.legal(); err != nil {
		return err
	}
	if _, err := os.Stat(m.path); err != nil {
		if m.optional && missing(err) {
			return nil
		}
		return err
	}
	return m.make(s, m)
}

// ownProc shows the processes of the job's own namespace. A root without a
// /proc needs none.
func (s *stage) ownProc() *SetupError {
	err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	if err == nil || err == unix.ENOENT {
		return nil
	}
	n := findNamespace(s.Isolation.Namespaces, "pid")
	return s.without(job.Namespace{Kind: "pid", Path: "/proc", Optional: s.Isolation.Namespaces[n].Optional}, err)
}

func (s *stage) plannedMounts() []*mount {
	makers := map[string]func(*stage, *mount) error{"private tmp": (*stage).privateTmp, "private dev": (*stage).privateDev,
		"hide": (*stage).hide, "readonly": (*stage).readOnly}
	list := s.binds
	for _, p := range placesOf(&s.Isolation) {
		list = append(list, &mount{place: p, make: makers[p.what]})
	}
	slices.SortStableFunc(list, func(a, b *mount) int { return a.order(&b.place) })
	return list
}

// cloneTree returns a tree of files that can be put elsewhere.
func cloneTree(from string, flags uint) (int, error) {
	if !path.IsAbs(from) {
		return -1, unix.EINVAL
	}
	return unix.OpenTree(unix.AT_FDCWD, from, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|flags)
}

// put covers a place with a tree.
func put(tree int, at string) error {
	return unix.MoveMount(tree, "", unix.AT_FDCWD, at, unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_SYMLINKS)
}

func (s *stage) bind(m *mount) error { return put(m.tree, m.path) }

func (s *stage) privateTmp(m *mount) error {
	return unix.Mount("tmpfs", m.path, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777")
}

// hide covers a directory with an empty one and anything else with an empty
// file, which nobody may read.
func (s *stage) hide(m *mount) error {
	if s.hollow == 0 {
		if err := s.makeHollow(); err != nil {
			return err
		}
	}
	info, err := os.Stat(m.path)
	if err != nil {
		return err
	}
	name := "file"
	if info.IsDir() {
		name = "dir"
	}
	tree, err := unix.OpenTree(s.hollow, name, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	return put(tree, m.path)
}

// makeHollow makes the file system of what hides others. Before Linux 6.15
// only mounts that are in the tree are cloned, so it is put out of reach there:
// over the root, from where every path starts.
func (s *stage) makeHollow() error {
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return err
	}
	s.hollow, err = unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return err
	}
	return inTurn(
		func() error { return unix.Mkdirat(s.hollow, "dir", 0) },
		func() error { return unix.Mknodat(s.hollow, "file", unix.S_IFREG, 0) },
		func() error { return unix.FsconfigSetFlag(fs, "ro") },
		func() error { return unix.FsconfigReconfigure(fs) },
		func() error { return put(s.hollow, "/") })
}

func (s *stage) dropHollow() *SetupError {
	if s.hollow == 0 {
		return nil
	}
	here, err := unix.Open(".", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err == nil {
		err = inTurn(
			func() error { return unix.Fchdir(s.hollow) },
			func() error { return unix.Unmount(".", unix.MNT_DETACH) },
			func() error { return unix.Fchdir(here) })
	}
	if err != nil {
		return NoIsolation("hide", err)
	}
	return nil
}
