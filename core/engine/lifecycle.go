package engine

import (
	"slices"

	"onset/core/cause"
	"onset/core/control"
	"onset/core/event"
	"onset/core/job"
)

// changeGoal sets where an instance is to go, with e.cause as the reason. A
// resting instance sets out at once, and a respawn that is delayed is called
// off; any other turns round when its present wait ends (UPSTART §2.4).
func (e *Engine) changeGoal(j *Instance, g job.Goal) {
	if j.Goal == g {
		return
	}
	e.setGoal(j, g)
	j.Cause = e.cause
	switch {
	case g == job.GoalStop:
		j.Restarting, j.Delay, j.Delayed = false, 0, false
		e.record(j.class, cause.Stop, j.Name)
		e.loseFacts(j)
		if j.State == job.Running || j.isDelayed() {
			e.advance(j)
		}
	case g == job.GoalStart:
		e.record(j.class, cause.Start, j.Name)
		if j.State == job.Waiting {
			e.advance(j)
		}
	}
}

func (e *Engine) setGoal(j *Instance, g job.Goal) {
	e.logf(Info, "%s goal changed from %s to %s", j, j.Goal, g)
	j.Goal = g
	e.publish(control.GoalChanged(j.object(), g.String()))
}

// advance moves an instance on from its present state.
func (e *Engine) advance(j *Instance) {
	if j.Blocker == 0 {
		e.changeState(j, e.next(j))
	}
}

// next returns the state an instance goes to; a respawn that was put off
// until now becomes a start.
func (e *Engine) next(j *Instance) job.State {
	s := j.Next()
	if j.Goal == job.GoalRespawn {
		e.setGoal(j, job.GoalStart)
	}
	return s
}

// changeState enters a state and every further one that is not waited in. An
// instance that waits for its own event stays: the event will move it.
func (e *Engine) changeState(j *Instance, s job.State) {
	for j.Blocker == 0 {
		e.logf(Info, "%s state changed from %s to %s", j, j.State, s)
		old := j.State
		j.State, j.Due = s, 0
		e.publish(control.StateChanged(j.object(), s.String()))
		if !e.enter(j, old) {
			return
		}
		s = e.next(j)
	}
}

// enter performs the entry action of the state an instance is in now
// (UPSTART §2.3) and reports whether the state is left at once.
func (e *Engine) enter(j *Instance, old job.State) (leave bool) {
	switch j.State {
	case job.Starting:
		e.dropFiles(j.BeginCycle())
		if j.Delayed {
			e.delay(j)
		} else {
			e.emitAndWait(j, "starting", false)
		}
		return false
	case job.SecuritySpawning:
		if e.s.Options.AppArmor {
			e.spawnSlot(j, job.Security)
		}
	case job.PreStarting:
		e.spawnSlot(j, job.PreStart)
	case job.Spawning:
		e.spawnSlot(j, job.Main)
	case job.Spawned:
		return !j.Class.Process.Of(job.Main).Defined()
	case job.PostStarting:
		e.spawnSlot(j, job.PostStart)
	case job.Running:
		e.enterRunning(j, old)
		return false
	case job.PreStopping:
		e.endCheck(j)
		e.spawnSlot(j, job.PreStop)
	case job.Stopping:
		e.enterStopping(j)
		return false
	case job.InKilled:
		return e.killMain(j)
	case job.PostStopping:
		e.spawnSlot(j, job.PostStop)
	case job.Waiting:
		e.enterWaiting(j)
		return false
	}
	if slot, waits := j.State.HookSlot(); waits {
		return j.Proc(slot).Token == 0
	}
	return true
}

func (e *Engine) enterRunning(j *Instance, old job.State) {
	e.cause = j.Cause
	e.planCheck(j)
	e.gainFacts(j)
	if old == job.InPreStop { // the stop was called off
		j.StopEnv, j.Dependents = nil, nil
		j.Sweep, j.Force = false, false
		e.record(j.class, cause.Cancel, j.Name)
		e.finishWaiters(j, true)
		return
	}
	j.RunSince = e.after(0)
	e.record(j.class, cause.Ready, j.Name)
	e.emitJobEvent(j, "started", false)
	if !j.Class.Task {
		e.finishWaiters(j, true)
	}
}

func (e *Engine) enterStopping(j *Instance) {
	j.Restarting = false
	e.endCheck(j)
	e.loseFacts(j)
	e.emitAndWait(j, "stopping", true)
	for _, id := range j.Dependents {
		if d := e.instances[id]; d != nil && d.Goal == job.GoalStop {
			e.blockOn(d, j.Blocker)
		}
	}
	j.Dependents = nil
}

func (e *Engine) enterWaiting(j *Instance) {
	e.cause = j.Cause
	e.record(j.class, cause.Rest, j.Name)
	e.emitJobEvent(j, "stopped", true)
	e.finishWaiters(j, true)
	e.removeInstance(j)
}

// emitJobEvent queues one of the instance's own events.
func (e *Engine) emitJobEvent(j *Instance, name string, ending bool) *event.Event {
	ev := &event.Event{
		Name:     name,
		Env:      j.EventEnv(ending, e.s.Options.Signals),
		Session:  j.Session,
		Provides: j.Class.Provides,
		Cause:    j.Cause,
	}
	e.queue.Add(ev)
	e.logEvent(Debug, "Pending", ev)
	return ev
}

// emitAndWait queues an event and makes the instance wait for its end.
func (e *Engine) emitAndWait(j *Instance, name string, ending bool) {
	ev := e.emitJobEvent(j, name, ending)
	ev.Waiters = append(ev.Waiters, event.Waiter{Instance: j.ID})
	j.Blocker = ev.ID
}

// fail marks the first failure of a cycle and tells everybody who waits.
func (e *Engine) fail(j *Instance, slot job.Slot, status job.Status) {
	if !j.Fail(slot, status) {
		return
	}
	e.record(j.class, cause.Fail, j.Name)
	e.publish(control.Failed(j.object(), int(status)))
	e.finishWaiters(j, false)
}

// finishWaiters tells everybody who waits for the instance how it went
// (UPSTART §2.10).
func (e *Engine) finishWaiters(j *Instance, ok bool) {
	waiters := j.Waiters
	j.Waiters = nil
	for _, w := range waiters {
		if w.Call != nil {
			e.respond(w.Call.ID, w.Call.Conn, outcome(w.Call, ok))
			continue
		}
		if !ok {
			e.queue.Get(w.Event).Failed = true
		}
		e.queue.Unblock(w.Event)
	}
}

func outcome(c *job.Call, ok bool) control.Reply {
	if !ok {
		return control.Reply{Err: control.JobFailed(failTexts[c.Verb])}
	}
	if c.Path != "" {
		return control.Reply{Values: []any{control.ObjectPath(c.Path)}}
	}
	return control.Reply{}
}

var failTexts = [...]control.JobText{
	job.VerbStart:   control.StartFailed,
	job.VerbStop:    control.StopFailed,
	job.VerbRestart: control.RestartFailed,
}

// blockOn makes an event wait for what the instance is doing. Waiting twice
// for the same instance is waiting once; an event that the instance waits for
// itself does not wait for it, as neither would end.
func (e *Engine) blockOn(j *Instance, id event.ID) {
	if id == j.Blocker || slices.ContainsFunc(j.Waiters, func(w job.Waiter) bool { return w.Event == id }) {
		return
	}
	e.queue.Block(id)
	j.Waiters = append(j.Waiters, job.Waiter{Event: id})
}

// newInstance adds an instance to a class; it rests until its goal changes.
func (e *Engine) newInstance(c *Class, name string) *Instance {
	e.s.LastInstance++
	j := &Instance{Instance: job.Instance{
		ID:           e.s.LastInstance,
		Class:        c.Def,
		Session:      c.Session,
		Name:         name,
		StopHeld:     make([]event.ID, len(c.StopOn)),
		FailedSlot:   job.NoSlot,
		Overdue:      job.NoSlot,
		FailedStatus: job.NoStatus,
	}}
	c.Instances = append(c.Instances, j)
	e.adopt(c, j)
	e.logf(Debug, "New instance %s", j)
	e.publish(control.InstanceAdded(j.object()))
	e.logf(Debug, "Registered instance %s", j.object().Path())
	return j
}

// removeInstance forgets an instance that has come to rest; the class may be
// replaced now (UPSTART §1.9).
func (e *Engine) removeInstance(j *Instance) {
	c := j.class
	e.logf(Debug, "Destroyed inactive instance %s", j)
	e.resetHeld(j.StopHeld)
	for slot := range j.Live {
		e.forgetProc(j, job.Slot(slot))
	}
	e.dropFiles(j.Files)
	e.dropFiles(j.StartFiles)
	e.dropFiles(j.Stored)
	for _, token := range j.Remembered() {
		delete(e.left, token)
	}
	delete(e.instances, j.ID)
	e.endGraces(j)
	delete(c.byName, j.Name)
	c.Instances = slices.DeleteFunc(c.Instances, func(o *Instance) bool { return o == j })
	var old, taker *Class
	if len(c.Instances) == 0 {
		old, taker = e.replace(c.key())
	}
	if old != nil { // the last instance went with its class: nothing more is said of it
		e.carryOver(taker, old)
		return
	}
	e.publish(control.InstanceRemoved(j.object()))
}
