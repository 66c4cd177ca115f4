// Package sourcetest has what tests of event sources need: a Recorder in the
// place of init for a single source, an Init that speaks D-Bus for hosts, a
// Session of the real init for both, and a message Bus.
package sourcetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"onset/eventsources"
)

// Patience is how long a test waits for what takes milliseconds, or a busy
// machine much longer: it only keeps tests from hanging.
const Patience = 3 * time.Minute

// Recorder is an eventsources.Init that writes down what it is told, a line a
// thing: "emit NAME KEY=VALUE…", "wait …" for events that are waited for,
// "fact …", "no fact …", and "log …". What comes with a file ends in "+file". A
// fact that holds already with the same file, or is retracted in vain, makes no
// line.
type Recorder struct {
	mu         sync.Mutex
	lines      []string
	facts      []eventsources.Fact // that hold, in order
	conditions []eventsources.Condition
	changed    chan struct{}
	watchers   []func(eventsources.Signal)
}

// withFile ends the text of what came with a file.
const withFile = " +file"

func words(name string, env []string, file bool) string {
	text := strings.Join(append([]string{name}, env...), " ")
	if file {
		text += withFile
	}
	return text
}

func eventText(e eventsources.Event) string { return words(e.Name, e.Env, e.File != nil) }

func factText(f eventsources.Fact) string { return words(f.Name, f.Env, f.File != nil) }

func (r *Recorder) add(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
}

// Emit implements eventsources.Init.
func (r *Recorder) Emit(ctx context.Context, e eventsources.Event) error {
	r.add("emit " + eventText(e))
	return ctx.Err()
}

// EmitWait implements eventsources.Init.
func (r *Recorder) EmitWait(ctx context.Context, e eventsources.Event) error {
	r.add("wait " + eventText(e))
	return ctx.Err()
}

// EmitThen implements eventsources.Init: all is over at once.
func (r *Recorder) EmitThen(e eventsources.Event, over func(error)) error {
	r.add("wait " + eventText(e))
	go over(nil)
	return nil
}

// index returns where a fact is among those that hold, whatever its file; -1
// if it is not.
func (r *Recorder) index(f eventsources.Fact) int {
	return slices.IndexFunc(r.facts, func(o eventsources.Fact) bool { return o.Name == f.Name && slices.Equal(o.Env, f.Env) })
}

// Assert implements eventsources.Init.
func (r *Recorder) Assert(f eventsources.Fact) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch i := r.index(f); {
	case i < 0:
		r.facts = append(r.facts, f)
	case r.facts[i].File != f.File:
		r.facts[i] = f
	default:
		return nil
	}
	r.lines = append(r.lines, "fact "+factText(f))
	return nil
}

// Retract implements eventsources.Init.
func (r *Recorder) Retract(f eventsources.Fact) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := r.index(f); i >= 0 {
		r.lines = append(r.lines, "no fact "+factText(r.facts[i]))
		r.facts = slices.Delete(r.facts, i, i+1)
	}
	return nil
}

// Hold implements eventsources.Init.
func (r *Recorder) Hold(facts []eventsources.Fact) error {
	keep := &Recorder{facts: facts}
	for _, f := range facts {
		r.Assert(f)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.facts = slices.DeleteFunc(r.facts, func(f eventsources.Fact) bool {
		gone := keep.index(f) < 0
		if gone {
			r.lines = append(r.lines, "no fact "+factText(f))
		}
		return gone
	})
	return nil
}

// Ready implements eventsources.Init.
func (r *Recorder) Ready() {}

// SetConditions makes these the conditions that concern the source.
func (r *Recorder) SetConditions(list []eventsources.Condition) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed != nil {
		close(r.changed)
	}
	r.conditions, r.changed = list, make(chan struct{})
}

// Conditions implements eventsources.Init.
func (r *Recorder) Conditions() ([]eventsources.Condition, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	return r.conditions, r.changed
}

// Watch implements eventsources.Init; it does not look at the context.
func (r *Recorder) Watch(_ context.Context, f func(eventsources.Signal)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watchers = append(r.watchers, f)
}

// Signal tells those who watch what init would tell.
func (r *Recorder) Signal(s eventsources.Signal) {
	r.mu.Lock()
	watchers := slices.Clone(r.watchers)
	r.mu.Unlock()
	for _, f := range watchers {
		f(s)
	}
}

// Logf implements eventsources.Init.
func (r *Recorder) Logf(format string, args ...any) { r.add("log " + fmt.Sprintf(format, args...)) }

// Take returns the lines since it was last called.
func (r *Recorder) Take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines := r.lines
	r.lines = nil
	return lines
}

// Facts returns the facts that hold, in the order they became true.
func (r *Recorder) Facts() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []string
	for _, f := range r.facts {
		list = append(list, factText(f))
	}
	return list
}
