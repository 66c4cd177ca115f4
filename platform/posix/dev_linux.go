package posix

import (
	"os"

	"golang.org/x/sys/unix"
)

// devices are what a private /dev has of the machine's. The socket of the
// system log is one of them where it is there.
var devices = []string{"null", "zero", "full", "random", "urandom", "tty", "log"}

// deviceLinks are the links of every /dev.
var deviceLinks = [][2]string{{"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"},
	{"/proc/self/fd/2", "stderr"}, {"pts/ptmx", "ptmx"}}

// node opens a device for a private /dev, if there is one.
func (s *stage) node(name, at string) {
	if target, err := os.Readlink(at); err == nil {
		s.links = append(s.links, [2]string{target, name})
		return
	}
	if tree, err := cloneTree(at, 0); err == nil {
		s.nodes = append(s.nodes, &mount{place: place{path: name}, tree: tree})
	}
}

// privateDev covers /dev with one that has what every program may count on,
// and terminals of its own. The devices are the machine's, as only its user
// namespace may make them, so they are read-only: nobody changes their modes.
func (s *stage) privateDev(m *mount) error {
	err := unix.Mount("tmpfs", m.path, "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "mode=755,size=1m")
	if err != nil {
		return err
	}
	for _, n := range s.nodes {
		if err := s.placeNode(n.tree, m.path+"/"+n.path); err != nil {
			return err
		}
	}
	for _, l := range append(s.links, deviceLinks...) {
		if err := unix.Symlink(l[0], m.path+"/"+l[1]); err != nil {
			return err
		}
	}
	terminals := "newinstance,ptmxmode=0666,mode=0620"
	if os.Geteuid() == 0 {
		terminals += ",gid=5" // "tty"; a user has only one group in a namespace
	}
	return inTurn(
		func() error { return unix.Mkdir(m.path+"/pts", 0o755) },
		func() error {
			return unix.Mount("devpts", m.path+"/pts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, terminals)
		},
		func() error { return unix.Mkdir(m.path+"/shm", 0o1777) },
		func() error {
			return unix.Mount("tmpfs", m.path+"/shm", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777")
		})
}

func (s *stage) placeNode(tree int, at string) error {
	defer unix.Close(tree)
	return inTurn(
		func() error { return unix.Mknod(at, unix.S_IFREG|0o644, 0) },
		func() error { return put(tree, at) },
		func() error { return remountReadOnly(at) })
}
