package linux

import (
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"onset/platform"
)

// Poller implements platform.Poller on epoll; an eventfd wakes it.
type Poller struct {
	epoll, event int
	watches      map[int32]watch
	serial       int32 // tells a descriptor from an earlier one of that number
	batch        [128]unix.EpollEvent
}

type watch struct {
	serial int32
	ready  func(platform.Ready)
}

var _ platform.Poller = (*Poller)(nil)

// NewPoller returns a poller without descriptors.
func NewPoller() (*Poller, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(epoll)
		return nil, os.NewSyscallError("eventfd", err)
	}
	p := &Poller{epoll: epoll, event: event, watches: map[int32]watch{}}
	if err := p.Add(event, platform.Readable, func(platform.Ready) { p.drain() }); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// Close frees the poller's own descriptors.
func (p *Poller) Close() {
	unix.Close(p.epoll)
	unix.Close(p.event)
}

// Add implements platform.Poller. A regular file cannot be waited for: EPERM.
func (p *Poller) Add(fd int, want platform.Ready, ready func(platform.Ready)) error {
	p.serial++
	if err := p.control(unix.EPOLL_CTL_ADD, fd, p.serial, want); err != nil {
		return err
	}
	p.watches[int32(fd)] = watch{p.serial, ready}
	return nil
}

// Set implements platform.Poller.
func (p *Poller) Set(fd int, want platform.Ready) error {
	return p.control(unix.EPOLL_CTL_MOD, fd, p.watches[int32(fd)].serial, want)
}

// Remove implements platform.Poller.
func (p *Poller) Remove(fd int) {
	if _, ok := p.watches[int32(fd)]; ok {
		delete(p.watches, int32(fd))
		unix.EpollCtl(p.epoll, unix.EPOLL_CTL_DEL, fd, nil)
	}
}

func (p *Poller) control(op, fd int, serial int32, want platform.Ready) error {
	e := unix.EpollEvent{Fd: int32(fd), Pad: serial}
	if want&platform.Readable != 0 {
		e.Events |= unix.EPOLLIN
	}
	if want&platform.Writable != 0 {
		e.Events |= unix.EPOLLOUT
	}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(p.epoll, op, fd, &e))
}

// Wait implements platform.Poller. A timeout is rounded up to milliseconds. A
// signal ends it too: the kernel gives SIGCHLD to the first thread, which may
// look for it at once, long before Go has passed it on.
func (p *Poller) Wait(timeout time.Duration) error {
	n, err := unix.EpollWait(p.epoll, p.batch[:], milliseconds(timeout))
	if err == unix.EINTR {
		return nil
	}
	if err != nil {
		return os.NewSyscallError("epoll_wait", err)
	}
	for i := range p.batch[:n] {
		e := &p.batch[i]
		if w, ok := p.watches[e.Fd]; ok && w.serial == e.Pad { // else removed by one before it
			w.ready(readiness(e.Events))
		}
	}
	return nil
}

func milliseconds(d time.Duration) int {
	if d < 0 {
		return -1
	}
	ms := d / time.Millisecond
	if d%time.Millisecond != 0 {
		ms++
	}
	return int(min(ms, math.MaxInt32))
}

func readiness(events uint32) (r platform.Ready) {
	if events&unix.EPOLLIN != 0 {
		r |= platform.Readable
	}
	if events&unix.EPOLLOUT != 0 {
		r |= platform.Writable
	}
	if events&(unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		r |= platform.Hangup
	}
	return r
}

// Wake implements platform.Poller.
func (p *Poller) Wake() { unix.Write(p.event, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

func (p *Poller) drain() {
	var b [8]byte
	unix.Read(p.event, b[:])
}
