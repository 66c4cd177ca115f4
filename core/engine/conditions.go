package engine

import (
	"strings"

	"onset/core/cause"
	"onset/core/env"
	"onset/core/event"
	"onset/core/expr"
	"onset/core/job"
)

// offer shows an event to the operands that are FALSE. Those that match turn
// TRUE, remember the event and block it (UPSTART §1.5.2).
func (e *Engine) offer(t expr.Tree, held []event.ID, ev *event.Event, expand expr.Expand) (matched bool) {
	s := expr.Subject{Name: ev.Name, Env: ev.Env, Jobs: ev.Provides}
	for i := range t {
		if t[i].Op == expr.Match && held[i] == 0 && t[i].Matches(&s, expand) {
			held[i] = ev.ID
			e.queue.Block(ev.ID)
			matched = true
		}
	}
	return matched
}

// resetHeld turns every operand FALSE and lets the events go.
func (e *Engine) resetHeld(held []event.ID) {
	for i, id := range held {
		if id != 0 {
			held[i] = 0
			e.queue.Unblock(id)
		}
	}
}

// truth reports for each node of t whether it is TRUE.
func truth(t expr.Tree, held []event.ID) []bool {
	v := make([]bool, len(t))
	for i := range t {
		switch t[i].Op {
		case expr.And:
			v[i] = v[t.Left(i)] && v[i-1]
		case expr.Or:
			v[i] = v[t.Left(i)] || v[i-1]
		default:
			v[i] = held[i] != 0
		}
	}
	return v
}

// contributors returns the events that made a TRUE tree true, in the order of
// its operands, each once.
func contributors(t expr.Tree, held []event.ID, v []bool) []event.ID {
	var ids []event.ID
	var walk func(i int)
	walk = func(i int) {
		if !v[i] {
			return
		}
		if t[i].Op != expr.Match {
			walk(t.Left(i))
			walk(i - 1)
			return
		}
		for _, id := range ids {
			if id == held[i] {
				return
			}
		}
		ids = append(ids, held[i])
	}
	walk(len(t) - 1)
	return ids
}

// satisfied returns the events behind a TRUE tree; ok is false otherwise.
func (e *Engine) satisfied(t expr.Tree, held []event.ID) (events []*event.Event, ok bool) {
	v := truth(t, held)
	if !v[len(t)-1] {
		return nil, false
	}
	for _, id := range contributors(t, held, v) {
		events = append(events, e.queue.Get(id))
	}
	return events, true
}

// offerStop offers an event to the stop on of an instance and stops it when
// that is satisfied.
func (e *Engine) offerStop(j *Instance, ev *event.Event) {
	c := j.class
	expand := func(p string) (string, error) { return env.Expand(p, j.Env.Lookup) }
	if !e.offer(c.StopOn, j.StopHeld, ev, expand) {
		return
	}
	events, ok := e.satisfied(c.StopOn, j.StopHeld)
	if !ok {
		return
	}
	e.eventCause(events)
	if j.Goal == job.GoalStop {
		e.record(c, cause.Skip, j.Name)
	} else {
		j.StopEnv = eventVars(c.Def, events, "UPSTART_STOP_EVENTS")
		e.supersede(j, events)
		e.changeGoal(j, job.GoalStop)
	}
	e.resetHeld(j.StopHeld)
}

// offerStart offers an event to the start on of a class and starts an
// instance when that is satisfied.
func (e *Engine) offerStart(c *Class, ev *event.Event) {
	expand := func(p string) (string, error) {
		return env.Expand(p, c.Def.EnvTable(nil, e.s.Options.Env).Lookup)
	}
	if !e.offer(c.StartOn, c.StartHeld, ev, expand) {
		return
	}
	if events, ok := e.satisfied(c.StartOn, c.StartHeld); ok {
		e.eventCause(events)
		e.startByEvents(c, events)
		e.resetHeld(c.StartHeld)
	}
}

func (e *Engine) startByEvents(c *Class, events []*event.Event) {
	vars := e.classEnv(c).Merge(eventVars(c.Def, events, "UPSTART_EVENTS"))
	name, err := env.Expand(c.Def.Instance, vars.Lookup)
	if err != nil {
		e.logf(Warn, "Failed to obtain %s instance: %s", c.Def.Name, err)
		e.record(c, cause.Refuse, "")
		return
	}
	j := c.instance(name)
	vars, allowed := e.mayRun(c, name, vars)
	if !allowed || (j != nil && j.Goal != job.GoalStop) {
		e.record(c, cause.Skip, name)
		return
	}
	if j == nil {
		j = e.newInstance(c, name)
	}
	e.prepare(j, vars, eventFiles(events))
	e.supersede(j, events)
	e.changeGoal(j, job.GoalStart)
}

// supersede lets the old waiters of an instance go and makes events wait for
// it instead.
func (e *Engine) supersede(j *Instance, events []*event.Event) {
	e.finishWaiters(j, true)
	for _, ev := range events {
		e.blockOn(j, ev.ID)
	}
}

// classEnv is the environment of a new instance before what started it
// (UPSTART §1.6.3 layers 1 and 2).
func (e *Engine) classEnv(c *Class) env.Table { return c.Def.EnvTable(e.s.Env, e.s.Options.Env) }

// eventVars is what events hand to a job: their variables, restricted to
// those the class imports if it imports any, and the list of their names. The
// PATH of a socket (DECISIONS 9) is not where programs are looked for.
func eventVars(c *job.Class, events []*event.Event, list string) env.Table {
	var t env.Table
	names := make([]string, len(events))
	for i, ev := range events {
		names[i] = ev.Name
		for _, v := range ev.Env {
			if key := env.Key(v); c.Imports(key) && (key != "PATH" || ev.Name != "socket") {
				t = t.Set(v, true)
			}
		}
	}
	return t.Set(list+"="+strings.Join(names, " "), true)
}

// eventCause makes the events of a condition the cause of what follows. The
// last of them is the one that tipped it.
func (e *Engine) eventCause(events []*event.Event) {
	last := events[0]
	names := make([]string, len(events))
	for i, ev := range events {
		names[i] = strings.Join(append([]string{ev.Name}, ev.Env...), " ")
		if ev.ID > last.ID {
			last = ev
		}
	}
	e.because(cause.Event, last.Cause, "event "+strings.Join(names, ", "))
}
