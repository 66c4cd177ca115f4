package eventsources

import (
	"context"
	"sync"

	"github.com/godbus/dbus/v5"

	"onset/core/control"
)

// signalHandler hands on what init tells, called by the goroutine that reads a
// connection: jobs that changed to the host, the rest to those who watch.
type signalHandler struct {
	jobs  *jobChanges
	watch *watchers
}

// DeliverSignal implements dbus.SignalHandler.
func (h signalHandler) DeliverSignal(iface, name string, s *dbus.Signal) {
	is := func(id control.SignalID) bool {
		spec := &control.Signals[id]
		return iface == spec.Interface && name == spec.Name
	}
	switch {
	case is(control.SignalJobAdded), is(control.SignalJobRemoved):
		if len(s.Body) > 0 {
			if path, ok := s.Body[0].(dbus.ObjectPath); ok {
				h.jobs.mark(path)
			}
		}
	case is(control.SignalEventEmitted):
		if len(s.Body) >= 2 {
			event, _ := s.Body[0].(string)
			env, _ := s.Body[1].([]string)
			h.watch.tell(Signal{Kind: EventEmitted, Name: event, Env: env})
		}
	case is(control.SignalInstanceAdded):
		h.watch.tell(Signal{Kind: InstanceAdded, Path: string(s.Path)})
	case is(control.SignalInstanceRemoved):
		h.watch.tell(Signal{Kind: InstanceRemoved, Path: string(s.Path)})
	case is(control.SignalRestarted):
		h.watch.tell(Signal{Kind: Restarted})
	}
}

// jobChanges collects the jobs that init tells to have come or gone since they
// were last taken.
type jobChanges struct {
	mu   sync.Mutex
	jobs map[dbus.ObjectPath]bool
	some chan struct{} // capacity 1: jobs is not empty
}

func newJobChanges() *jobChanges {
	return &jobChanges{jobs: map[dbus.ObjectPath]bool{}, some: make(chan struct{}, 1)}
}

func (j *jobChanges) mark(paths ...dbus.ObjectPath) {
	if len(paths) == 0 {
		return
	}
	j.mu.Lock()
	for _, p := range paths {
		j.jobs[p] = true
	}
	j.mu.Unlock()
	select {
	case j.some <- struct{}{}:
	default:
	}
}

// watchers are the functions that signals are told to.
type watchers struct {
	mu   sync.Mutex
	by   map[int]func(Signal)
	last int
}

func (w *watchers) tell(s Signal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.by {
		f(s)
	}
}

func (w *watchers) add(ctx context.Context, f func(Signal)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.by == nil {
		w.by = map[int]func(Signal){}
	}
	w.last++
	id := w.last
	w.by[id] = f
	context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.by, id)
	})
}
