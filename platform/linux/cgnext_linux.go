package linux

import (
	"strings"

	"golang.org/x/sys/unix"
)

// reserve is the group of the spawn that comes next, as a rule: who waits for a
// service does not wait for that, nor, after its end, for a look at whether it
// left anything.
type reserve struct {
	token         uint64 // 0: there is none
	group, events int    // descriptors, the second of its cgroup.events
}

// lastEvents bounds the numbers of descriptors that are kept for the end of
// processes. Each makes every fork a little slower, and with about 90 the program
// is not executed yet when Go looks, which then waits 35 µs more.
const lastEvents = 64

// foresee makes the group of a token.
func (c *cgroups) foresee(token uint64) {
	if c == nil {
		return
	}
	c.takeReserve(0)
	path := c.path(token)
	unix.Mkdir(path, 0o755)
	group, err := openGroup(path)
	if err != nil {
		return
	}
	events, err := openEvents(group)
	if err != nil {
		unix.Close(group)
		return
	}
	c.next = reserve{token, group, events}
}

// takeReserve returns the group of a token, if it is the one foreseen and still
// there.
func (c *cgroups) takeReserve(token uint64) (group int, frozen, ok bool) {
	next := c.next
	if c.next = (reserve{}); next.token == 0 {
		return -1, false, false
	}
	if next.token == token {
		frozen, ok = isFrozen(next.events)
	}
	if ok && next.events <= lastEvents {
		c.events[token] = next.events
	} else {
		unix.Close(next.events)
	}
	if !ok {
		unix.Close(next.group)
	}
	return next.group, frozen, ok
}

func openGroup(path string) (int, error) {
	return unix.Open(path, unix.O_DIRECTORY|unix.O_RDONLY|unix.O_CLOEXEC, 0)
}

func openEvents(group int) (int, error) {
	return unix.Openat(group, "cgroup.events", unix.O_RDONLY|unix.O_CLOEXEC, 0)
}

// isFrozen looks into a cgroup.events; ok says that its group is there.
func isFrozen(events int) (is, ok bool) {
	text, ok := readEvents(events)
	return strings.Contains(text, "frozen 1\n"), ok
}

func readEvents(fd int) (text string, ok bool) {
	var buf [256]byte
	n, err := unix.Pread(fd, buf[:], 0)
	return string(buf[:max(n, 0)]), err == nil
}
