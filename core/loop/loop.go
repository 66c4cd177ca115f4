// Package loop drives an engine on a platform.
//
// One turn: take the oldest message of the queue, stamp it with the moment,
// append it to the journal, step the engine, carry out the effects in order.
// Results of effects go to the front of the queue in the order of their
// effects, so a spawn is answered before anything else is heard. When the
// queue is empty the engine gets a Tick if its deadline has passed; then the
// platform waits. Timers belong to the engine: the loop knows the deadline
// and keeps none of its own, so a snapshot of the engine holds them all.
//
// The loop, its engine and its platform share one goroutine and no lock. A
// message from another goroutine reaches the loop through the platform's Wait.
package loop

import (
	"time"

	"onset/core/cause"
	"onset/core/control"
	"onset/core/engine"
)

// Engine decides; see package engine.
type Engine interface {
	Step(engine.Input) []engine.Effect
	Deadline() (mono time.Duration, ok bool)
}

// Platform is the world an engine acts on.
type Platform interface {
	// Now returns the current moment. Mono never goes back.
	Now() cause.Clock

	// Do carries out one effect and returns its result, if it has one (see
	// HasResult) and has it already. DumpState reaches it as a Respond.
	Do(engine.Effect) []engine.Msg

	// Redo carries out an effect that a manager who died may have carried
	// out before: the process of a Spawn whose token exists already is
	// returned as Spawned; a Publish is left out; all else is done again, a
	// Respond too where clients drop the second answer to a call.
	Redo(engine.Effect) []engine.Msg

	// Wait blocks until something happens or, if ok, until deadline, and
	// returns what happened; nothing is a fair answer. The order is that
	// of UPSTART §8.3: calls and files, then confirmed executions, then
	// ends, stops and forks of processes. So the execution of a process is
	// always told before its end.
	//
	// What Wait returned counts as taken when Wait is called again: by
	// then the journal has it. A platform takes it from the kernel only
	// then where it can (waitid with WNOWAIT), so that a crash in between
	// loses nothing; the end of a process may be told twice.
	Wait(deadline time.Duration, ok bool) []engine.Msg
}

// Journal keeps what is needed to replay the engine after a crash.
type Journal interface {
	// Append notes an input that is about to be stepped.
	Append(engine.Input)
	// Begin notes that the k-th effect of that step, counted from 0, is
	// about to be carried out, and so that those before it have been; the
	// number of effects stands for their end. So every step has a note, and
	// an input without one was not stepped to its end.
	Begin(k int)
}

// Loop holds a queue of messages.
type Loop struct {
	Engine   Engine
	Platform Platform
	Journal  Journal       // may be nil
	Dump     func() string // the engine's state as JSON, for DumpState

	queue queue
}

// Push adds messages to the end of the queue.
func (l *Loop) Push(msgs ...engine.Msg) { l.queue.pushBack(msgs) }

// Run drives the engine until it exits or re-executes, and returns that
// effect. After a re-exec that failed, Run may be called again.
func (l *Loop) Run() engine.Effect {
	for {
		if end := l.Settle(); end != nil {
			return end
		}
		l.Push(l.Platform.Wait(l.Engine.Deadline())...)
	}
}

// Settle steps the engine until the queue is empty, with one Tick at most, so
// that the platform is heard even when the engine has always more to do. It
// returns early, with the effect, after a step that ends the run.
func (l *Loop) Settle() engine.Effect {
	for ticked := false; ; {
		now := l.Platform.Now()
		var msg engine.Msg = engine.Tick{}
		if !l.queue.empty() {
			msg = l.queue.take()
		} else if at, ok := l.Engine.Deadline(); ticked || !ok || now.Mono < at {
			return nil
		} else {
			ticked = true
		}
		in := engine.Input{Clock: now, Msg: msg}
		if l.Journal != nil {
			l.Journal.Append(in)
		}
		if end := l.perform(l.Engine.Step(in)); end != nil {
			return end
		}
	}
}

// perform carries out the effects of one step. All of them are, also those
// behind one that ends the run.
func (l *Loop) perform(effects []engine.Effect) (end engine.Effect) {
	var results []engine.Msg
	for k, e := range effects {
		l.begin(k)
		results = append(results, l.Platform.Do(l.concrete(e))...)
		end = ends(e, end)
	}
	l.begin(len(effects))
	l.queue.pushFront(results)
	return end
}

func (l *Loop) begin(k int) {
	if l.Journal != nil {
		l.Journal.Begin(k)
	}
}

// Resume carries out what a manager that died left undone, as Backlog.Left
// tells it. It comes before the first Run or Settle of a restored engine.
func (l *Loop) Resume(left []Pending) (end engine.Effect) {
	var results []engine.Msg
	for _, p := range left {
		if p.Begun {
			results = append(results, l.Platform.Redo(l.concrete(p.Effect))...)
		} else {
			l.begin(p.k)
			results = append(results, l.Platform.Do(l.concrete(p.Effect))...)
		}
		end = ends(p.Effect, end)
	}
	l.queue.pushFront(results)
	return end
}

// concrete turns an effect on the engine itself into one on the world.
func (l *Loop) concrete(e engine.Effect) engine.Effect {
	if e, ok := e.(engine.DumpState); ok {
		return engine.Respond{Call: e.Call, Conn: e.Conn, Reply: control.Reply{Values: []any{l.Dump()}}}
	}
	return e
}

func ends(e, before engine.Effect) engine.Effect {
	switch e.(type) {
	case engine.Exit, engine.Reexec:
		return e
	}
	return before
}
