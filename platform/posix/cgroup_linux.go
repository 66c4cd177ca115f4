package posix

import (
	"slices"

	"golang.org/x/sys/unix"

	"onset/core/job"
)

// entering is what a process needs to enter its groups.
type entering struct{ groups []int } // files, open

// cgroups opens the groups to enter while their paths are in sight. A cgroup
// namespace begins at the group that its maker is in, which is entered at once.
func (s *stage) cgroups() *SetupError {
	for _, file := range s.Cgroups {
		fd, err := unix.Open(file, unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return failure(noCgroup, err)
		}
		s.groups = append(s.groups, fd)
	}
	if slices.ContainsFunc(s.Isolation.Namespaces, func(n job.Namespace) bool { return n.Kind == "cgroup" && n.Path == "" }) {
		return s.enterCgroups()
	}
	return nil
}

// enterCgroups comes late: limits on tasks and memory are those of the job, and
// the stage may need more.
func (s *stage) enterCgroups() *SetupError {
	for _, fd := range s.groups {
		if _, err := unix.Write(fd, []byte("0")); err != nil {
			return failure(noCgroup, err)
		}
	}
	s.groups = nil
	return nil
}
