package linux

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// cgroups gives every process of a job a group, named by the token of its
// spawn, and removes it when nothing of it lives. A nil *cgroups has none.
type cgroups struct {
	root  string
	byPID map[int]uint64
	left  map[uint64]bool // whose process is gone while others live
}

// newCgroups returns nil where the root is no writable directory of a cgroup
// v2 hierarchy.
func newCgroups(root string, warn func(string)) *cgroups {
	if root == "" {
		return nil
	}
	var st unix.Statfs_t
	if err := unix.Statfs(root, &st); err != nil {
		warn("no cgroups for jobs: " + root + ": " + err.Error())
		return nil
	}
	if int64(st.Type) != unix.CGROUP2_SUPER_MAGIC || unix.Access(root, unix.W_OK) != nil {
		warn("no cgroups for jobs: " + root + " is not writable")
		return nil
	}
	return &cgroups{root: root, byPID: map[int]uint64{}, left: map[uint64]bool{}}
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

func (c *cgroups) joined(token uint64, pid int) {
	if c != nil {
		c.byPID[pid] = token
	}
}

func (c *cgroups) remove(token uint64) {
	if c == nil {
		return
	}
	if unix.Rmdir(c.path(token)) == unix.EBUSY {
		c.left[token] = true
		return
	}
	delete(c.left, token)
}

// of returns the token of the group of an orphan that ended and is not
// collected yet, if that group waits for its last process.
func (c *cgroups) of(pid int) (token uint64, ok bool) {
	if c == nil {
		return 0, false
	}
	if token, ok := c.byPID[pid]; ok {
		return token, true
	}
	if len(c.left) == 0 {
		return 0, false
	}
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		return 0, false
	}
	name := strings.TrimSpace(string(text))
	name = strings.TrimSuffix(name, " (deleted)")
	token, err = strconv.ParseUint(name[strings.LastIndexByte(name, '/')+1:], 10, 64)
	return token, err == nil && c.left[token]
}

// ended is told of a collected process whose group is that of token.
func (c *cgroups) ended(pid int, token uint64) {
	delete(c.byPID, pid)
	c.remove(token)
}

// find returns the process that leads the session in the group of a token,
// or else its first, or 0.
func (c *cgroups) find(token uint64) int {
	if c == nil {
		return 0
	}
	text, err := os.ReadFile(c.path(token) + "/cgroup.procs")
	if err != nil {
		return 0
	}
	first := 0
	for line := range strings.Lines(string(text)) {
		pid, _ := strconv.Atoi(strings.TrimSpace(line))
		if sid, err := unix.Getsid(pid); err == nil && sid == pid && pid != 0 {
			return pid
		}
		if first == 0 {
			first = pid
		}
	}
	return first
}
