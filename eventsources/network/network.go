// Package network is the event source for links, addresses and the way out of
// the machine (EXTENSIONS §7): the kernel's routing messages (rtnetlink(7) on
// Linux, route(4) on FreeBSD), and NetworkManager over the system bus where it
// runs.
//
// Events: net-device-up and net-device-down, when a link begins or ceases to
// carry packets; network-state-changed, when the state of the whole, its
// connectivity or the primary connection changes; wifi-changed, when an
// interface is on another wireless network. Facts: net-device-up for each such
// link, and network-online.
//
// network-online holds, by the kernel alone, while a default route leads
// through a link that is up and such a link has an address of global scope and
// of the same family. While NetworkManager has a primary connection it is its
// connectivity that counts instead: "full". NetworkManager that connects,
// starts or does not know yet can keep the fact and not make it; when it has
// gone, what it said last counts for a while. In each case the fact ends with
// the kernel's way out.
//
// At the start of a run what is up already is told as if it came up then: a
// link that came up at boot before the source, or while it was being restarted,
// is not missed. From then on there is one event a change. Links are told
// message by message; addresses and routes are read anew when a message is
// about them and the socket is empty, so replacing them is no change.
//
// One goroutine reads the kernel's messages, one the bus; both hand over to a
// third, which alone tells init, and wait for it.
package network

import (
	"context"
	"slices"
	"sync"
	"time"

	"onset/eventsources"
)

// Source is the source.
type Source struct{}

// Name implements eventsources.Source.
func (Source) Name() string { return "network" }

var (
	events = []string{"net-device-up", "net-device-down", "network-state-changed", "wifi-changed"}
	facts  = []string{"net-device-up", "network-online"}
)

// Concerns implements eventsources.Source.
func (Source) Concerns(c eventsources.Condition) bool {
	if c.Fact {
		return slices.Contains(facts, c.Operand.Name)
	}
	return slices.Contains(events, c.Operand.Name)
}

// busPatience is how long a bus may take to answer before the source begins
// without it. It is below eventsources.Grace: the facts of a run that was
// killed hold until this one has asserted them. Less in tests.
var busPatience = 3 * time.Second

// Run implements eventsources.Source.
func (Source) Run(ctx context.Context, init eventsources.Init) error {
	k, err := openKernel(receiveBuffer)
	if err != nil {
		return err
	}
	return run(ctx, init, k, eventsources.Grace)
}

// run is Run on a kernel, which it closes.
func run(ctx context.Context, init eventsources.Init, k *kernel, patience time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	var readers sync.WaitGroup
	defer readers.Wait()
	defer cancel()
	changes, managers := make(chan change), make(chan *manager)
	failed := make(chan error, 1)
	readers.Go(func() { failed <- k.watch(ctx, init.Logf, changes) })
	readers.Go(func() { watchManager(ctx, init.Logf, managers) })

	t := newTracker(init, patience)
	first := time.After(busPatience)
	begun := false
	for {
		var err error
		select {
		case c := <-changes:
			t.apply(c)
		case m := <-managers:
			t.setManager(m)
			first = nil
		case <-first:
			first = nil
		case <-t.timer():
			t.late = true
		case err = <-failed:
		case <-ctx.Done():
			return nil
		}
		switch {
		case err != nil:
		case begun:
			err = t.tell(ctx)
		case t.looked && first == nil:
			begun = true
			err = t.begin(ctx)
		}
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}
