package linux

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"onset/core/job"
	"onset/platform"
	"onset/platform/posix"
)

// limits makes the groups of cgroup stanzas (EXTENSIONS §5): in each hierarchy
// that has a controller of the stanza a group for the name, below the root of
// this init, with the settings, and in it one for the token of each spawn. A
// nil *limits ignores the stanza.
type limits struct {
	tree   *cgroups // of v2, or nil
	name   string   // of the root in the hierarchies of v1
	alone  bool     // all processes in the group of this init are its own
	notice func(token uint64, text string)
	v1     map[uint64][]string // the groups of tokens
	stale  map[uint64]bool     // tokens whose process is gone; each Collect tries to remove their groups
}

func newLimits(tree *cgroups, o Options) *limits {
	if o.NoCgroups {
		return nil
	}
	l := &limits{tree: tree, name: filepath.Base(o.CgroupRoot), alone: o.Alone, notice: o.Notice,
		v1: map[uint64][]string{}, stale: map[uint64]bool{}}
	if o.CgroupRoot == "" {
		l.name = groupName(o.Alone)
	}
	return l
}

// hierarchy is a tree of groups: v2, or one of v1.
type hierarchy struct {
	v2   bool
	root string // of the groups of jobs
	uses []job.Cgroup
}

// keeps is the directory that stays when all groups below are gone.
func (h *hierarchy) keeps() string {
	if h.v2 {
		return h.root
	}
	return filepath.Dir(h.root)
}

// place makes the groups of a spec. The process is to be in a group in the
// directory below of v2, if not "", and in those whose files are returned.
func (l *limits) place(token uint64, s *job.Spec) (below string, join []string, err error) {
	if l == nil || len(s.Attrs.Cgroups) == 0 || s.Slot == job.Security {
		return "", nil, nil
	}
	for _, h := range l.hierarchies(token, s.Attrs.Cgroups) {
		dir, err := l.build(token, h)
		if err == nil && !h.v2 {
			dir += "/" + strconv.FormatUint(token, 10)
			err = l.leaf(token, h, dir)
		}
		if err != nil {
			tidy(dir, h.keeps())
			return "", nil, err
		}
		if h.v2 {
			below = dir
			continue
		}
		l.v1[token] = append(l.v1[token], dir)
		join = append(join, dir+"/cgroup.procs")
		delegate(dir, s)
	}
	return below, join, nil
}

func setupError(what string, err error) error {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		errno = unix.EINVAL
	}
	return &platform.SpawnError{Reason: "unable to setup cgroup: " + what + ": " + posix.Strerror(errno)}
}

// tidy removes empty groups from one up to one that stays.
func tidy(dir, stays string) {
	for dir != stays && (unix.Rmdir(dir) == nil || !there(dir)) {
		dir = filepath.Dir(dir)
	}
}

func there(path string) bool { return unix.Access(path, unix.F_OK) == nil }

// hierarchies returns where the controllers of a stanza are. Those that are
// nowhere get a notice.
func (l *limits) hierarchies(token uint64, groups []job.Cgroup) (list []*hierarchy) {
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	own, _ := os.ReadFile("/proc/self/cgroup")
	old := v1Groups(string(mounts), string(own))
	for _, g := range groups {
		root, v2, err := l.find(g.Controller, old)
		if err != nil {
			l.notice(token, "cgroup "+g.Controller+" has no effect: "+posix.Strerror(posix.Underlying(err).(unix.Errno)))
			continue
		}
		i := slices.IndexFunc(list, func(h *hierarchy) bool { return h.root == root })
		if i < 0 {
			i, list = len(list), append(list, &hierarchy{v2: v2, root: root})
		}
		list[i].uses = append(list[i].uses, g)
	}
	return list
}

// find returns the root of a hierarchy with a controller. v2 comes first.
func (l *limits) find(controller string, old map[string]string) (root string, v2 bool, err error) {
	v1Name, v2Name := controllerNames(controller)
	if l.tree != nil {
		own := filepath.Dir(l.tree.root)
		if v2Name == "cgroup" || hasWord(own+"/cgroup.controllers", v2Name) {
			err := l.enable(own, v2Name)
			if err == nil {
				err = l.enable(l.tree.root, v2Name)
				l.tree.counted = l.tree.counted || v2Name == "memory"
			}
			return l.tree.root, true, err
		}
	}
	own, ok := old[v1Name]
	if !ok {
		return "", false, unix.EOPNOTSUPP
	}
	root = own + "/" + l.name
	if err = unix.Mkdir(root, 0o755); err == unix.EEXIST {
		err = unix.Access(root, unix.W_OK)
	}
	if err == nil {
		err = inherit(root)
	}
	return root, false, err
}

// hasWord reports whether a word is in a file.
func hasWord(file, word string) bool {
	text, _ := os.ReadFile(file)
	return slices.Contains(strings.Fields(string(text)), word)
}

// enable gives the groups in a directory a controller of v2. Where this init
// is in the way, since only a group without processes can do that, it moves.
func (l *limits) enable(dir, controller string) error {
	file := dir + "/cgroup.subtree_control"
	if controller == "cgroup" || hasWord(file, controller) {
		return nil
	}
	err := put(file, "+"+controller)
	for try := 0; err == unix.EBUSY && dir == filepath.Dir(l.tree.root) && try < 10; try++ {
		l.stepAside(dir)
		err = put(file, "+"+controller)
	}
	return err
}

// asideSuffix is behind the name of the root in that of the group of init's own
// processes, if they had to leave the one above.
const asideSuffix = ".init"

// stepAside moves this init out of its group to one below.
func (l *limits) stepAside(own string) {
	aside := l.tree.root + asideSuffix
	unix.Mkdir(aside, 0o755)
	pids := []int{os.Getpid()}
	if l.alone {
		pids = pidsIn(own)
	}
	for _, pid := range pids {
		put(aside+"/cgroup.procs", itoa(pid))
	}
}

// put writes a value to a file of a group.
func put(file, value string) error {
	fd, err := unix.Open(file, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte(value))
	return err
}

// build makes the groups of the names that a stanza has in a hierarchy, one in
// the other, and returns the innermost, also of those made before a fault.
func (l *limits) build(token uint64, h *hierarchy) (dir string, err error) {
	dir = h.root
	for _, name := range namesOf(h.uses) {
		path, ok := groupPath(name)
		if !ok {
			return dir, setupError(name, unix.EINVAL)
		}
		for part := range strings.SplitSeq(path, "/") {
			dir += "/" + part
			if err := unix.Mkdir(dir, 0o755); err != nil && err != unix.EEXIST {
				return dir, setupError(name, err)
			}
			if err := l.open(dir, h); err != nil {
				return dir, setupError(name, err)
			}
		}
		if err := l.configure(token, h, dir, name); err != nil {
			return dir, err
		}
	}
	return dir, nil
}

// open makes a new group ready to have groups in it.
func (l *limits) open(dir string, h *hierarchy) error {
	if !h.v2 {
		return inherit(dir)
	}
	for _, g := range h.uses {
		_, name := controllerNames(g.Controller)
		if err := l.enable(dir, name); err != nil {
			return err
		}
	}
	return nil
}

// inherit has a group of v1 begin as later ones of v2 do: limits reach the
// groups below, and it may use what the group above may.
func inherit(dir string) error {
	if err := put(dir+"/memory.use_hierarchy", "1"); err != nil && err != unix.ENOENT && !hasWord(dir+"/memory.use_hierarchy", "1") {
		return err
	}
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		own, err := os.ReadFile(dir + "/" + file)
		if err != nil || strings.TrimSpace(string(own)) != "" {
			continue
		}
		above, _ := os.ReadFile(filepath.Dir(dir) + "/" + file)
		if err := put(dir+"/"+file, string(above)); err != nil {
			return err
		}
	}
	return nil
}

// leaf makes the group of a token in a hierarchy of v1. The throttles of
// blkio do not reach it from above.
func (l *limits) leaf(token uint64, h *hierarchy, dir string) error {
	err := unix.Mkdir(dir, 0o755)
	if err == nil || err == unix.EEXIST {
		err = inherit(dir)
	}
	if err != nil {
		return setupError(filepath.Base(dir), err)
	}
	for _, name := range namesOf(h.uses) {
		if there := dir + "/blkio.reset_stats"; unix.Access(there, unix.F_OK) != nil {
			break
		}
		if err := l.configure(token, h, dir, name); err != nil {
			return err
		}
	}
	return nil
}

// configure writes the settings that a name has to a group.
func (l *limits) configure(token uint64, h *hierarchy, dir, name string) error {
	for _, g := range h.uses {
		for _, n := range g.Names {
			if n.Name != name {
				continue
			}
			for _, s := range n.Settings {
				if err := l.set(token, h, dir, g.Controller, s, n.Settings); err != nil {
					return setupError(s.Key, err)
				}
			}
		}
	}
	return nil
}

func (l *limits) set(token uint64, h *hierarchy, dir, controller string, s job.Setting, all []job.Setting) error {
	files, known, err := translate(h.v2, controller, s, all)
	for _, f := range files {
		if err = put(dir+"/"+f.Key, f.Value); err == unix.ENOENT {
			err = put(dir+"/"+strings.Replace(f.Key, "io.weight", "io.bfq.weight", 1), f.Value)
		}
		if err == unix.ENOENT && known {
			l.notice(token, "cgroup "+controller+" "+s.Key+" has no effect: the kernel has no "+f.Key)
			err = nil
		}
		if err != nil {
			break
		}
	}
	return err
}

// ownPrefix begins what $UPSTART_CGROUP stands for.
const ownPrefix = "upstart/"

// namesOf are the names of a stanza, each once: those of groups that others
// may share come before those of this job.
func namesOf(uses []job.Cgroup) (names []string) {
	for _, g := range uses {
		for _, n := range g.Names {
			if !slices.Contains(names, n.Name) {
				names = append(names, n.Name)
			}
		}
	}
	slices.SortStableFunc(names, func(a, b string) int {
		own := map[bool]int{true: 1}
		return own[strings.HasPrefix(a, ownPrefix)] - own[strings.HasPrefix(b, ownPrefix)]
	})
	return names
}

// groupPath is the path of a name below the root. No directory in it can be
// taken for that of a token. ok is false for one that could not be expanded,
// or leads nowhere.
func groupPath(name string) (path string, ok bool) {
	path = filepath.Clean("/" + name)[1:]
	if path == "" || strings.Contains(name, "$") {
		return "", false
	}
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if _, err := strconv.ParseUint(part, 10, 64); err == nil || part[0] == '_' {
			parts[i] = "_" + part
		}
	}
	return strings.Join(parts, "/"), true
}

// delegate gives a job that runs as another user the group of its token, so
// that it can make groups in there.
func delegate(dir string, s *job.Spec) {
	if a := &s.Attrs; a.Setuid != "" && s.Root == "" && a.Chroot == "" {
		ids, err := posix.Identify(a.Setuid, a.Setgid, os.Geteuid(), os.Getegid())
		for _, file := range []string{"", "/cgroup.procs", "/cgroup.threads", "/cgroup.subtree_control", "/tasks"} {
			if err == nil { // one that is unknown is told of later, and not every file is there
				unix.Chown(dir+file, ids.UID, ids.GID)
			}
		}
	}
}
