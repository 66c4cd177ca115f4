package bus

import (
	"bytes"
	"encoding/binary"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// watchFor returns a descriptor that is readable when something happens on
// the way to a path, in the last directory of it that exists; appeared then
// tells whether it is worth a look. Without such a descriptor it returns -1.
func watchFor(path string) (fd int, appeared func() bool) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return -1, nil
	}
	const events = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR
	for path != "/" && path != "." {
		dir, name := filepath.Dir(path), filepath.Base(path)
		if _, err = unix.InotifyAddWatch(fd, dir, events); err == nil {
			return fd, func() bool { return happened(fd, name) }
		}
		path = dir
	}
	unix.Close(fd)
	return -1, nil
}

// happened takes notifications; it reports whether one is of that name, or of
// the directory itself.
func happened(fd int, name string) (worth bool) {
	b := make([]byte, 4096)
	n, err := unix.Read(fd, b)
	if err != nil {
		return false
	}
	for b = b[:n]; len(b) >= unix.SizeofInotifyEvent; {
		end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
		is, _, _ := bytes.Cut(b[unix.SizeofInotifyEvent:end], []byte{0})
		worth = worth || len(is) == 0 || string(is) == name
		b = b[end:]
	}
	return worth
}

// socketPaths returns the files of a list of addresses.
func socketPaths(addresses string) (paths []string) {
	for _, address := range strings.Split(addresses, ";") {
		if sa, err := parseAddress(address); err == nil && !strings.HasPrefix(sa.Name, "@") {
			paths = append(paths, filepath.Clean(sa.Name))
		}
	}
	return paths
}
