package bus

import (
	"bytes"
	"encoding/binary"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// spot is where a path is looked for: the last directory of it that exists.
type spot struct {
	fd   int // readable when something happens there
	name string
}

// watchFor returns the spot of a path, or nil if nothing tells what happens.
func watchFor(path string) *spot {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil
	}
	const events = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_DELETE | unix.IN_MOVED_FROM |
		unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR
	for path != "/" && path != "." {
		dir, name := filepath.Dir(path), filepath.Base(path)
		if _, err = unix.InotifyAddWatch(fd, dir, events); err == nil {
			return &spot{fd, name}
		}
		path = dir
	}
	unix.Close(fd)
	return nil
}

func (p *spot) close() { unix.Close(p.fd) }

// happened takes notifications; it reports whether one is of the name that is
// looked for, or of the directory itself.
func (p *spot) happened() (worth bool) {
	b := make([]byte, 4096)
	n, err := unix.Read(p.fd, b)
	if err != nil {
		return false
	}
	for b = b[:n]; len(b) >= unix.SizeofInotifyEvent; {
		end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
		is, _, _ := bytes.Cut(b[unix.SizeofInotifyEvent:end], []byte{0})
		worth = worth || len(is) == 0 || string(is) == p.name
		b = b[end:]
	}
	return worth
}
