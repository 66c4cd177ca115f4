package posix

import (
	"os"

	"golang.org/x/sys/unix"

	"onset/core/job"
)

// unshared are the namespaces that a thread can leave for new ones. Into the
// others a process is born.
var unshared = map[string]int{"net": unix.CLONE_NEWNET, "uts": unix.CLONE_NEWUTS, "ipc": unix.CLONE_NEWIPC,
	"cgroup": unix.CLONE_NEWCGROUP, "mount": unix.CLONE_NEWNS}

// namespaces joins and creates what the process was not born into. What is
// left out for want of the kernel is told.
func (s *stage) namespaces() *SetupError {
	for _, n := range s.Isolation.Namespaces {
		if err := s.namespace(n); err != nil {
			if err := s.without(n, err); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *stage) namespace(n job.Namespace) error {
	flag, ok := unshared[n.Kind]
	switch {
	case n.Path != "":
		return join(s.Root+n.Path, flag)
	case n.Kind == "time":
		return inTimeNamespace()
	case n.Kind == "pid" || n.Kind == "user":
		return nil
	case !ok:
		return unix.EINVAL
	}
	if err := unix.Unshare(flag); err != nil {
		return err
	}
	switch n.Kind {
	case "net":
		return loopback()
	case "mount":
		// What the machine mounts is seen in here, and nothing of here there.
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
			return err
		}
		s.ownMounts = true
	}
	return nil
}

func join(path string, flag int) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Setns(fd, flag)
}

// inTimeNamespace checks that the execution of the stage has brought it into
// the namespace that it was born for, as it does since Linux 6.3.
func inTimeNamespace() error {
	own, err := os.Readlink("/proc/self/ns/time")
	if err != nil {
		return err
	}
	born, err := os.Readlink("/proc/self/ns/time_for_children")
	if err == nil && own != born {
		err = unix.ENOSYS
	}
	return err
}

// loopback brings up the one interface of a new network.
func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err == nil {
		lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
		err = unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
	}
	return err
}

// unprivileged gives up what an init without privileges has in the user
// namespace that it made, where only the program of uid 0 is to have it.
func (s *stage) unprivileged() *SetupError {
	if findNamespace(s.Isolation.Namespaces, "user") < 0 || os.Geteuid() == 0 {
		return nil
	}
	own, errno := getCapabilities()
	if errno == 0 {
		own.inheritable = 0
		errno = own.set()
	}
	if errno == 0 {
		_, errno = prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0)
	}
	if errno != 0 {
		return failure(noCapabilities, errno)
	}
	return nil
}
