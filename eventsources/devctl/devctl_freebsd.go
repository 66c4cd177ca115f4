package devctl

import (
	"context"
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"onset/eventsources"
)

const (
	devctlPath = "/dev/devctl"
	devdSocket = "/var/run/devd.seqpacket.pipe"

	maxRecord = 16 << 10 // bytes
)

// Run implements eventsources.Source.
func (Source) Run(ctx context.Context, init eventsources.Init) error {
	s, err := openStream(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	t := newTracker(init, kernel{})
	full, err := s.full()
	if err != nil {
		return err
	}
	now, err := scan()
	if err == nil {
		err = t.begin(ctx, now, full)
	}
	for err == nil {
		err = s.serve(ctx, t)
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// stream is where records come from. One goroutine uses it.
type stream struct {
	fd, kq int
	limit  int64 // length of the kernel's queue; 0 if devd is in between
	buffer []byte
	cancel func() bool
}

// openStream opens the kernel's device, or else the socket of devd.
func openStream(ctx context.Context) (*stream, error) {
	s := &stream{buffer: make([]byte, maxRecord)}
	var err error
	s.fd, err = unix.Open(devctlPath, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	switch err {
	case nil:
		// The kernel looks at this flag when it is set, not at the opening.
		err = unix.SetNonblock(s.fd, true)
		if err == nil {
			err = s.readLimit()
		}
	case unix.EBUSY:
		if s.fd, err = dialDevd(); err != nil {
			return nil, fmt.Errorf("%s is open in another program, and only one may read it; if that is devd, it does not answer at %s: %w",
				devctlPath, devdSocket, err)
		}
	case unix.ENOENT:
		return nil, fmt.Errorf("there is no %s here: %w", devctlPath, eventsources.ErrUnsupported)
	default:
		return nil, fmt.Errorf("cannot open %s: %w", devctlPath, err)
	}
	if err == nil {
		err = s.watch(ctx)
	}
	if err != nil {
		unix.Close(s.fd)
		return nil, err
	}
	return s, nil
}

func (s *stream) readLimit() error {
	limit, err := unix.SysctlUint32("hw.bus.devctl_queue")
	switch {
	case err != nil:
		return fmt.Errorf("cannot read hw.bus.devctl_queue: %w", err)
	case limit == 0:
		return errors.New("the kernel keeps no records: hw.bus.devctl_queue is 0")
	}
	s.limit = int64(limit)
	return nil
}

func dialDevd() (fd int, err error) {
	fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err = unix.Connect(fd, &unix.SockaddrUnix{Name: devdSocket}); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// wakeUp is the ident of the event that ends waiting.
const wakeUp = 1

// watch makes the queue in which records are waited for. The end of the
// context ends waiting.
func (s *stream) watch(ctx context.Context) (err error) {
	if s.kq, err = unix.Kqueue(); err != nil {
		return fmt.Errorf("cannot make a kqueue: %w", err)
	}
	unix.CloseOnExec(s.kq)
	changes := make([]unix.Kevent_t, 2)
	unix.SetKevent(&changes[0], s.fd, unix.EVFILT_READ, unix.EV_ADD)
	unix.SetKevent(&changes[1], wakeUp, unix.EVFILT_USER, unix.EV_ADD)
	if _, err = unix.Kevent(s.kq, changes, nil, nil); err != nil {
		unix.Close(s.kq)
		return fmt.Errorf("cannot watch for records: %w", err)
	}
	s.cancel = context.AfterFunc(ctx, func() {
		e := make([]unix.Kevent_t, 1)
		unix.SetKevent(&e[0], wakeUp, unix.EVFILT_USER, 0)
		e[0].Fflags = unix.NOTE_TRIGGER
		unix.Kevent(s.kq, e, nil, nil)
	})
	return nil
}

func (s *stream) close() {
	if !s.cancel() { // it uses kq, and may be at it
		for e := make([]unix.Kevent_t, 1); e[0].Filter != unix.EVFILT_USER; {
			if _, err := unix.Kevent(s.kq, nil, e, nil); err != nil && err != unix.EINTR {
				break
			}
		}
	}
	unix.Close(s.kq)
	unix.Close(s.fd)
}

// queued returns how many records wait, or bytes of devd's; none after the
// end of waiting. gone is the end of devd.
func (s *stream) queued(timeout *unix.Timespec) (n int64, gone bool, err error) {
	events := make([]unix.Kevent_t, 2)
	count, err := unix.Kevent(s.kq, nil, events, timeout)
	if err == unix.EINTR {
		return 0, false, nil
	}
	for _, e := range events[:max(0, count)] {
		if e.Filter == unix.EVFILT_READ {
			n, gone = e.Data, e.Flags&unix.EV_EOF != 0
		}
	}
	return n, gone, err
}

// full reports whether records may be missing.
func (s *stream) full() (bool, error) {
	n, _, err := s.queued(&unix.Timespec{})
	return s.isFull(n), err
}

// isFull tells by the length before a read. When a record was lost after the
// length was last looked at, one read lies in between at most.
func (s *stream) isFull(n int64) bool { return s.limit > 0 && n >= s.limit-1 }

var errDevd = errors.New("devd closed the connection")

// serve waits for records and has them handled.
func (s *stream) serve(ctx context.Context, t *tracker) error {
	n, gone, err := s.queued(nil)
	switch {
	case err != nil || ctx.Err() != nil:
		return errors.Join(err, ctx.Err())
	case gone && n == 0:
		return errDevd
	case n == 0:
		return nil
	case s.isFull(n):
		return s.serveFull(ctx, t)
	}
	line, ok, err := s.read()
	if err != nil || !ok {
		return err
	}
	return t.handle(ctx, line)
}

// serveFull empties the queue before it looks at what exists, so that it gets
// ahead of records that keep coming.
func (s *stream) serveFull(ctx context.Context, t *tracker) error {
	var lines []string
	for int64(len(lines)) <= s.limit {
		line, ok, err := s.read()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		lines = append(lines, line)
	}
	t.init.Logf("the queue of %d records was full, and some may have been lost: looking at what exists", s.limit)
	now, err := scan()
	if err != nil {
		return err
	}
	n, _, err := s.queued(&unix.Timespec{})
	if err == nil {
		err = t.rescan(ctx, now, len(lines)+int(n))
	}
	for _, line := range lines {
		if err == nil {
			err = t.handle(ctx, line)
		}
	}
	return err
}

// read returns the next record; ok is false if there is none.
func (s *stream) read() (line string, ok bool, err error) {
	n, err := unix.Read(s.fd, s.buffer)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return "", false, nil
	case err != nil:
		return "", false, fmt.Errorf("cannot read records: %w", err)
	case n == 0 && s.limit == 0:
		return "", false, errDevd
	}
	return string(s.buffer[:n]), n > 0, nil
}

// kernel answers a tracker.
type kernel struct{}

// tellsPowerButton: init is sent a signal where the button means power off.
func (kernel) tellsPowerButton() bool {
	s, err := unix.Sysctl("hw.acpi.power_button_state")
	return err == nil && s == "S5"
}

// ackSleep is ACPIIO_ACKSLPSTATE of <dev/acpica/acpiio.h>, which the kernel
// waits for, for ten seconds, where the device of records is open.
const ackSleep = 0x80045005

func (kernel) letSleep() error {
	fd, err := unix.Open("/dev/acpi", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var veto int32 // an errno; 0 = none
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), ackSleep, uintptr(unsafe.Pointer(&veto))); errno != 0 && errno != unix.ENXIO {
		return errno
	}
	return nil // or nobody waits any more: another has agreed, as initctl suspend does
}
