// Package socket starts jobs when something comes in at an address (EXTENSIONS
// §7, UPSTART §9.2): it binds what operands `socket PROTO=… …` of start on and
// stop on ask for, and listens.
//
// For each socket it holds a fact `socket` with the variables of the operand
// and the descriptor, so that every start of a job that names it gets it, and
// emits an event of the same name and variables when something waits in it.
// With ACCEPT=yes it accepts connections, and each makes an event that
// carries the connection; the fact has no descriptor then. Nothing else is read
// here: what waits in a socket is for the job.
//
// States of a socket: it is unbound (tried again with growing delays), polled,
// starting (its event is on its way), taken (a job that names it has an
// instance), or resting (starts came too fast); with ACCEPT=yes it is polled,
// resting, or full (MAXCONN). The end of any instance of its jobs has it polled
// again, and what still waits makes the next event.
//
// Ownership: a socket belongs to the run that has it. Copies are with init, as
// the fact and, by the protocol of sd_notify(3), for the next process: a socket
// is bound once, and closed when no operand is about it any more. Operands that
// make the same variables share one. The goroutine of Run opens and closes;
// one more waits for the kernel; each event that is not done has its own.
package socket

import (
	"context"
	"time"

	"onset/eventsources"
)

// Source is the source of sockets.
type Source struct{ store *store }

// New returns the source.
func New() Source { return Source{&store{idle: map[string]handle{}}} }

// Name implements eventsources.Source.
func (Source) Name() string { return "socket" }

// Concerns implements eventsources.Source. What only asks for the fact makes
// no socket, since it does not get it.
func (Source) Concerns(c eventsources.Condition) bool {
	return c.Operand.Name == "socket" && !c.Fact
}

// Run implements eventsources.Source.
func (s Source) Run(ctx context.Context, init eventsources.Init) error {
	poll, err := newPoller()
	if err != nil {
		return err
	}
	host := ctx
	ctx, cancel := context.WithCancel(host)
	r := &run{ctx: ctx, init: init, store: s.store, poll: poll, jobs: map[string][]*socket{},
		live: map[string]int{}, sockets: map[string]*socket{}, byFD: map[int]*socket{}, broken: make(chan struct{}, 1),
		number: time.Now().UnixMilli()} // beyond those of any process before, whose instances may be there
	polled := make(chan error, 1)
	go func() { polled <- r.keepPolling() }()
	defer func() {
		cancel()
		poll.wake()
		<-polled
		r.end(host.Err() != nil)
		poll.close()
	}()
	init.Watch(ctx, r.signal)
	for {
		list, changed := init.Conditions()
		next := r.apply(list)
		select {
		case <-changed:
		case <-r.broken:
		case <-time.After(next):
		case err := <-polled:
			polled <- err
			return err
		case <-ctx.Done():
			return nil
		}
	}
}
