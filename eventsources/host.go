package eventsources

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
)

// Grace is how long the facts of a source hold that failed, as init has it for
// a connection that is gone.
const Grace = 5 * time.Second

const (
	firstDelay = time.Second // before a source runs again
	lastDelay  = time.Minute
	calm       = time.Minute // after a run as long as that the delay is the first again

	redial = 100 * time.Millisecond // before another connection
	giveUp = 30 * time.Second
)

// Host runs sources for one init.
type Host struct {
	Address string   // D-Bus address of init's private socket
	Sources []Source // all there are
	// Named are the sources to run, whatever the conditions are. Without any,
	// each runs while a condition concerns it.
	Named []string
	// Logf takes a line for the log. It may be called by many goroutines.
	Logf func(format string, args ...any)

	grace, delay time.Duration // shorter in tests
}

// hosting is a run of a host.
type hosting struct {
	*Host
	client *client
	watch  watchers
	jobs   map[dbus.ObjectPath][]Condition
	ports  []*port
	fatal  chan error // capacity: one a port
}

// Run serves init until the context is done, and returns nil then. An error is
// that of a source that was named and cannot be, or of an init that cannot be
// reached for 30 seconds.
func (h *Host) Run(ctx context.Context) error {
	if h.grace == 0 {
		h.grace, h.delay = Grace, firstDelay
	}
	for _, name := range h.Named {
		if !slices.ContainsFunc(h.Sources, func(s Source) bool { return s.Name() == name }) {
			return fmt.Errorf("there is no source %q", name)
		}
	}
	r := &hosting{Host: h, client: newClient()}
	for _, s := range h.Sources {
		if len(h.Named) == 0 || slices.Contains(h.Named, s.Name()) {
			r.ports = append(r.ports, &port{host: r, source: s, changed: make(chan struct{})})
		}
	}
	r.fatal = make(chan error, len(r.ports))
	defer r.rest()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // before rest
	for ctx.Err() == nil {
		changes := newJobChanges()
		conn, err := r.connect(ctx, signalHandler{changes, &r.watch})
		if err == nil {
			err = r.serve(ctx, conn, changes)
			r.client.drop(conn)
			sleep(ctx, redial)
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// connect connects to init, trying for a while.
func (r *hosting) connect(ctx context.Context, h dbus.SignalHandler) (*dbus.Conn, error) {
	for end := time.Now().Add(giveUp); ; {
		conn, err := dial(ctx, r.Address, h)
		switch {
		case err == nil:
			return conn, nil
		case time.Now().After(end):
			return nil, fmt.Errorf("cannot connect to init: %w", err)
		case !sleep(ctx, redial):
			return nil, ctx.Err()
		}
	}
}

// sleep reports whether the time has passed before the context was done.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// serve keeps the sources in step with the conditions until the connection is
// lost. An error ends the host.
func (r *hosting) serve(ctx context.Context, conn *dbus.Conn, changes *jobChanges) error {
	paths, err := allJobs(ctx, conn)
	if err != nil && isAnswer(err) {
		return fmt.Errorf("cannot list the jobs: %w", err)
	}
	if err != nil || r.client.use(conn) != nil {
		return nil // the next connection
	}
	r.watch.tell(Signal{Kind: Connected})
	r.jobs = map[dbus.ObjectPath][]Condition{}
	changes.mark(paths...)
	for {
		found, err := readJobs(ctx, conn, changes.take())
		if err != nil {
			return nil
		}
		for path, list := range found {
			if r.jobs[path] = list; len(list) == 0 {
				delete(r.jobs, path)
			}
		}
		r.review(ctx)
		select {
		case <-changes.some:
		case <-conn.Context().Done():
			return nil
		case err := <-r.fatal:
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

// review starts the sources that conditions concern, and stops the others.
func (r *hosting) review(ctx context.Context) {
	for _, p := range r.ports {
		var list []Condition
		for _, conditions := range r.jobs {
			for _, c := range conditions {
				if p.source.Concerns(c) {
					list = append(list, c)
				}
			}
		}
		p.setConditions(list)
		switch wanted := len(r.Named) > 0 || len(list) > 0; {
		case wanted && p.stop == nil:
			p.start(ctx)
		case !wanted && p.stop != nil:
			p.stop()
			p.stop = nil
		}
	}
}

// rest waits for the sources, whose context is done.
func (r *hosting) rest() {
	for _, p := range r.ports {
		if p.ended != nil {
			<-p.ended
		}
	}
}

// port is a source in its host.
type port struct {
	host   *hosting
	source Source
	runs   int // so far, with the present one
	// stop ends the runs; nil while the source rests. ended is closed after the
	// last. Both belong to the goroutine of the host.
	stop  context.CancelFunc
	ended chan struct{}

	mu         sync.Mutex
	conditions []Condition
	changed    chan struct{}
}

func (p *port) start(host context.Context) {
	ctx, stop := context.WithCancel(host)
	before, ended := p.ended, make(chan struct{})
	p.stop, p.ended = stop, ended
	go func() {
		defer close(ended)
		if before != nil {
			<-before
		}
		p.keepRunning(ctx)
		if host.Err() == nil {
			p.expire(p.runs)
		}
	}()
}

// keepRunning runs the source again and again until the context is done.
func (p *port) keepRunning(ctx context.Context) {
	for delay := p.host.delay; ctx.Err() == nil; delay = min(2*delay, lastDelay) {
		p.runs++
		began := time.Now()
		err := p.runOnce(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, ErrUnsupported):
			if len(p.host.Named) > 0 {
				p.host.fatal <- fmt.Errorf("%s: %w", p.source.Name(), err)
			}
			<-ctx.Done()
			return
		case err == nil:
			err = errors.New("it returned")
		}
		if time.Since(began) >= calm {
			delay = p.host.delay
		}
		p.Logf("%v; again in %v", err, delay)
		run := p.runs
		time.AfterFunc(p.host.grace, func() { p.expire(run) })
		sleep(ctx, delay)
	}
}

// runOnce is one run; a panic is an error.
func (p *port) runOnce(ctx context.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return p.source.Run(ctx, &view{p, owner{p.source.Name(), p.runs}})
}

// expire ends the facts that no run after that one has asserted.
func (p *port) expire(run int) {
	gone := func(_ string, by int) bool { return by <= run }
	if err := p.host.client.change(owner{p.source.Name(), run}, nil, gone); err != nil {
		p.Logf("cannot retract facts: %v", err)
	}
}

func (p *port) setConditions(list []Condition) {
	slices.SortFunc(list, compareConditions)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.EqualFunc(p.conditions, list, func(a, b Condition) bool { return compareConditions(a, b) == 0 }) {
		close(p.changed)
		p.conditions, p.changed = list, make(chan struct{})
	}
}

// Conditions implements Init.
func (p *port) Conditions() ([]Condition, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conditions, p.changed
}

// Watch implements Init.
func (p *port) Watch(ctx context.Context, f func(Signal)) { p.host.watch.add(ctx, f) }

// Logf implements Init.
func (p *port) Logf(format string, args ...any) {
	p.host.Logf("%s: %s", p.source.Name(), fmt.Sprintf(format, args...))
}

// view is what one run of a source sees of init.
type view struct {
	*port
	by owner
}

// Emit implements Init.
func (v *view) Emit(ctx context.Context, e Event) error { return v.host.client.emit(ctx, e, false) }

// EmitWait implements Init.
func (v *view) EmitWait(ctx context.Context, e Event) error { return v.host.client.emit(ctx, e, true) }

// Assert implements Init.
func (v *view) Assert(f Fact) error {
	return v.host.client.change(v.by, []Fact{f}, func(string, int) bool { return false })
}

// Retract implements Init.
func (v *view) Retract(f Fact) error {
	return v.host.client.change(v.by, nil, func(key string, _ int) bool { return key == f.key() })
}

// Hold implements Init.
func (v *view) Hold(facts []Fact) error {
	keep := map[string]bool{}
	for _, f := range facts {
		keep[f.key()] = true
	}
	return v.host.client.change(v.by, facts, func(key string, _ int) bool { return !keep[key] })
}
