package socket

import "golang.org/x/sys/unix"

// poller tells which sockets have something waiting, without reading: each
// once after it was armed. One goroutine waits.
type poller struct{ ep, wakeup int }

func newPoller() (*poller, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	p := &poller{ep, -1}
	if p.wakeup, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err == nil {
		err = unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, p.wakeup, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(p.wakeup)})
	}
	if err != nil {
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
	n, err := unix.EpollWait(p.ep, events[:], -1)
	if err == unix.EINTR {
		return p.wait(buffer)
	}
	for _, e := range events[:max(n, 0)] {
		if int(e.Fd) == p.wakeup {
			return nil, err
		}
		buffer = append(buffer, int(e.Fd))
	}
	return buffer, err
}

func (p *poller) wake() { unix.Write(p.wakeup, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

func (p *poller) close() {
	unix.Close(p.ep)
	if p.wakeup >= 0 {
		unix.Close(p.wakeup)
	}
}
