package socket

import (
	"errors"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// openError is why there is no socket. Its text goes between "Failed to " and
// " in JOB" (UPSTART §9.2).
type openError struct {
	verb string // create, bind or listen on
	err  error
}

func (e *openError) Error() string { return e.verb + " socket" }
func (e *openError) Unwrap() error { return e.err }

// open makes the socket, which listens then. The descriptor blocks, as those
// of other inits do, unless the connections are accepted here.
func (s *spec) open() (fd int, err error) {
	if s.proto == "fifo" {
		return s.openFIFO()
	}
	address, domain, protocol, err := s.sockaddr()
	kind := s.kind
	if s.proto == "netlink" {
		kind = unix.SOCK_RAW
	}
	if err == nil {
		fd, err = unix.Socket(domain, kind|unix.SOCK_CLOEXEC, protocol)
	}
	if err != nil {
		return -1, &openError{"create", err}
	}
	failed := func(verb string, err error) (int, error) {
		unix.Close(fd)
		return -1, &openError{verb, err}
	}
	if err := s.setOptions(fd); err != nil {
		return failed("create", err)
	}
	if s.isFile() {
		err = s.bindPath(fd, address)
	} else {
		err = unix.Bind(fd, address)
	}
	if err != nil {
		return failed("bind", err)
	}
	if s.proto != "netlink" && s.kind != unix.SOCK_DGRAM {
		err = unix.Listen(fd, s.backlog)
	}
	if err == nil {
		err = unix.SetNonblock(fd, s.accept)
	}
	if err != nil {
		if s.isFile() {
			os.Remove(s.path)
		}
		return failed("listen on", err)
	}
	return fd, nil
}

func (s *spec) sockaddr() (address unix.Sockaddr, domain, protocol int, err error) {
	addr := s.addr
	switch s.proto {
	case "inet":
		if !addr.IsValid() {
			addr = s.anyAddress()
		}
		return &unix.SockaddrInet4{Port: int(s.port), Addr: addr.As4()}, unix.AF_INET, 0, nil
	case "inet6":
		if !addr.IsValid() {
			addr = s.anyAddress()
		}
		zone, err := zoneIndex(addr.Zone())
		return &unix.SockaddrInet6{Port: int(s.port), Addr: addr.As16(), ZoneId: zone}, unix.AF_INET6, 0, err
	case "unix":
		if s.path[0] == '@' && !hasAbstract {
			return nil, 0, 0, errors.New("this kernel has no abstract names")
		}
		return &unix.SockaddrUnix{Name: s.path}, unix.AF_UNIX, 0, nil
	}
	return s.ownSockaddr()
}

// zoneIndex is the number of the interface that an address of a link names.
func zoneIndex(name string) (uint32, error) {
	if name == "" {
		return 0, nil
	}
	i, err := net.InterfaceByName(name)
	if err != nil {
		return 0, err
	}
	return uint32(i.Index), nil
}

// setOptions sets what comes before bind.
func (s *spec) setOptions(fd int) error {
	type option struct {
		set        bool
		level, opt int
		value      int
	}
	if !s.isInet() {
		return s.setOwnOptions(fd)
	}
	only := 1
	if s.dual {
		only = 0
	}
	for _, o := range []option{
		{true, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1},
		{s.proto == "inet6", unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only},
		{s.reuse, unix.SOL_SOCKET, reusePort, 1},
		{s.nodelay, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{s.freebind && s.proto == "inet", unix.IPPROTO_IP, freeBind, 1},
		{s.freebind && s.proto == "inet6", unix.IPPROTO_IPV6, freeBind6, 1},
	} {
		if !o.set {
			continue
		}
		if err := unix.SetsockoptInt(fd, o.level, o.opt, o.value); err != nil {
			return err
		}
	}
	return s.setOwnOptions(fd)
}

// bindPath makes the file of a socket. Nobody can connect before it has its
// owner and mode.
func (s *spec) bindPath(fd int, address unix.Sockaddr) error {
	if err := makeParents(s.path); err != nil {
		return err
	}
	if info, err := os.Lstat(s.path); err == nil && info.Mode()&os.ModeSocket == 0 {
		return errors.New("there is something else than a socket")
	}
	if err := bindClosed(fd, address); err == unix.EADDRINUSE && s.isStale() {
		if err := os.Remove(s.path); err != nil {
			return err
		}
		if err := bindClosed(fd, address); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	err := s.setOwner(func(uid, gid int) error { return os.Lchown(s.path, uid, gid) })
	if err == nil {
		err = os.Chmod(s.path, s.mode)
	}
	if err != nil {
		os.Remove(s.path)
	}
	return err
}

// makeParents makes the folders that are missing, with the mode that systemd
// gives them, whatever the umask is.
func makeParents(path string) error {
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); err == nil || dir == path {
		return nil
	}
	if err := makeParents(dir); err != nil {
		return err
	}
	err := os.Mkdir(dir, 0o755)
	if err == nil {
		return os.Chmod(dir, 0o755)
	}
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	return err
}

// isStale reports whether nobody has the socket any more whose file is there.
func (s *spec) isStale() bool {
	fd, err := unix.Socket(unix.AF_UNIX, s.kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return unix.Connect(fd, &unix.SockaddrUnix{Name: s.path}) == unix.ECONNREFUSED
}

// setOwner calls chown if the operand names an owner or a group.
func (s *spec) setOwner(chown func(uid, gid int) error) error {
	uid, err := id(s.user, func(name string) (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	})
	if err != nil {
		return err
	}
	gid, err := id(s.owners, func(name string) (string, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	})
	if err != nil || uid < 0 && gid < 0 {
		return err
	}
	return chown(uid, gid)
}

// id is the number of a user or group; -1 of the empty name.
func id(name string, lookup func(string) (string, error)) (int, error) {
	if name == "" {
		return -1, nil
	}
	if n, err := strconv.ParseUint(name, 10, 31); err == nil {
		return int(n), nil
	}
	text, err := lookup(name)
	if err != nil {
		return -1, err
	}
	return strconv.Atoi(text)
}

// openFIFO opens a FIFO for reading and writing, so that it stays open when
// writers go.
func (s *spec) openFIFO() (fd int, err error) {
	if err := makeParents(s.path); err != nil {
		return -1, &openError{"create", err}
	}
	err = unix.Mkfifo(s.path, 0o600)
	if err != nil && err != unix.EEXIST {
		return -1, &openError{"create", err}
	}
	fd, err = unix.Open(s.path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return -1, &openError{"create", err}
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFIFO {
		err = errors.New("there is something else than a FIFO")
	}
	if err == nil {
		err = s.setOwner(func(uid, gid int) error { return unix.Fchown(fd, uid, gid) })
	}
	if err == nil {
		err = unix.Fchmod(fd, uint32(s.mode))
	}
	if err == nil {
		err = unix.SetNonblock(fd, false)
	}
	if err != nil {
		unix.Close(fd)
		return -1, &openError{"create", err}
	}
	return fd, nil
}
