package engine

import (
	"strings"

	"onset/core/cause"
	"onset/core/control"
	"onset/core/env"
	"onset/core/event"
	"onset/core/job"
)

// emit queues an event of init itself or of a caller.
func (e *Engine) emit(name string, vars env.Table, session string) *event.Event {
	ev := &event.Event{Name: name, Env: vars, Session: session, Cause: e.cause}
	e.queue.Add(ev)
	e.logEvent(Debug, "Pending", ev)
	return ev
}

// logEvent is logf for what every event goes through: it costs nothing when
// nobody wants to know.
func (e *Engine) logEvent(p Priority, stage string, ev *event.Event) {
	if e.logs(p) {
		e.do(Log{p, stage + " " + ev.Name + " event"})
	}
}

// visit moves an event as far as it goes now (UPSTART §3.1).
func (e *Engine) visit(ev *event.Event) {
	if ev.Progress == event.Pending {
		e.logEvent(Info, "Handling", ev)
		ev.Progress = event.Handling
		e.handle(ev)
	}
	if ev.Blockers == 0 {
		e.finish(ev)
	}
}

// finish tells who waits for an event and destroys it.
func (e *Engine) finish(ev *event.Event) {
	e.logEvent(Debug, "Finished", ev)
	ev.Progress = event.Finished
	for _, w := range ev.Waiters {
		e.eventDone(ev, w)
	}
	e.dropFile(ev.File)
	if ev.Failed && !strings.HasSuffix(ev.Name, "/failed") {
		e.because(cause.Event, ev.Cause, "event "+ev.Name+" failed")
		e.emit(ev.Name+"/failed", ev.Env, ev.Session)
	}
	e.publish(control.EventEmitted(ev.Name, ev.Env))
	e.queue.Remove(ev)
	e.quiesceDone()
}

func (e *Engine) eventDone(ev *event.Event, w event.Waiter) {
	if w.Instance != 0 {
		j := e.instances[w.Instance]
		j.Blocker = 0
		e.cause = j.Cause
		e.advance(j)
		return
	}
	var r control.Reply
	if ev.Failed {
		r.Err = control.EventFailed()
	}
	e.respond(w.Call, w.Conn, r)
}

// handle offers an event to every class that names it: first to the stop on
// of its instances, then to its start on.
func (e *Engine) handle(ev *event.Event) {
	for _, c := range e.starts.candidates(ev) {
		if ev.Session != "" && ev.Session != c.Session {
			continue
		}
		if c.StopOn != nil {
			for _, j := range append([]*Instance(nil), c.Instances...) {
				e.offerStop(j, ev)
			}
		}
		// The class may have been replaced when its last instance went.
		if c = e.classes[c.Session][c.Def.Name]; c != nil && c.StartOn != nil {
			e.offerStart(c, ev)
		}
	}
}

// quiesceDone ends a session that has nothing left to stop.
func (e *Engine) quiesceDone() {
	if e.s.Quiesce != nil && len(e.instances) == 0 {
		e.leave()
	}
}

// stopInstance asks an instance to stop on behalf of what e.cause says.
func (e *Engine) stopInstance(j *Instance) {
	if j.Goal == job.GoalStop {
		return
	}
	e.finishWaiters(j, true)
	e.changeGoal(j, job.GoalStop)
}
