package eventsources

import (
	"context"
	"sync"

	"onset/core/control"
	"onset/platform/wire"
)

// signalled hands on what init tells: jobs that changed to the host, the rest to
// those who watch. It is called by the goroutine that reads.
func (r *hosting) signalled(m *wire.Message, jobs *jobChanges) {
	is := func(id control.SignalID) bool {
		spec := &control.Signals[id]
		return m.Member == spec.Name && m.Interface == spec.Interface
	}
	switch {
	case is(control.SignalJobAdded), is(control.SignalJobRemoved):
		if body, err := m.Body(); err == nil && len(body) > 0 {
			if path, ok := body[0].(control.ObjectPath); ok {
				jobs.mark(path)
				if is(control.SignalJobRemoved) {
					r.watch.tell(Signal{Kind: JobRemoved, Path: string(path)})
				}
			}
		}
	case is(control.SignalEventEmitted):
		if !r.watch.any() {
			return
		}
		if body, err := m.Body(); err == nil && len(body) >= 2 {
			event, _ := body[0].(string)
			env, _ := body[1].([]string)
			r.watch.tell(Signal{Kind: EventEmitted, Name: event, Env: env})
		}
	case is(control.SignalInstanceAdded):
		r.watch.tell(Signal{Kind: InstanceAdded, Path: string(m.Path)})
	case is(control.SignalInstanceRemoved):
		r.watch.tell(Signal{Kind: InstanceRemoved, Path: string(m.Path)})
	case is(control.SignalRestarted):
		r.watch.tell(Signal{Kind: Restarted})
	}
}

// jobChanges collects the jobs that init tells to have come or gone since they
// were last taken.
type jobChanges struct {
	mu   sync.Mutex
	jobs map[control.ObjectPath]bool
	some chan struct{} // capacity 1: jobs is not empty
}

func newJobChanges() *jobChanges {
	return &jobChanges{jobs: map[control.ObjectPath]bool{}, some: make(chan struct{}, 1)}
}

func (j *jobChanges) mark(paths ...control.ObjectPath) {
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

func (w *watchers) any() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.by) > 0
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
