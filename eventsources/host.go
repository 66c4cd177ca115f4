package eventsources

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"onset/core/control"
	"onset/platform/wire"
)

// Grace is how long the facts of a source hold that failed, as init has it for
// a connection that is gone.
const Grace = 5 * time.Second

const (
	firstDelay = time.Second // before a source runs again
	lastDelay  = time.Minute
	calm       = time.Minute // after a run as long as that the delay is the first again

	redial   = 100 * time.Millisecond // before another connection
	patience = 30 * time.Second       // with an init that is not there

	prelude = 5 * time.Second // for sources to tell what is so when they begin
	parting = time.Second     // for init to answer at the end of the host
)

// ErrNoInit is wrapped by the error of a host whose init is gone.
var ErrNoInit = errors.New("cannot connect to init")

// Host runs sources for one init.
type Host struct {
	Address string   // D-Bus address of init's private socket
	Sources []Source // all there are
	// Named are the sources to run, whatever the conditions are. Without any,
	// each runs while a condition concerns it.
	Named []string
	// Logf takes a line for the log. It may be called by many goroutines.
	Logf func(format string, args ...any)
	// Running, if there is one, is told the names of the sources that run: once init
	// knows from each what is so, or after five seconds, and whenever others run.
	Running func(names []string)

	grace, delay, giveUp, prelude time.Duration // shorter in tests
}

// hosting is a run of a host.
type hosting struct {
	*Host
	client *client
	watch  watchers
	ports  []*port
	fatal  chan error    // capacity: one a port
	news   chan struct{} // capacity 1: a source is ready, or not of this system
	told   []string      // by Running; nil before
}

// Run serves init until the context is done, and returns nil then. An error is
// that of a source that was named and cannot be, or of an init that cannot be
// reached for 30 seconds.
func (h *Host) Run(ctx context.Context) error {
	if h.grace == 0 {
		h.grace, h.delay, h.giveUp = Grace, firstDelay, patience
	}
	h.prelude = cmp.Or(h.prelude, prelude)
	for _, name := range h.Named {
		if !slices.ContainsFunc(h.Sources, func(s Source) bool { return s.Name() == name }) {
			return fmt.Errorf("there is no source %q", name)
		}
	}
	end := ctx
	ctx, cancel := context.WithCancel(ctx)
	r := &hosting{Host: h, client: newClient(ctx, h.Logf), news: make(chan struct{}, 1)}
	for _, s := range h.Sources {
		if len(h.Named) == 0 || slices.Contains(h.Named, s.Name()) {
			r.ports = append(r.ports, newPort(r, s))
		}
	}
	r.fatal = make(chan error, len(r.ports))
	defer r.rest()
	defer cancel() // before rest
	for end.Err() == nil {
		k, err := r.connect(ctx)
		if err == nil {
			err = r.serve(ctx, k)
			if ctx.Err() != nil || err != nil {
				cancel()
				r.rest()
				r.client.drain(k, parting)
			}
			r.client.lose(k)
			sleep(ctx, redial)
		}
		if err != nil && end.Err() == nil {
			return err
		}
	}
	return nil
}

// connect connects to init, trying for a while.
func (r *hosting) connect(ctx context.Context) (*conn, error) {
	for end := time.Now().Add(r.giveUp); ; {
		k, err := dial(ctx, r.Address)
		switch {
		case err == nil:
			return k, nil
		case time.Now().After(end):
			return nil, fmt.Errorf("%w: %w", ErrNoInit, err)
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
func (r *hosting) serve(ctx context.Context, k *conn) error {
	changes := newJobChanges()
	r.watch.tell(Signal{Kind: Connected}) // before what the connection brings
	r.client.use(k, func(m *wire.Message) { r.signalled(m, changes) })
	jobs := r.client.await(k, r.client.ask(control.Root, control.GetAllJobs))
	if jobs.err == errLost {
		return nil // the next connection
	}
	if jobs.err != nil {
		return fmt.Errorf("cannot list the jobs: %w", jobs.err)
	}
	if len(jobs.body) > 0 {
		paths, _ := jobs.body[0].([]control.ObjectPath)
		changes.mark(paths...)
	}
	for _, p := range r.ports {
		changes.mark(p.known()...) // some may be gone
	}
	var late <-chan time.Time
	for isLate := false; ; {
		err := r.client.readJobs(k, changes.take(), func(path string, list []Condition) {
			for _, p := range r.ports {
				p.learn(path, list)
			}
		})
		if err != nil {
			return nil
		}
		r.review(ctx)
		r.announce(k, isLate)
		if late == nil {
			late = time.After(r.prelude)
		}
		select {
		case <-changes.some:
		case <-r.news:
		case <-late:
			isLate = true
		case <-k.gone:
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
		switch wanted := (p.publish() || len(r.Named) > 0) && !p.absent.Load(); {
		case wanted && p.stop == nil:
			p.start(ctx)
		case !wanted && p.stop != nil:
			p.stop()
			p.stop = nil
		}
	}
}

// announce tells which sources run, if others do than before. The first time it
// waits for them to be ready, unless it is late.
func (r *hosting) announce(k *conn, late bool) {
	names, unready := []string{}, []string{}
	for _, p := range r.ports {
		if p.stop != nil {
			names = append(names, p.source.Name())
			if !p.ready.Load() {
				unready = append(unready, p.source.Name())
			}
		}
	}
	first := r.told == nil
	if r.Running == nil || !first && slices.Equal(names, r.told) || first && len(unready) > 0 && !late {
		return
	}
	if first && len(unready) > 0 {
		r.Logf("%s: after %v init does not know yet what is so", strings.Join(unready, ", "), r.prelude)
	}
	r.client.drain(k, parting)
	r.told = names
	r.Running(names)
}

// wake has the host look at its sources.
func (r *hosting) wake() {
	select {
	case r.news <- struct{}{}:
	default:
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
	runs   int         // so far, with the present one
	absent atomic.Bool // this system has nothing of it
	ready  atomic.Bool // a run has told what is so, or failed
	// stop ends the runs; nil while the source rests. ended is closed after the
	// last. Both belong to the goroutine of the host.
	stop  context.CancelFunc
	ended chan struct{}

	mu         sync.Mutex
	conditions conditions
}

func newPort(r *hosting, s Source) *port {
	return &port{host: r, source: s, conditions: conditions{jobs: map[string][]Condition{}, changed: make(chan struct{})}}
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
				return
			}
			p.absent.Store(true)
			p.host.wake()
			return
		case err == nil:
			err = errors.New("it returned")
		}
		if time.Since(began) >= calm {
			delay = p.host.delay
		}
		p.Logf("%v; again in %v", err, delay)
		p.Ready()
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
func (p *port) expire(run int) { p.host.client.expire(p.source.Name(), run) }

// learn takes from a job's conditions those that concern the source.
func (p *port) learn(path string, list []Condition) {
	var mine []Condition
	for _, c := range list {
		if p.source.Concerns(c) {
			mine = append(mine, c)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conditions.learn(path, mine)
}

// known returns the jobs with conditions that concern the source.
func (p *port) known() (paths []control.ObjectPath) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for path := range p.conditions.jobs {
		paths = append(paths, control.ObjectPath(path))
	}
	return paths
}

// publish shows the source what was learned, and reports whether any condition
// concerns it.
func (p *port) publish() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conditions.publish()
	return len(p.conditions.jobs) > 0
}

// Conditions implements Init.
func (p *port) Conditions() ([]Condition, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conditions.all(), p.conditions.changed
}

// Watch implements Init.
func (p *port) Watch(ctx context.Context, f func(Signal)) { p.host.watch.add(ctx, f) }

// Ready implements Init.
func (p *port) Ready() {
	if !p.ready.Swap(true) {
		p.host.wake()
	}
}

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
func (v *view) Emit(ctx context.Context, e Event) error {
	return v.host.client.emit(ctx, v.by.source, e)
}

// EmitWait implements Init.
func (v *view) EmitWait(ctx context.Context, e Event) error {
	done := make(chan error, 1)
	if err := v.EmitThen(e, func(err error) { done <- err }); err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// EmitThen implements Init.
func (v *view) EmitThen(e Event, over func(error)) error { return v.host.client.emitThen(e, over) }

// Assert implements Init.
func (v *view) Assert(f Fact) error { return v.host.client.assert(v.by, f) }

// Retract implements Init.
func (v *view) Retract(f Fact) error {
	return v.host.client.retract(v.by.source, f.clean().key(), anyRun)
}

// Hold implements Init.
func (v *view) Hold(facts []Fact) error {
	err := v.host.client.hold(v.by, facts)
	if err == nil {
		v.Ready()
	}
	return err
}
