package linux

import (
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"onset/platform"
)

// cgroups gives every process of a job a group, named by the token of its
// spawn, and removes it when nothing of it lives. A nil *cgroups has none.
type cgroups struct {
	root      string
	below     map[uint64]string // directory of the group of a token that is not in the root
	notify    int               // inotify descriptor, or -1
	waiting   map[int32]uint64  // watch to token, of groups whose process is gone while others live
	unwatched map[uint64]bool   // tokens of such groups that inotify does not take; each Collect looks
	vacant    []uint64          // tokens of groups in which nothing lives, for the next Collect to remove
	killed    map[uint64]bool   // tokens of groups that were sent KILL and are still there
	next      reserve
	events    map[uint64]int     // descriptors of cgroup.events of some groups in the root
	counted   bool               // the groups in the root count memory
	clones    bool               // a process can be born in a group
	emptied   func(token uint64) // told once nothing lives in such a group
}

// newCgroups returns nil where the root is no writable directory of a cgroup
// v2 hierarchy.
func newCgroups(p platform.Poller, o Options, emptied func(token uint64)) *cgroups {
	if o.CgroupRoot == "" {
		return nil
	}
	if err := usableGroup(o.CgroupRoot); err != nil {
		o.Warn("no cgroups for jobs: " + err.Error())
		return nil
	}
	c := &cgroups{root: o.CgroupRoot, notify: -1, below: map[uint64]string{}, waiting: map[int32]uint64{},
		unwatched: map[uint64]bool{}, killed: map[uint64]bool{}, events: map[uint64]int{}, clones: clones(), emptied: emptied}
	c.counted = hasWord(c.root+"/cgroup.subtree_control", "memory")
	tokensBelow(c.root, func(token uint64, group string) {
		if dir := filepath.Dir(group); dir != c.root {
			c.below[token] = dir
		}
	})
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err == nil {
		if err = p.Add(fd, platform.Readable, func(platform.Ready) { c.changed() }); err != nil {
			unix.Close(fd)
		}
	}
	if err != nil {
		o.Warn("cannot watch the cgroups of jobs: " + err.Error())
		return c
	}
	c.notify = fd
	return c
}

// usableGroup says why a directory is no writable one of cgroup v2.
func usableGroup(dir string) error {
	var st unix.Statfs_t
	err := unix.Statfs(dir, &st)
	if err == nil && int64(st.Type) != unix.CGROUP2_SUPER_MAGIC {
		err = unix.ENOTSUP
	}
	if err == nil {
		err = unix.Access(dir, unix.W_OK)
	}
	if err != nil {
		return &os.PathError{Op: "use", Path: dir, Err: err}
	}
	return nil
}

func (c *cgroups) path(token uint64) string {
	dir, ok := c.below[token]
	if !ok {
		dir = c.root
	}
	return dir + "/" + strconv.FormatUint(token, 10)
}

// create returns a descriptor of a new group in a directory, or -1; "" is the
// root. Who is born in a frozen one does not get as far as its program, for
// which its maker would wait.
func (c *cgroups) create(token uint64, below string) (group int, frozen bool, err error) {
	if c == nil {
		return -1, false, nil
	}
	if below != "" {
		unix.Rmdir(c.path(token)) // see foresee
		c.below[token] = below
	} else if group, frozen, ok := c.takeReserve(token); ok {
		return group, frozen, nil
	}
	if err := unix.Mkdir(c.path(token), 0o755); err != nil && err != unix.EEXIST {
		return -1, false, err
	}
	if group, err = openGroup(c.path(token)); err != nil {
		return -1, false, err
	}
	if events, err := openEvents(group); err == nil {
		frozen, _ = isFrozen(events)
		unix.Close(events)
	}
	return group, frozen, nil
}

// ended is told that the process of a token ended, and returns how many others
// of its group live on. If any do, emptied is told once they are gone. Zombies
// keep no group. The group of which that is known at once is removed by the next
// Collect, behind what comes of the end.
func (c *cgroups) ended(token uint64) int {
	if c == nil || token == 0 {
		return 0
	}
	if events, kept := c.events[token]; kept {
		if text, ok := readEvents(events); ok && strings.Contains(text, "populated 0\n") {
			c.vacant = append(c.vacant, token)
			return 0
		}
	}
	if unix.Rmdir(c.path(token)) == nil {
		c.gone(token)
		return 0
	}
	n := len(c.processes(token))
	if c.remove(token) {
		return 0
	}
	return max(n, 1)
}

// remove removes a group, or has it removed as soon as it is empty. It reports
// whether nothing lives in it.
func (c *cgroups) remove(token uint64) bool {
	if c == nil || c.prune(token) {
		return true
	}
	wd, err := unix.InotifyAddWatch(c.notify, c.path(token)+"/cgroup.events", unix.IN_MODIFY)
	if err == nil {
		c.waiting[int32(wd)] = token
	} else {
		c.unwatched[token] = true
	}
	if !c.prune(token) { // it may have become empty before the watch
		return false
	}
	delete(c.waiting, int32(wd))
	delete(c.unwatched, token)
	return true
}

// vacate removes the groups in which nothing lives.
func (c *cgroups) vacate() {
	for _, token := range c.vacant {
		c.remove(token)
	}
	c.vacant = c.vacant[:0]
}

// prune removes the group of a token, unless processes live in it, and reports
// whether none does.
func (c *cgroups) prune(token uint64) bool {
	if !prune(c.path(token)) {
		return false
	}
	c.gone(token)
	return true
}

// gone forgets the group of a token, and removes those that it was in, as far as
// nothing else is in them.
func (c *cgroups) gone(token uint64) {
	if events, kept := c.events[token]; kept {
		delete(c.events, token)
		unix.Close(events)
	}
	if dir, ok := c.below[token]; ok {
		delete(c.below, token)
		tidy(dir, c.root)
	}
}

// prune removes a group and those a service made in it, unless one of them
// has processes, and reports whether none has.
func prune(group string) bool {
	switch unix.Rmdir(group) {
	case nil, unix.ENOENT:
		return true
	}
	events, err := os.ReadFile(group + "/cgroup.events")
	if err != nil || strings.Contains("\n"+string(events), "\npopulated 1") {
		return os.IsNotExist(err)
	}
	entries, _ := os.ReadDir(group)
	for _, e := range entries {
		if e.IsDir() {
			prune(group + "/" + e.Name())
		}
	}
	unix.Rmdir(group)
	return true
}

// changed removes the groups that were left behind and are empty now.
func (c *cgroups) changed() {
	var buf [64 * unix.SizeofInotifyEvent]byte
	for {
		n, err := unix.Read(c.notify, buf[:])
		if err == unix.EINTR {
			continue
		}
		if n < unix.SizeofInotifyEvent {
			return
		}
		for at := 0; at < n; {
			e := (*unix.InotifyEvent)(unsafe.Pointer(&buf[at]))
			at += unix.SizeofInotifyEvent + int(e.Len)
			if e.Mask&unix.IN_Q_OVERFLOW != 0 {
				c.lost()
			}
			if token, ok := c.waiting[e.Wd]; ok && (e.Mask&unix.IN_IGNORED != 0 || c.prune(token)) {
				delete(c.waiting, e.Wd)
				c.emptied(token)
			}
		}
	}
}

// lost makes good for notifications that the kernel dropped.
func (c *cgroups) lost() {
	for wd, token := range c.waiting {
		if c.prune(token) {
			delete(c.waiting, wd)
			c.emptied(token)
		}
	}
}

// look does the same for those that are not watched. Whatever dies in one of
// them has its end told to this process or to the keeper, so a Collect follows.
func (c *cgroups) look() {
	if c == nil {
		return
	}
	c.vacate()
	c.strikeAgain()
	for token := range c.unwatched {
		if c.prune(token) {
			delete(c.unwatched, token)
			c.emptied(token)
		}
	}
}

// sweep removes the groups of a manager before that no process has, once.
func (p *Processes) sweep() {
	if p.swept {
		return
	}
	p.swept = true
	own := p.Tokens()
	if c := p.cgroups; c != nil {
		tokensBelow(c.root, func(token uint64, _ string) {
			if !own[token] {
				c.remove(token)
			}
		})
	}
	p.limits.takeOver(own)
}

// processes are those in the group of a token and in groups below it.
func (c *cgroups) processes(token uint64) (pids []int) {
	if c == nil {
		return nil
	}
	filepath.WalkDir(c.path(token), func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			pids = append(pids, pidsIn(path)...)
		}
		return nil
	})
	return pids
}

// pidsIn are the processes in a group.
func pidsIn(dir string) (pids []int) {
	text, _ := os.ReadFile(dir + "/cgroup.procs")
	for line := range strings.Lines(string(text)) {
		if pid, err := strconv.Atoi(strings.TrimSpace(line)); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// clones reports whether a process can be born in a group (since Linux 5.7),
// by asking for a descriptor that cannot be.
func clones() bool {
	args := [11]uint64{0: unix.CLONE_INTO_CGROUP, 4: uint64(unix.SIGCHLD), 10: math.MaxInt32}
	_, _, errno := unix.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args), 0)
	return errno == unix.EBADF
}

// starved reports whether the kernel killed a process of a token for want of
// memory, where the memory of its group is counted.
func (l *limits) starved(token uint64) bool {
	files := []string{}
	if l != nil && l.tree != nil && l.tree.counts(token) {
		files = append(files, l.tree.path(token)+"/memory.events")
	}
	for _, dir := range l.groups(token) {
		files = append(files, dir+"/memory.oom_control")
	}
	return slices.ContainsFunc(files, func(file string) bool { n, ok := counter(file, "oom_kill"); return ok && n > 0 })
}

// counts reports whether the memory of the group of a token is counted.
func (c *cgroups) counts(token uint64) bool {
	_, below := c.below[token]
	return below || c.counted
}

// counter returns a number by its name in a file of a group.
func counter(file, name string) (n uint64, ok bool) {
	text, _ := os.ReadFile(file)
	_, rest, ok := strings.Cut("\n"+string(text), "\n"+name+" ")
	if !ok {
		return 0, false
	}
	line, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.ParseUint(line, 10, 64)
	return n, err == nil
}

// used reports whether a process ever ran in the group of a token: the kernel
// counts the time of each group without any controller.
func (c *cgroups) used(token uint64) bool {
	if c == nil {
		return false
	}
	n, ok := counter(c.path(token)+"/cpu.stat", "usage_usec")
	return ok && n > 0
}
