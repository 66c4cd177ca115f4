package freebsd

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"onset/platform"
)

// Poller implements platform.Poller on kqueue; EVFILT_USER wakes it, and so
// does the end of a child.
type Poller struct {
	queue   int
	watches map[int]*watch
	batch   [128]unix.Kevent_t
	rest    []unix.Kevent_t // of the batch, not looked at yet
}

type watch struct {
	want  platform.Ready
	ready func(platform.Ready)
}

var _ platform.Poller = (*Poller)(nil)

// NewPoller returns a poller without descriptors.
func NewPoller() (*Poller, error) {
	queue, err := newQueue()
	if err != nil {
		return nil, err
	}
	p := &Poller{queue: queue, watches: map[int]*watch{}}
	err = change(queue,
		unix.Kevent_t{Filter: unix.EVFILT_USER, Flags: unix.EV_ADD | unix.EV_CLEAR},
		unix.Kevent_t{Ident: uint64(unix.SIGCHLD), Filter: unix.EVFILT_SIGNAL, Flags: unix.EV_ADD | unix.EV_CLEAR})
	if err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func newQueue() (int, error) {
	queue, err := unix.Kqueue()
	if err != nil {
		return -1, os.NewSyscallError("kqueue", err)
	}
	unix.CloseOnExec(queue)
	return queue, nil
}

// change makes changes to a queue, up to the first that fails.
func change(queue int, changes ...unix.Kevent_t) error {
	_, err := unix.Kevent(queue, changes, nil, nil)
	if err == unix.EINTR { // which comes after the changes
		err = nil
	}
	return os.NewSyscallError("kevent", err)
}

// Close frees the poller's own descriptor.
func (p *Poller) Close() { unix.Close(p.queue) }

// Add implements platform.Poller. A regular file cannot be waited for: EPERM.
func (p *Poller) Add(fd int, want platform.Ready, ready func(platform.Ready)) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFREG { // the kernel would call it ready for ever
		return os.NewSyscallError("kevent", unix.EPERM)
	}
	w := &watch{ready: ready}
	if err := p.set(fd, w, want); err != nil {
		change(p.queue, filter(fd, unix.EVFILT_READ, unix.EV_DELETE))
		return err
	}
	p.watches[fd] = w
	return nil
}

// Set implements platform.Poller.
func (p *Poller) Set(fd int, want platform.Ready) error {
	w := p.watches[fd]
	if w == nil {
		return os.NewSyscallError("kevent", unix.ENOENT)
	}
	return p.set(fd, w, want)
}

// set has a descriptor always watched for reading, since that tells of the
// hang-up; what is there to read and not wanted is told once and dropped.
func (p *Poller) set(fd int, w *watch, want platform.Ready) error {
	edge := 0
	if want&platform.Readable == 0 {
		edge = unix.EV_CLEAR
	}
	// The kind of a filter is that of its making.
	change(p.queue, filter(fd, unix.EVFILT_READ, unix.EV_DELETE))
	if err := change(p.queue, filter(fd, unix.EVFILT_READ, unix.EV_ADD|edge)); err != nil {
		return err
	}
	was := w.want
	w.want = want
	switch {
	case want&platform.Writable != 0 && was&platform.Writable == 0:
		err := change(p.queue, filter(fd, unix.EVFILT_WRITE, unix.EV_ADD))
		if errors.Is(err, unix.EPIPE) {
			err = nil // the other end is closed, which the filter for reading tells
		}
		return err
	case want&platform.Writable == 0 && was&platform.Writable != 0:
		return change(p.queue, filter(fd, unix.EVFILT_WRITE, unix.EV_DELETE))
	}
	return nil
}

func filter(fd, kind, flags int) unix.Kevent_t {
	return unix.Kevent_t{Ident: uint64(fd), Filter: int16(kind), Flags: uint16(flags)}
}

// Remove implements platform.Poller.
func (p *Poller) Remove(fd int) {
	w := p.watches[fd]
	if w == nil {
		return
	}
	delete(p.watches, fd)
	change(p.queue, filter(fd, unix.EVFILT_READ, unix.EV_DELETE))
	if w.want&platform.Writable != 0 {
		change(p.queue, filter(fd, unix.EVFILT_WRITE, unix.EV_DELETE))
	}
	p.take(uint64(fd))
}

// Wait implements platform.Poller. A signal ends it too.
func (p *Poller) Wait(timeout time.Duration) error {
	var until *unix.Timespec
	if timeout >= 0 {
		ts := unix.NsecToTimespec(int64(timeout))
		until = &ts
	}
	n, err := unix.Kevent(p.queue, nil, p.batch[:], until)
	if err == unix.EINTR {
		return nil
	}
	if err != nil {
		return os.NewSyscallError("kevent", err)
	}
	for p.rest = p.batch[:n]; len(p.rest) > 0; {
		e := p.rest[0]
		if e.Filter != unix.EVFILT_READ && e.Filter != unix.EVFILT_WRITE {
			p.rest = p.rest[1:]
			continue
		}
		w, r := p.watches[int(e.Ident)], p.take(e.Ident)
		if w == nil {
			continue
		}
		if r &= w.want | platform.Hangup; r != 0 {
			w.ready(r)
		}
	}
	return nil
}

// take returns what the rest of the batch says of a descriptor, once.
func (p *Poller) take(ident uint64) (r platform.Ready) {
	kept := p.rest[:0]
	for _, e := range p.rest {
		if e.Ident != ident || e.Filter != unix.EVFILT_READ && e.Filter != unix.EVFILT_WRITE {
			kept = append(kept, e)
			continue
		}
		if e.Filter == unix.EVFILT_WRITE {
			r |= platform.Writable
		} else if e.Data > 0 || e.Flags&unix.EV_EOF == 0 {
			r |= platform.Readable
		}
		if e.Flags&unix.EV_EOF != 0 {
			r |= platform.Hangup
		}
	}
	p.rest = kept
	return r
}

// Wake implements platform.Poller.
func (p *Poller) Wake() {
	change(p.queue, unix.Kevent_t{Filter: unix.EVFILT_USER, Fflags: unix.NOTE_TRIGGER})
}
