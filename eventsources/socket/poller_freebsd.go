package socket

import "golang.org/x/sys/unix"

// poller tells which sockets have something waiting, without reading: each
// once after it was armed. One goroutine waits.
type poller struct{ kq int }

// wakeUp is the identity of the user event.
const wakeUp = 1

func newPoller() (*poller, error) {
	kq, err := unix.Kqueue()
	if err != nil {
		return nil, err
	}
	unix.CloseOnExec(kq)
	p := &poller{kq}
	if err := p.change(wakeUp, unix.EVFILT_USER, unix.EV_ADD, 0); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *poller) change(ident, filter, flags int, fflags uint32) error {
	e := make([]unix.Kevent_t, 1)
	unix.SetKevent(&e[0], ident, filter, flags)
	e[0].Fflags = fflags
	_, err := unix.Kevent(p.kq, e, nil, nil)
	return err
}

func (p *poller) arm(fd int) error {
	return p.change(fd, unix.EVFILT_READ, unix.EV_ADD|unix.EV_ENABLE|unix.EV_DISPATCH, 0)
}

func (p *poller) forget(fd int) { p.change(fd, unix.EVFILT_READ, unix.EV_DELETE, 0) }

// wait returns the sockets that are ready; none after wake.
func (p *poller) wait(buffer []int) ([]int, error) {
	events := make([]unix.Kevent_t, 64)
	n, err := unix.Kevent(p.kq, nil, events, nil)
	if err == unix.EINTR {
		return p.wait(buffer)
	}
	for _, e := range events[:max(n, 0)] {
		if e.Filter == unix.EVFILT_USER {
			return nil, err
		}
		buffer = append(buffer, int(e.Ident))
	}
	return buffer, err
}

func (p *poller) wake() { p.change(wakeUp, unix.EVFILT_USER, 0, unix.NOTE_TRIGGER) }

func (p *poller) close() { unix.Close(p.kq) }
