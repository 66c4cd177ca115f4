// Package dbus is the event source for message buses (UPSTART §9.4,
// EXTENSIONS §7): signals as events, names that have an owner as facts, and
// requests to start a service as events that are answered.
//
// It asks a bus only for what operands name: signals by interface, member and
// path where they say so, changes of owner by the name. What comes is matched
// against the operands here too, so that a busy bus costs init nothing that no
// job waits for. While an operand names dbus-activation, the source is
// org.freedesktop.systemd1 on that bus, whom dbus-daemon --systemd-activation
// asks for services.
//
// When a bus goes, so do the facts of its names; the source connects again.
package dbus

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"onset/eventsources"
	"onset/eventsources/msgbus"
)

// Source is the source.
type Source struct {
	Always bool  // tell of all signals, also those that no job waits for
	Once   bool  // end when a bus does, as Upstart's bridge
	Buses  []Bus // none: System
}

// Bus is a message bus.
type Bus struct {
	Name    string // BUS= of events and facts; without it they have none
	Address string // empty: that of the system, or of the session
	Session bool
	// Services are folders of service files, instead of those that such a bus
	// has.
	Services []string
}

// System is what a system's init hears of.
var System = []Bus{{}}

// Sessions is what the init of a session hears of, as by Upstart's two bridges.
var Sessions = []Bus{{Name: "session", Session: true}, {Name: "system"}}

// The events and the fact.
const (
	signalEvent     = "dbus"
	activationEvent = "dbus-activation"
	nameFact        = "dbus-name"
)

// Name implements eventsources.Source.
func (Source) Name() string { return "dbus" }

// Concerns implements eventsources.Source.
func (Source) Concerns(c eventsources.Condition) bool {
	if c.Fact {
		return c.Operand.Name == nameFact
	}
	return c.Operand.Name == signalEvent || c.Operand.Name == activationEvent
}

// ended is why the source ends with a bus, where Once is wanted.
type ended string

func (e ended) Error() string { return string(e) }

// Is has the host not run the source again.
func (ended) Is(target error) bool { return target == eventsources.ErrUnsupported }

// Run implements eventsources.Source.
func (s Source) Run(ctx context.Context, init eventsources.Init) error {
	buses := s.Buses
	if len(buses) == 0 {
		buses = System
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	over := make(chan error, len(buses))
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	var unready atomic.Int32
	unready.Store(int32(len(buses)))
	for _, b := range buses {
		l := newLink(ctx, b, init, s.Always)
		l.ready = sync.OnceFunc(func() {
			if unready.Add(-1) == 0 {
				init.Ready()
			}
		})
		all.Go(func() {
			client := msgbus.Client{Address: b.address, Signal: l.signal, Serve: l.serve, Absent: l.ready, Logf: init.Logf}
			if s.Once {
				over <- client.Once(ctx)
				return
			}
			client.Keep(ctx)
		})
	}
	select {
	case err := <-over:
		if errors.Is(err, msgbus.ErrGone) {
			return ended("Disconnected from D-Bus") // Upstart's words
		}
		return ended(err.Error())
	case <-ctx.Done():
		return nil
	}
}

func (b Bus) address() string {
	switch {
	case b.Address != "":
		return b.Address
	case b.Session:
		return msgbus.Session()
	}
	return msgbus.System()
}
