package power

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"onset/eventsources"
	"onset/platform/suspend"
)

const (
	acpidSocket = "/run/acpid.socket"
	dialTime    = time.Minute // between attempts, if no job starts meanwhile
	redialTime  = time.Second // after what was lost, acpid or an input device
	lookTime    = time.Minute // between looks at batteries that are used
)

// news is what a goroutine has heard, to be told by the teller's.
type news func(ctx context.Context, t *teller) error

// run is a run of the source.
type run struct {
	init  eventsources.Init
	at    places
	heard chan news
}

// Run implements eventsources.Source.
func (s Source) Run(ctx context.Context, init eventsources.Init) error {
	return s.runAt(ctx, init, thisMachine())
}

// places are where the machine is looked at.
type places struct{ sys, dev, acpid, run string }

func thisMachine() places {
	p := places{"/sys", "/dev", acpidSocket, "/run"}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" && os.Getenv("UPSTART_SESSION") != "" {
		p.run = dir
	}
	return p
}

func (s Source) runAt(ctx context.Context, init eventsources.Init, at places) error {
	r := &run{init: init, at: at, heard: make(chan news)}
	ctx, cancel := context.WithCancel(ctx)
	sleeping := make(chan struct{})
	defer func() { cancel(); <-sleeping }()
	go func() {
		defer close(sleeping)
		newSleeper(init, cmp.Or(s.SuspendTimeout, suspend.Timeout), at.run).run(ctx)
	}()
	err := r.serve(ctx)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// serve tells what is heard. What could be heard before the first look is
// heard from before it on.
func (r *run) serve(ctx context.Context) error {
	in := &inputs{class: filepath.Join(r.at.sys, "class/input"), nodes: filepath.Join(r.at.dev, "input"),
		open: map[string]*input{}, refused: map[string]bool{}, logf: r.init.Logf}
	t := newTeller(r.init, filepath.Join(r.at.sys, "class/power_supply"), in)
	if err := r.hearDevices(ctx); err != nil {
		return err
	}
	if s, family, err := openNotifications(ctx); err == nil {
		go r.hearKernel(ctx, s, family)
	} else {
		go r.hearAcpid(ctx)
	}
	in.scan(ctx, r.input(ctx))
	if err := t.begin(ctx); err != nil {
		return err
	}
	for {
		var later <-chan time.Time
		if t.draining {
			later = time.After(lookTime)
		}
		err := error(nil)
		select {
		case tell := <-r.heard:
			err = tell(ctx, t)
		case <-later:
			err = t.look(ctx)
		case <-ctx.Done():
			return ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

// tell hands news to the teller.
func (r *run) tell(ctx context.Context, n news) {
	select {
	case r.heard <- n:
	case <-ctx.Done():
	}
}

// fail ends the run.
func (r *run) fail(ctx context.Context, err error) {
	r.tell(ctx, func(context.Context, *teller) error { return err })
}

// hearDevices listens for the kernel's messages about power supplies and input
// devices, of which there is nothing to know but that they come.
func (r *run) hearDevices(ctx context.Context) error {
	s, err := openSocket(ctx, unix.NETLINK_KOBJECT_UEVENT, 1)
	if err != nil {
		return fmt.Errorf("cannot hear of devices: %w", err)
	}
	supplies := func(ctx context.Context, t *teller) error { return t.look(ctx) }
	go func() {
		for {
			b, err := s.receive()
			if err != nil && err != errLost {
				r.fail(ctx, fmt.Errorf("cannot hear of devices: %w", err))
				return
			}
			if err != nil || bytes.Contains(b, []byte("\x00SUBSYSTEM=power_supply\x00")) {
				r.tell(ctx, supplies)
			}
			if err != nil || bytes.Contains(b, []byte("\x00SUBSYSTEM=input\x00")) {
				r.tell(ctx, r.scan)
			}
		}
	}()
	return nil
}

// hearKernel reads ACPI's notifications.
func (r *run) hearKernel(ctx context.Context, s *socket, family uint16) {
	for told := false; ; {
		b, err := s.receive()
		switch {
		case err == nil:
			for _, n := range parseNotifications(b, family) {
				r.tell(ctx, func(ctx context.Context, t *teller) error { return t.notified(ctx, n, false, time.Time{}) })
			}
		case err != errLost:
			r.fail(ctx, fmt.Errorf("cannot hear of ACPI from the kernel: %w", err))
			return
		default:
			if !told {
				r.init.Logf("notifications of ACPI were lost: there were too many")
			}
			told = true
			r.tell(ctx, func(ctx context.Context, t *teller) error { return t.look(ctx) })
		}
	}
}

// hearAcpid is a client of acpid whenever it runs.
func (r *run) hearAcpid(ctx context.Context) {
	starts := jobStarts(ctx, r.init)
	for ctx.Err() == nil {
		conn, err := net.Dial("unix", r.at.acpid)
		if err == nil {
			r.readAcpid(ctx, conn)
			pause(ctx, starts, redialTime)
			continue
		}
		if errors.Is(err, os.ErrPermission) {
			r.init.Logf("no notifications of ACPI: %v", err)
			return
		}
		pause(ctx, starts, dialTime)
	}
}

// maxLine is more than a line of acpid has.
const maxLine = 4096

func (r *run) readAcpid(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, maxLine)
	for told := false; lines.Scan(); {
		n, ok := parseLine(lines.Text())
		if !ok {
			if !told {
				r.init.Logf("cannot read acpid's line %q", lines.Text())
			}
			told = true
			continue
		}
		now := time.Now()
		r.tell(ctx, func(ctx context.Context, t *teller) error { return t.notified(ctx, n, true, now) })
	}
}

// scan opens the input devices that are new.
func (r *run) scan(ctx context.Context, t *teller) error {
	t.inputs.scan(ctx, r.input(ctx))
	return t.lookAtLid(ctx)
}

// input returns what takes what input devices give.
func (r *run) input(ctx context.Context) func(*input, []byte) {
	return func(d *input, b []byte) {
		r.tell(ctx, func(ctx context.Context, t *teller) error {
			if b == nil {
				t.inputs.drop(d)
				// One of the same name may have come already.
				time.AfterFunc(redialTime, func() { r.tell(ctx, r.scan) })
				return nil
			}
			for _, name := range d.take(b) {
				if err := t.emit(ctx, name); err != nil {
					return err
				}
			}
			return t.lookAtLid(ctx)
		})
	}
}

// jobStarts returns a channel that has something when a job was started, after
// which somebody may be there who was not.
func jobStarts(ctx context.Context, init eventsources.Init) <-chan struct{} {
	some := make(chan struct{}, 1)
	init.Watch(ctx, func(s eventsources.Signal) {
		if s.Kind == eventsources.EventEmitted && s.Name == "started" {
			select {
			case some <- struct{}{}:
			default:
			}
		}
	})
	return some
}

// pause waits for a job that starts, for a while.
func pause(ctx context.Context, starts <-chan struct{}, d time.Duration) {
	select {
	case <-starts:
	case <-time.After(d):
	case <-ctx.Done():
	}
}
