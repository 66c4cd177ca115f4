package loop

import (
	"slices"

	"onset/core/engine"
)

// Pending is an effect that is to be carried out after a crash. Begun says
// that it may have been before.
type Pending struct {
	Effect engine.Effect
	Begun  bool

	k int // number in the last step; effects that were not begun only
}

// Backlog follows a replayed journal and knows which effects were left
// undone, or done without their result having been noted.
//
// Of the last step's effects those behind the last begun one are undone, and
// the last begun one may be either; of all steps those are missed whose
// result is not among the later inputs.
type Backlog struct {
	open  []engine.Effect // have results that are not noted, next one first
	step  []engine.Effect // of the last step
	begun int             // how many of step were begun
}

// Stepped notes a replayed input and the effects it had.
func (b *Backlog) Stepped(msg engine.Msg, effects []engine.Effect) {
	b.settle()
	if i := slices.IndexFunc(b.open, func(e engine.Effect) bool { return Answers(e, msg) }); i >= 0 {
		b.open = slices.Delete(b.open, i, i+1)
	}
	b.step = slices.Clone(effects)
	b.begun = 0
}

// Begun notes that the k-th effect of the last step was begun.
func (b *Backlog) Begun(k int) { b.begun = k + 1 }

// settle turns the last step, all of whose effects were carried out, into
// expected results.
func (b *Backlog) settle() {
	var open []engine.Effect
	for _, e := range b.step {
		if HasResult(e) {
			open = append(open, e)
		}
	}
	b.open = append(open, b.open...)
	b.step = nil
}

// Left returns what is to be done, in the order in which the results are due.
func (b *Backlog) Left() []Pending {
	var left []Pending
	for k, e := range b.step {
		switch {
		case k >= b.begun:
			left = append(left, Pending{Effect: e, k: k})
		case k == b.begun-1 || HasResult(e):
			left = append(left, Pending{Effect: e, Begun: true})
		}
	}
	for _, e := range b.open {
		left = append(left, Pending{Effect: e, Begun: true})
	}
	return left
}

// HasResult reports whether the platform answers the effect with exactly one
// message, from Do or, if that takes long, later from Wait.
func HasResult(e engine.Effect) bool {
	switch e := e.(type) {
	case engine.Spawn, engine.LoadConfig, engine.LoadSource, engine.FlushLogs:
		return true
	case engine.ConnectBus:
		return e.Call != 0
	}
	return false
}

// Answers reports whether msg is the result of the effect.
func Answers(e engine.Effect, msg engine.Msg) bool {
	switch m := msg.(type) {
	case engine.Spawned:
		e, ok := e.(engine.Spawn)
		return ok && e.Token == m.Token
	case engine.SpawnFailed:
		e, ok := e.(engine.Spawn)
		return ok && e.Token == m.Token
	case engine.Loaded:
		_, ok := e.(engine.LoadConfig)
		return ok
	case engine.SourceLoaded:
		e, ok := e.(engine.LoadSource)
		return ok && e.Session == m.Source.Session
	case engine.Done:
		switch e := e.(type) {
		case engine.ConnectBus:
			return e.Call == m.Call
		case engine.FlushLogs:
			return e.Call == m.Call
		}
	}
	return false
}
