//go:build freebsd

package bus

import (
	"path/filepath"

	"golang.org/x/sys/unix"
)

// spot is where a path is looked for: the last directory of it that exists.
type spot struct {
	fd   int // of a queue, readable when something happens there
	dir  int
	name string
	was  fileID
}

// watchFor returns the spot of a path, or nil if nothing tells what happens.
func watchFor(path string) *spot {
	fd, err := unix.Kqueue()
	if err != nil {
		return nil
	}
	unix.CloseOnExec(fd)
	p := &spot{fd: fd, dir: -1}
	for path != "/" && path != "." && p.dir < 0 {
		p.name, path = path, filepath.Dir(path)
		if p.dir, err = unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
			p.dir = -1
		}
	}
	changes := []unix.Kevent_t{
		{Ident: uint64(p.dir), Filter: unix.EVFILT_VNODE, Flags: unix.EV_ADD | unix.EV_CLEAR,
			Fflags: unix.NOTE_WRITE | unix.NOTE_DELETE | unix.NOTE_RENAME},
		{Filter: unix.EVFILT_FS, Flags: unix.EV_ADD | unix.EV_CLEAR, Fflags: vqMount | vqUnmount},
	}
	if _, err := unix.Kevent(fd, changes, nil, nil); err != nil {
		p.close()
		return nil
	}
	p.was, _ = identify(p.name)
	return p
}

// What EVFILT_FS tells of, as in sys/mount.h.
const vqMount, vqUnmount = 0x8, 0x10

func (p *spot) close() {
	unix.Close(p.fd)
	if p.dir >= 0 {
		unix.Close(p.dir)
	}
}

// happened takes notifications; it reports whether the path is another file
// than it was, the directory is not there any more, or something was mounted.
func (p *spot) happened() (worth bool) {
	events := make([]unix.Kevent_t, 2)
	n, err := unix.Kevent(p.fd, nil, events, &unix.Timespec{})
	if err != nil {
		return false
	}
	for _, e := range events[:n] {
		worth = worth || e.Filter == unix.EVFILT_FS || e.Fflags&(unix.NOTE_DELETE|unix.NOTE_RENAME) != 0
	}
	now, _ := identify(p.name)
	worth = worth || now != p.was
	p.was = now
	return worth
}
