package bus

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// backlog of a listening socket, in connections.
const backlog = 128

// OpenSocket returns a listening socket at a D-Bus address. It makes the
// directory of a path.
func OpenSocket(address string) (fd int, err error) {
	return atAddress(address, func(fd int, sa *unix.SockaddrUnix) error {
		err := unix.Bind(fd, sa)
		if err == unix.ENOENT {
			if err = os.MkdirAll(filepath.Dir(sa.Name), 0o755); err == nil {
				err = unix.Bind(fd, sa)
			}
		}
		if err == unix.EADDRINUSE && stale(sa.Name) {
			if err = os.Remove(sa.Name); err == nil {
				err = unix.Bind(fd, sa)
			}
		}
		if err != nil {
			return err
		}
		return unix.Listen(fd, backlog)
	})
}

// connect returns a socket connected to the first address of a list that
// answers.
func connect(addresses string) (fd int, err error) {
	err = errors.New("no address")
	for _, address := range strings.Split(addresses, ";") {
		if fd, err = atAddress(address, func(fd int, sa *unix.SockaddrUnix) error { return unix.Connect(fd, sa) }); err == nil {
			widen(fd)
			return fd, nil
		}
	}
	return -1, err
}

// stale reports whether nobody listens to the socket of that name.
func stale(name string) bool {
	if info, err := os.Lstat(name); err != nil || info.Mode()&os.ModeSocket == 0 {
		return false
	}
	fd, err := connect("unix:path=" + url.PathEscape(name))
	if err == nil {
		unix.Close(fd)
	}
	return errors.Is(err, unix.ECONNREFUSED)
}

func atAddress(address string, use func(int, *unix.SockaddrUnix) error) (fd int, err error) {
	sa, err := parseAddress(address)
	if err != nil {
		return -1, err
	}
	fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err = use(fd, sa); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// parseAddress understands unix:abstract=NAME and unix:path=NAME.
func parseAddress(address string) (*unix.SockaddrUnix, error) {
	rest, ok := strings.CutPrefix(address, "unix:")
	if !ok {
		return nil, errors.New("Address is not of a Unix socket: " + strconv.Quote(address))
	}
	for _, pair := range strings.Split(rest, ",") {
		key, value, _ := strings.Cut(pair, "=")
		value, err := url.PathUnescape(value)
		switch {
		case err != nil || value == "":
		case key == "path":
			return &unix.SockaddrUnix{Name: value}, nil
		case key == "abstract" && hasAbstract:
			return &unix.SockaddrUnix{Name: "@" + value}, nil
		}
	}
	return nil, errors.New("Address has no path to use: " + strconv.Quote(address))
}

// recvmsg receives with close-on-exec descriptors; 0 bytes are the end.
func recvmsg(fd int, b, oob []byte, how int) (n, oobn, flags int, err error) {
	n, oobn, flags, _, err = unix.Recvmsg(fd, b, oob, how|unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
	return max(n, 0), oobn, flags, err
}

// rights returns the descriptors of a control message.
func rights(oob []byte) (files []int, err error) {
	if len(oob) == 0 {
		return nil, nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	for i := range msgs {
		fds, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			continue // not descriptors
		}
		for _, fd := range fds {
			if fd = aboveStandard(fd); fd >= 0 {
				files = append(files, fd)
			}
		}
	}
	return files, nil
}

// aboveStandard returns the descriptor with a number that is not one of the
// three standard ones, close-on-exec; -1 if there is none.
func aboveStandard(fd int) int {
	if fd > 2 {
		unix.CloseOnExec(fd) // FreeBSD 12 overlooks MSG_CMSG_CLOEXEC
		return fd
	}
	above, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	unix.Close(fd)
	if err != nil {
		return -1
	}
	return above
}

// uniqueName is what a private connection is told by Hello.
func uniqueName(conn uint64) string { return ":1." + strconv.FormatUint(conn, 10) }

// machineID returns the ID of this machine, as libdbus finds it.
func machineID() (id string, err error) {
	for _, name := range [...]string{"/var/lib/dbus/machine-id", "/etc/machine-id"} {
		var text []byte
		if text, err = os.ReadFile(name); err == nil {
			if id = strings.TrimSpace(string(text)); len(id) == 32 {
				return id, nil
			}
			err = errors.New("UUID file '" + name + "' does not hold a machine ID")
		}
	}
	return "", err
}
