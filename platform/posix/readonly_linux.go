package posix

import (
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// readOnly makes a place and all mounts below it read-only. What is no mount
// becomes one.
func (s *stage) readOnly(m *mount) error {
	err := s.setReadOnly(unix.AT_FDCWD, m.path, 0)
	if err != unix.EINVAL {
		return err
	}
	tree, err := cloneTree(m.path, unix.AT_RECURSIVE)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	if err := put(tree, m.path); err != nil {
		return err
	}
	if m.path == "/" { // the root of this process is what was covered
		err = inTurn(func() error { return unix.Fchdir(tree) }, func() error { return unix.Chroot(".") })
		if err != nil {
			return err
		}
	}
	return s.setReadOnly(tree, "", unix.AT_EMPTY_PATH)
}

// setReadOnly fails with EINVAL for what is no mount. Before Linux 5.12 the
// mounts are taken one by one.
func (s *stage) setReadOnly(dir int, name string, flags uint) error {
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	err := unix.MountSetattr(dir, name, flags|unix.AT_RECURSIVE, &attr)
	if err != unix.ENOSYS {
		return err
	}
	var link [unix.PathMax]byte
	if name == "" {
		n, err := unix.Readlinkat(s.proc, "self/fd/"+strconv.Itoa(dir), link[:])
		if err != nil {
			return err
		}
		name = string(link[:n])
	}
	points, err := s.mountPoints(name)
	if err != nil {
		return err
	}
	for _, p := range points {
		err := remountReadOnly(p)
		if p != name && (missing(err) || err == unix.EINVAL) {
			continue // another mount covers it
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// remountReadOnly keeps the other flags of a mount, which a user namespace
// does not let go.
func remountReadOnly(path string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return err
	}
	keep := uintptr(st.Flags) & (unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC)
	return unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|keep, "")
}

// mountPoints are the one at a path, which comes first and has to be one, and
// those below it.
func (s *stage) mountPoints(at string) (points []string, err error) {
	fd, err := unix.Openat(s.proc, "self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "mountinfo")
	defer file.Close()
	text, err := io.ReadAll(file)
	if err != nil {
		return nil, err
	}
	if points = pointsBelow(string(text), at); len(points) == 0 || points[0] != at {
		return nil, unix.EINVAL
	}
	return points, nil
}

// pointsBelow are the mount points of a mountinfo at a path and below it. Of
// blanks, only those in ASCII are escaped there.
func pointsBelow(mountinfo, at string) (points []string) {
	below := strings.TrimSuffix(at, "/") + "/"
	for line := range strings.Lines(mountinfo) {
		f := strings.Split(line, " ")
		if len(f) < 5 {
			continue
		}
		switch p := unescapePath(f[4]); {
		case p == at:
			points = append([]string{p}, points...)
		case strings.HasPrefix(p, below):
			points = append(points, p)
		}
	}
	return points
}

// unescapePath reads the octal numbers that stand for blanks in mountinfo.
func unescapePath(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
