package linux

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// release removes the groups of v1 of a token whose process is gone, as soon
// as they are empty.
func (l *limits) release(token uint64) {
	if l == nil || l.v1[token] == nil {
		return
	}
	l.v1[token] = slices.DeleteFunc(l.v1[token], func(dir string) bool {
		if !pruneV1(dir) {
			return false
		}
		own, _, _ := strings.Cut(dir, "/"+l.name+"/")
		tidy(filepath.Dir(dir), own)
		return true
	})
	if len(l.v1[token]) > 0 {
		l.stale[token] = true
		return
	}
	delete(l.v1, token)
	delete(l.stale, token)
}

// groups are those of v1 that a token has.
func (l *limits) groups(token uint64) []string {
	if l == nil {
		return nil
	}
	return l.v1[token]
}

// pruneV1 removes a group with those in it, and reports whether it is gone.
func pruneV1(dir string) bool {
	err := unix.Rmdir(dir)
	if err == unix.EBUSY || err == unix.ENOTEMPTY {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if e.IsDir() {
				pruneV1(dir + "/" + e.Name())
			}
		}
		err = unix.Rmdir(dir)
	}
	return err == nil || err == unix.ENOENT
}

// look tries again to remove what could not be removed.
func (l *limits) look() {
	if l == nil {
		return
	}
	for token := range l.stale {
		l.release(token)
	}
}

// takeOver finds the groups of v1 that a manager before this one made, and
// releases those whose token is none of these.
func (l *limits) takeOver(own map[uint64]bool) {
	if l == nil {
		return
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	groups, _ := os.ReadFile("/proc/self/cgroup")
	seen := map[string]bool{}
	for _, dir := range v1Groups(string(mounts), string(groups)) {
		if seen[dir] {
			continue
		}
		seen[dir] = true
		tokensBelow(dir+"/"+l.name, func(token uint64, group string) {
			l.v1[token] = append(l.v1[token], group)
			if !own[token] {
				l.stale[token] = true
			}
		})
	}
}

// tokensBelow calls yield with the groups of tokens below a directory.
func tokensBelow(dir string, yield func(token uint64, group string)) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		group := dir + "/" + e.Name()
		if token, err := strconv.ParseUint(e.Name(), 10, 64); err == nil {
			yield(token, group)
		} else {
			tokensBelow(group, yield)
		}
	}
}

// v1Groups returns the directory of the own group for each controller that
// has a hierarchy of v1, out of the texts of /proc/self/mountinfo and cgroup.
func v1Groups(mountinfo, cgroup string) map[string]string {
	groups := map[string]string{}
	for line := range strings.Lines(mountinfo) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), " ") // other blanks may be in paths
		dash := slices.Index(f, "-")
		if dash < 6 || len(f) < dash+4 || f[dash+1] != "cgroup" {
			continue
		}
		for controller := range strings.SplitSeq(f[dash+3], ",") {
			if own, ok := ownGroupOf(cgroup, controller); ok {
				if root := f[3]; root != "/" { // a container that sees all of its path
					own = strings.TrimPrefix(own, root)
				}
				groups[controller] = strings.TrimSuffix(f[4]+own, "/")
			}
		}
	}
	return groups
}

// ownGroupOf finds the group for a controller, of v2 for "", in the text of
// /proc/PID/cgroup.
func ownGroupOf(cgroup, controller string) (own string, ok bool) {
	for line := range strings.Lines(cgroup) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) == 3 && slices.Contains(strings.Split(f[1], ","), controller) && !strings.HasPrefix(f[2], "/..") {
			return f[2], true
		}
	}
	return "", false
}
