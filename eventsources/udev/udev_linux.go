package udev

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"onset/eventsources"
)

const (
	turn      = 256  // messages that are read before anything else is looked at
	lastTurns = 1000 // of a socket that will be closed, in a storm

	again  = 100         // milliseconds until udevd is asked once more
	seldom = 10_000      // the same, where its process is not known
	quiet  = time.Minute // before lost messages are in the log again
)

// Run implements eventsources.Source.
func (s Source) Run(ctx context.Context, init eventsources.Init) error {
	r := &run{source: s, init: init, system: here, tracker: newTracker(init, s), wake: -1}
	defer r.close()
	err := r.begin(ctx)
	for err == nil && ctx.Err() == nil {
		err = r.serve(ctx)
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// run is one run of the source, by one goroutine.
type run struct {
	source  Source
	init    eventsources.Init
	system  system
	tracker *tracker
	udevd   *udevd
	monitor *monitor
	wake    int // a descriptor that is read when conditions have changed
	stop    context.CancelFunc
	// lost says that messages were lost, not later than this one.
	lost     bool
	lostUpTo uint64
	saidLost time.Time
}

// begin opens everything, and tells what exists.
func (r *run) begin(ctx context.Context) (err error) {
	if r.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("cannot make an eventfd: %w", err)
	}
	if r.udevd, err = watchUdevd(r.system.udev); err != nil {
		return err
	}
	r.udevd.look()
	if r.monitor = takeOver(r.group()); r.monitor == nil {
		r.monitor, err = r.listen()
	}
	if err != nil {
		return err
	}
	list, changed := r.init.Conditions()
	w := wanted(list, r.source.All)
	all := r.system.scan(w)
	err = r.tracker.begin(w, all)
	if err == nil && r.replays() {
		err = r.coldplug(ctx, all)
	}
	if err != nil {
		return err
	}
	var waiting context.Context
	waiting, r.stop = context.WithCancel(ctx)
	ended := make(chan struct{})
	go r.await(waiting, changed, ended)
	stop := r.stop
	r.stop = func() { stop(); <-ended }
	if r.group() != r.monitor.group {
		return r.changeOver(ctx)
	}
	return nil
}

// await wakes the run when conditions change and at the end of the context.
func (r *run) await(ctx context.Context, changed <-chan struct{}, ended chan<- struct{}) {
	defer close(ended)
	for {
		select {
		case <-changed:
		case <-ctx.Done():
		}
		_, changed = r.init.Conditions() // before the run looks at them, which then misses nothing
		unix.Write(r.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
		if ctx.Err() != nil {
			return
		}
	}
}

func (r *run) close() {
	if r.stop != nil {
		r.stop()
	}
	if r.monitor != nil {
		r.monitor.close()
	}
	if r.udevd != nil {
		r.udevd.close()
	}
	if r.wake >= 0 {
		unix.Close(r.wake)
	}
}

// listen makes a socket for the messages of the group that tells most, which
// init keeps for the next process.
func (r *run) listen() (*monitor, error) {
	m, err := listen(r.group(), r.system.room)
	if err == nil {
		if err := m.keep(); err != nil {
			r.init.Logf("devices that come or go while no onset-sources runs will be told of late: init does not keep the socket: %v", err)
		}
	}
	return m, err
}

// group is the one that tells most.
func (r *run) group() group {
	if r.udevd.runs {
		return udevGroup
	}
	return kernelGroup
}

// replays reports whether devices that exist are to be told.
func (r *run) replays() bool {
	if r.source.Coldplug || r.source.User || r.udevd.runs || r.system.hasUdevd() {
		return r.source.Coldplug
	}
	first, err := r.system.first()
	if err != nil {
		r.init.Logf("cannot tell whether this is the first start since the boot, and do not tell of devices that were there before: %v", err)
	}
	return first
}

// coldplug has devices told that were found to exist.
func (r *run) coldplug(ctx context.Context, all []found) error {
	if !r.udevd.runs {
		r.tracker.seen = r.system.last()
	}
	failed := 0
	var last error
	for _, f := range all {
		if !r.udevd.runs {
			if err := r.tracker.added(ctx, f); err != nil {
				return err
			}
		} else if err := r.system.trigger(f); err != nil {
			failed++
			last = err
		}
	}
	if failed > 0 {
		r.init.Logf("cannot ask udevd for %d of %d devices: %v", failed, len(all), last)
	}
	return nil
}

// serve waits for something to do, and does it.
func (r *run) serve(ctx context.Context) error {
	const wake, notify, process, messages = 0, 1, 2, 3
	fds := []unix.PollFd{wake: {Fd: int32(r.wake), Events: unix.POLLIN}, notify: {Fd: int32(r.udevd.notify), Events: unix.POLLIN},
		process: {Fd: int32(r.udevd.process), Events: unix.POLLIN}, messages: {Fd: int32(r.monitor.fd), Events: unix.POLLIN}}
	timeout := -1
	switch {
	case r.lost:
		timeout = 0 // there may be nothing left to read before the look at what exists
	case r.udevd.asks > 0:
		timeout = again
	case r.udevd.runs && r.udevd.process < 0:
		timeout = seldom
	}
	n, err := unix.Poll(fds, timeout)
	if err != nil && err != unix.EINTR {
		return fmt.Errorf("cannot wait for uevents: %w", err)
	}
	if fds[wake].Revents != 0 {
		unix.Read(r.wake, make([]byte, 8))
		if err := r.reconsider(); err != nil {
			return err
		}
	}
	another := fds[notify].Revents != 0 && r.udevd.changed() || fds[process].Revents != 0
	if another || n == 0 && !r.lost {
		r.udevd.look()
		switch {
		case r.group() != r.monitor.group:
			return r.changeOver(ctx)
		case another && r.udevd.runs:
			return r.rescan(ctx, false)
		}
	}
	if fds[messages].Revents != 0 || r.lost {
		_, err = r.read(ctx)
		return err
	}
	return nil
}

// reconsider takes up what jobs name now.
func (r *run) reconsider() error {
	list, _ := r.init.Conditions()
	w := wanted(list, r.source.All)
	if w.equal(r.tracker.want) {
		return nil
	}
	anew := wants{by: map[string]want{}}
	for subsystem, one := range w.by {
		if !r.tracker.want.tracks(subsystem) {
			anew.by[subsystem] = one
		}
	}
	return r.tracker.begin(w, r.system.scan(anew))
}

// read handles messages for a turn, and reports whether there may be more.
func (r *run) read(ctx context.Context) (more bool, err error) {
	for range turn {
		vars, err := r.monitor.receive()
		switch {
		case err == errLost:
			r.lose()
			continue
		case err == unix.EAGAIN && r.lost:
			return false, r.rescan(ctx, r.udevd.runs)
		case err == unix.EAGAIN:
			return false, nil
		case err != nil:
			return false, fmt.Errorf("cannot read uevents: %w", err)
		}
		if !r.tracker.want.tracks(string(subsystemOf(vars))) {
			continue
		}
		u, ok := parse(vars)
		if ok && r.lost && u.seq > r.lostUpTo {
			err = r.rescan(ctx, r.udevd.runs)
		}
		if ok && err == nil {
			if r.monitor.group == kernelGroup && r.tracker.knows(u) {
				r.system.complete(&u) // udevd was here
			}
			err = r.tracker.handle(ctx, u)
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// lose takes note of lost messages. What is still queued is older; when it was
// told, it is time to look at what exists.
func (r *run) lose() {
	if now := time.Now(); now.Sub(r.saidLost) >= quiet {
		r.saidLost = now
		r.init.Logf("uevents came faster than they were read, and some were lost: looking at what exists")
	}
	r.lost, r.lostUpTo = true, r.system.last()
}

// rescan tells the differences to what exists now. What udevd has not handled
// is left to its message if it is sure to come: not to a udevd that has just
// come, which may have missed it.
func (r *run) rescan(ctx context.Context, sure bool) error {
	r.lost = false
	began := r.system.last()
	all := r.system.scan(r.tracker.want)
	return r.tracker.compare(ctx, all, sure, began, r.system.last())
}

// changeOver goes on with the messages of the other group.
func (r *run) changeOver(ctx context.Context) error {
	next, err := r.listen()
	if err != nil {
		return err
	}
	if r.udevd.runs {
		r.init.Logf("udevd runs now, and is listened to instead of the kernel")
	} else {
		r.init.Logf("there is no udevd any more, and the kernel is listened to instead")
	}
	more := true
	for left := lastTurns; more && err == nil && left > 0; left-- {
		more, err = r.read(ctx)
	}
	r.monitor.close()
	r.monitor = next
	r.tracker.told = r.tracker.last
	if err != nil {
		return err
	}
	return r.rescan(ctx, false)
}
