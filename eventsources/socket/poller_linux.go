package socket

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// poller tells which sockets have something waiting, without reading: each
// once after it was armed. Its goroutine waits in Go's own poller: what it does
// then is done by the thread that the kernel woke.
type poller struct {
	ep   int
	file *os.File // owns it
	raw  syscall.RawConn
}

func newPoller() (*poller, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	unix.SetNonblock(ep, true) // else os takes it for what cannot be waited for
	p := &poller{ep: ep, file: os.NewFile(uintptr(ep), "epoll")}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *poller) arm(fd int) error {
	e := &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: int32(fd)}
	err := unix.EpollCtl(p.ep, unix.EPOLL_CTL_MOD, fd, e)
	if err == unix.ENOENT {
		err = unix.EpollCtl(p.ep, unix.EPOLL_CTL_ADD, fd, e)
	}
	return err
}

// forget comes before the descriptor is closed: other processes have it too,
// so the kernel would go on telling of it.
func (p *poller) forget(fd int) { unix.EpollCtl(p.ep, unix.EPOLL_CTL_DEL, fd, nil) }

// wait returns the sockets that are ready; none after wake.
func (p *poller) wait(buffer []int) ([]int, error) {
	var events [64]unix.EpollEvent
	var n int
	var fault error
	err := p.raw.Read(func(uintptr) bool {
		n, fault = unix.EpollWait(p.ep, events[:], 0)
		return n != 0 && fault != unix.EINTR
	})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, nil
	}
	for _, e := range events[:max(n, 0)] {
		buffer = append(buffer, int(e.Fd))
	}
	return buffer, errors.Join(err, fault)
}

func (p *poller) wake() { p.file.SetReadDeadline(time.Unix(1, 0)) }

func (p *poller) close() { p.file.Close() }
