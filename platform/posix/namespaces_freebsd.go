package posix

import (
	"cmp"
	"unsafe"

	"golang.org/x/sys/unix"

	"onset/core/job"
)

// mounting is the jail in which a job has its namespaces, or 0.
type mounting struct{ jid int }

// namespaces keeps those that a jail can stand for. For credentials there is no
// memory that is never swapped out.
func (s *stage) namespaces() *SetupError {
	if len(s.Isolation.Credentials) > 0 {
		return failure(noCredentials, mountSecrets(""))
	}
	var kept []job.Namespace
	for _, n := range s.Isolation.Namespaces {
		if inJails(n) {
			kept = append(kept, n)
		} else if err := s.without(n, unix.EOPNOTSUPP); err != nil {
			return err
		}
	}
	s.Isolation.Namespaces = kept
	return nil
}

func inJails(n job.Namespace) bool {
	switch n.Kind {
	case "mount", "pid", "uts", "ipc":
		return true
	case "net":
		return n.Path == "" && hasJailParameter("vnet")
	}
	return false
}

// sources makes the jail, with all that is mounted in it, while the root of
// the session is in sight: nobody mounts anything inside.
func (s *stage) sources() *SetupError {
	list := s.Isolation.Namespaces
	if len(list) == 0 {
		return nil
	}
	root := cmp.Or(s.Chroot, "/")
	if wantsTree(&s.Isolation) {
		var failed *SetupError
		if root, failed = s.plant(root); failed != nil {
			return failed
		}
	}
	var kinds []string
	for _, n := range list {
		kinds = append(kinds, n.Kind)
	}
	var err error
	if s.jid, err = newJail(s.Jail, root, kinds); err == nil {
		s.Chroot = "" // the jail has it
		return nil
	}
	for _, n := range list {
		if err := s.without(n, err); err != nil {
			return err
		}
	}
	return nil
}

// mounts enters the jail, whose root has them.
func (s *stage) mounts() *SetupError {
	if s.jid == 0 {
		return nil
	}
	err := enterJail(s.jid)
	if err == nil && findNamespace(s.Isolation.Namespaces, "net") >= 0 {
		err = loopback()
	}
	if err != nil {
		return NoIsolation("jail", err)
	}
	return nil
}

func (s *stage) unprivileged() *SetupError { return nil }

// siocAddAlias is SIOCAIFADDR of FreeBSD 10 and later.
const siocAddAlias = 0x8044692b

// addressRequest is struct in_aliasreq.
type addressRequest struct {
	name                     [unix.IFNAMSIZ]byte
	address, broadcast, mask unix.RawSockaddrInet4
	vhid                     int32
}

// loopback gives the one interface of a new network its address, which brings
// it up; the kernel adds that of IPv6.
func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	in4 := func(a ...byte) unix.RawSockaddrInet4 {
		return unix.RawSockaddrInet4{Len: unix.SizeofSockaddrInet4, Family: unix.AF_INET, Addr: [4]byte(a)}
	}
	r := addressRequest{address: in4(127, 0, 0, 1), mask: in4(255, 0, 0, 0)}
	copy(r.name[:], "lo0")
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), siocAddAlias, uintptr(unsafe.Pointer(&r)))
	if errno != 0 {
		return errno
	}
	return nil
}
