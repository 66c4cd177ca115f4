package linux

import (
	"io/fs"
	"os"
	"path/filepath"
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
	notify    int              // inotify descriptor, or -1
	waiting   map[int32]uint64 // watch to token, of groups whose process is gone while others live
	unwatched map[uint64]bool  // tokens of such groups that inotify does not take; each Collect looks
	left      func(token uint64, n int)
	emptied   func(token uint64) // told once nothing lives in such a group
	before    bool               // groups of a manager before may be there
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
	c := &cgroups{root: o.CgroupRoot, notify: -1, waiting: map[int32]uint64{}, unwatched: map[uint64]bool{},
		left: o.Left, emptied: emptied, before: true}
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

func (c *cgroups) path(token uint64) string { return c.root + "/" + strconv.FormatUint(token, 10) }

// create returns a descriptor of a new group, or -1.
func (c *cgroups) create(token uint64) int {
	if c == nil {
		return -1
	}
	if err := unix.Mkdir(c.path(token), 0o755); err != nil && err != unix.EEXIST {
		return -1
	}
	fd, err := unix.Open(c.path(token), unix.O_DIRECTORY|unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return fd
}

// ended is told that the process of a token ended, and returns how many others
// of its group live on. If any do, emptied is told once they are gone. Zombies
// keep no group.
func (c *cgroups) ended(token uint64) int {
	if c == nil || token == 0 || unix.Rmdir(c.path(token)) == nil { // the rule: it left nothing behind
		return 0
	}
	n := len(c.processes(token))
	if c.remove(token) {
		return 0
	}
	c.left(token, max(n, 1))
	return max(n, 1)
}

// remove removes a group, or has it removed as soon as it is empty. It reports
// whether nothing lives in it.
func (c *cgroups) remove(token uint64) bool {
	if c == nil || prune(c.path(token)) {
		return true
	}
	wd, err := unix.InotifyAddWatch(c.notify, c.path(token)+"/cgroup.events", unix.IN_MODIFY)
	if err == nil {
		c.waiting[int32(wd)] = token
	} else {
		c.unwatched[token] = true
	}
	if !prune(c.path(token)) { // it may have become empty before the watch
		return false
	}
	delete(c.waiting, int32(wd))
	delete(c.unwatched, token)
	return true
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
			if token, ok := c.waiting[e.Wd]; ok && (e.Mask&unix.IN_IGNORED != 0 || prune(c.path(token))) {
				delete(c.waiting, e.Wd)
				c.emptied(token)
			}
		}
	}
}

// look does the same for those that are not watched. Whatever dies in one of
// them has its end told to this process or to the keeper, so a Collect follows.
func (c *cgroups) look() {
	if c == nil {
		return
	}
	for token := range c.unwatched {
		if prune(c.path(token)) {
			delete(c.unwatched, token)
			c.emptied(token)
		}
	}
}

// sweep removes the groups of a manager before that nobody claims, once.
func (c *cgroups) sweep(claimed map[int]*child) {
	if c == nil || !c.before {
		return
	}
	c.before = false
	own := map[uint64]bool{}
	for _, child := range claimed {
		own[child.token] = true
	}
	entries, _ := os.ReadDir(c.root)
	for _, e := range entries {
		if token, err := strconv.ParseUint(e.Name(), 10, 64); err == nil && !own[token] {
			c.remove(token)
		}
	}
}

// processes are those in the group of a token and in groups below it.
func (c *cgroups) processes(token uint64) (pids []int) {
	if c == nil {
		return nil
	}
	filepath.WalkDir(c.path(token), func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return nil
		}
		text, _ := os.ReadFile(path + "/cgroup.procs")
		for line := range strings.Lines(string(text)) {
			if pid, err := strconv.Atoi(strings.TrimSpace(line)); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
		return nil
	})
	return pids
}

// used reports whether a process ever ran in the group of a token: the kernel
// counts the time of each group without any controller.
func (c *cgroups) used(token uint64) bool {
	if c == nil {
		return false
	}
	text, err := os.ReadFile(c.path(token) + "/cpu.stat")
	return err == nil && !strings.Contains("\n"+string(text), "\nusage_usec 0\n")
}
