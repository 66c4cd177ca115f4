package snapshot

import (
	"errors"
	"fmt"

	"onset/core/engine"
	"onset/core/event"
	"onset/core/expr"
	"onset/core/fact"
	"onset/core/job"
)

// checker looks whether what a state refers to is there, so that an engine
// can be made of it.
type checker struct {
	s          *engine.State
	events     map[event.ID]*event.Event
	instances  map[job.ID]*engine.Instance
	registered map[*engine.Class]bool
	blocks     map[event.ID]int // how often an event is held or waits
	err        error
}

var errDangling = errors.New("it refers to something that is not in it")

func check(s *engine.State) error {
	k := checker{s: s, events: make(map[event.ID]*event.Event), instances: make(map[job.ID]*engine.Instance),
		registered: make(map[*engine.Class]bool), blocks: make(map[event.ID]int)}
	k.collect()
	for _, c := range s.Classes {
		k.class(c)
	}
	for _, src := range s.Sources {
		for _, f := range src.Confs { // order-free: every fault is the same
			if f.Class != nil && !k.registered[f.Class] {
				k.class(f.Class)
				k.require(len(f.Class.Instances) == 0)
			}
		}
	}
	for _, ev := range s.Events {
		k.event(ev)
	}
	for _, f := range s.Facts {
		k.require(f.Owner.Kind != fact.Job || k.instances[f.Owner.ID] != nil)
	}
	return k.err
}

func (k *checker) require(ok bool) {
	if !ok && k.err == nil {
		k.err = errDangling
	}
}

// collect numbers everything that is referred to.
func (k *checker) collect() {
	for _, ev := range k.s.Events {
		k.require(k.events[ev.ID] == nil && ev.ID != 0 && ev.ID <= k.s.LastEvent)
		k.events[ev.ID] = ev
	}
	names := make(map[[2]string]bool)
	for _, c := range k.s.Classes {
		name := [2]string{c.Session, c.Def.Name}
		k.require(!names[name])
		names[name], k.registered[c] = true, true
		for _, j := range c.Instances {
			k.require(k.instances[j.ID] == nil && j.ID != 0 && j.ID <= k.s.LastInstance)
			k.instances[j.ID] = j
		}
	}
}

func (k *checker) class(c *engine.Class) {
	k.tree(c.StartOn)
	k.tree(c.StopOn)
	k.held(c.StartOn, c.StartHeld)
	k.require(!k.registered[c] || c.History != nil)
	names := make(map[string]bool)
	for _, j := range c.Instances {
		k.require(!names[j.Name])
		names[j.Name] = true
		k.instance(c, j)
	}
}

// tree checks that a condition is one expression of events.
func (k *checker) tree(t expr.Tree) {
	if !isExpression(t) && k.err == nil {
		k.err = errors.New("a condition in it is no expression")
	}
}

func isExpression(t expr.Tree) bool {
	values, whole := 0, true
	for _, n := range t {
		if values++; n.Op != expr.Match {
			values -= 2
		}
		whole = whole && values > 0 && n.Op != expr.Not
	}
	return t == nil || whole && values == 1
}

func (k *checker) held(t expr.Tree, held []event.ID) {
	k.require(len(held) == len(t))
	for _, id := range held {
		if id != 0 {
			k.block(id)
		}
	}
}

func (k *checker) block(id event.ID) {
	k.require(k.events[id] != nil)
	k.blocks[id]++
}

func (k *checker) instance(c *engine.Class, j *engine.Instance) {
	k.held(c.StopOn, j.StopHeld)
	k.require(j.Blocker == 0 || k.events[j.Blocker] != nil)
	for _, w := range j.Waiters {
		k.require((w.Event == 0) != (w.Call == nil))
		if w.Call == nil {
			k.block(w.Event)
		}
	}
	if j.Goal == job.GoalRespawn && j.State != job.InPostStart && j.State != job.InPreStop && k.err == nil {
		k.err = fmt.Errorf("%s is to respawn in state %s", j, j.State)
	}
}

func (k *checker) event(ev *event.Event) {
	k.require(ev.Blockers >= k.blocks[ev.ID])
	for _, w := range ev.Waiters {
		j := k.instances[w.Instance]
		k.require(w.Instance == 0 || j != nil && j.Blocker == ev.ID)
	}
}
