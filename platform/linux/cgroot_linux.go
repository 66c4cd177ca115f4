package linux

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// cgroupMounts are where cgroup v2 is: alone, or beside v1.
var cgroupMounts = []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}

// JobCgroups makes the group below which jobs get theirs and returns its
// directory, for Options.CgroupRoot. The init of a machine mounts the
// hierarchy if nothing is there. Where there can be no group, it returns ""
// and warns once.
func JobCgroups(machine bool, warn func(string)) string {
	name := groupName(machine)
	if machine {
		mountGroups()
	}
	dir, err := ownGroup()
	if err == nil {
		dir = strings.TrimSuffix(dir, "/"+name+asideSuffix)
		removeGroups(dir)
		dir += "/" + name
		err = os.Mkdir(dir, 0o755)
		if err == nil || os.IsExist(err) {
			err = usableGroup(dir)
		}
	}
	if err != nil {
		warn("jobs have no cgroups, so what they leave behind is not noticed: " + err.Error())
		return ""
	}
	return dir
}

// groupName is that of the directory with the groups of jobs.
func groupName(machine bool) string {
	name := "onset" + containerMark()
	if !machine {
		name += fmt.Sprintf("-%d", os.Getpid()) // a user may have several inits in one group
	}
	return name
}

// mountGroups mounts the hierarchy, beside v1 if that is there already. A
// failure shows when it is used.
func mountGroups() {
	const flags = unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOSUID
	mount("cgroup2", cgroupMounts[0], flags, "")
	if !isCgroup2(cgroupMounts[0]) {
		os.Mkdir(cgroupMounts[1], 0o755)
		mount("cgroup2", cgroupMounts[1], flags, "")
	}
}

// removeGroups removes those that inits of sessions left which are gone, as far
// as nothing lives in them.
func removeGroups(dir string) {
	mark := "onset" + containerMark() + "-"
	below, _ := os.ReadDir(dir)
	for _, d := range below {
		text, ok := strings.CutPrefix(strings.TrimSuffix(d.Name(), asideSuffix), mark)
		pid, err := strconv.Atoi(text)
		if ok && err == nil && unix.Kill(pid, 0) == unix.ESRCH {
			RemoveCgroups(dir + "/" + d.Name())
		}
	}
}

// RemoveCgroups removes what JobCgroups made, as far as nothing lives in it.
func RemoveCgroups(dir string) {
	groups, _ := os.ReadDir(dir)
	for _, g := range groups {
		if g.IsDir() {
			prune(dir + "/" + g.Name())
		}
	}
	unix.Rmdir(dir)
}

// containerMark tells containers apart that see one group as their root.
func containerMark() string {
	var st unix.Stat_t
	if !InContainer() || unix.Stat("/proc/self/ns/pid", &st) != nil {
		return ""
	}
	return fmt.Sprintf("-%d", st.Ino)
}

// ownGroup returns the directory of the v2 group of this process, if it may
// move processes from there.
func ownGroup() (string, error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	own, ok := ownGroupOf(string(text), "")
	if !ok {
		return "", fmt.Errorf("no cgroup v2 group of this process is visible")
	}
	err = &os.PathError{Op: "use", Path: cgroupMounts[0], Err: unix.ENOTSUP}
	for _, dir := range cgroupMounts {
		if !isCgroup2(dir) {
			continue
		}
		// Without a namespace a container may see its group as the root.
		for _, group := range []string{dir + strings.TrimSuffix(own, "/"), dir} {
			if isCgroup2(group) {
				err = unix.Access(group+"/cgroup.procs", unix.W_OK)
				if err != nil {
					err = &os.PathError{Op: "write", Path: group + "/cgroup.procs", Err: err}
				}
				return group, err
			}
		}
	}
	return "", err
}

func isCgroup2(dir string) bool {
	var st unix.Statfs_t
	return unix.Statfs(dir, &st) == nil && int64(st.Type) == unix.CGROUP2_SUPER_MAGIC
}
