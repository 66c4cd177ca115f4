package sim_test

import (
	"fmt"
	"slices"
	"time"

	"onset/core/control"
	"onset/core/engine"
	"onset/core/event"
	"onset/core/fact"
	"onset/core/job"
	"onset/platform/sim"
)

// check looks at the invariants that hold whenever the world rests.
func (w *walker) check() {
	if len(w.world.Violations) > 0 {
		w.fail("violation: %s", w.world.Violations[0])
	}
	if w.exhausted() || w.world.Ended != nil {
		return
	}
	tokens := map[uint64]bool{}
	for _, c := range w.manager.Engine.State().Classes {
		for _, j := range c.Instances {
			for slot, p := range j.Live {
				if p.Token == 0 {
					continue
				}
				tokens[p.Token] = true
				if p.PID == 0 {
					continue
				}
				if p := w.world.Find(p.PID); p == nil || !p.Alive() {
					w.fail("ghost: %s has %s process %d that does not live", j, job.Slot(slot), p.PID)
				}
			}
			for _, token := range j.Remembered() {
				tokens[token] = true
			}
			w.checkReadiness(j)
		}
	}
	for _, p := range w.world.Processes() {
		if w.strict[p.Token] && !tokens[p.Token] {
			w.fail("survivor: process %d of %s outlived the job", p.PID, p.Spec.Job)
		}
		if first := w.world.First(p.Token); first == p && !tokens[p.Token] && !w.world.Released(p.Token) {
			w.fail("lost: process %d of %s is known to nobody", p.PID, p.Spec.Job)
		}
	}
}

// checkReadiness demands that a main that tells of its readiness by forking
// is ready in bounded time, or has failed.
func (w *walker) checkReadiness(j *engine.Instance) {
	if j.State != job.Spawned || j.TraceState != job.TraceNormal || j.KillDue != 0 || j.Overdue != job.NoSlot {
		return
	}
	due := j.Settle
	if j.Class.Expect.Timeout > 0 {
		due = j.Due
	}
	now := w.world.Now().Mono
	if at, armed := w.manager.Engine.Deadline(); !armed || due < now || due > now+10*time.Second || at > due {
		w.fail("spawned: %s waits for readiness at %v until %v", j, now, due)
	}
}

// observe notes which spawns are to leave nothing.
func (w *walker) observe(e engine.Effect, _ []engine.Msg) {
	spawn, ok := e.(engine.Spawn)
	if !ok || w.world.NoGroups {
		return
	}
	for _, c := range w.manager.Engine.State().Classes {
		for _, j := range c.Instances {
			if j.Class.KillMode == job.KillTree && j.Proc(spawn.Spec.Slot).Token == spawn.Token {
				w.strict[spawn.Token] = true
			}
		}
	}
}

// calm ends all trouble, stops every job and takes every class away. Then
// nothing may be left.
func (w *walker) calm() {
	w.tell("calm")
	w.manager.CrashIn = -1
	w.world.Faults = sim.Faults{}
	w.world.Tell(engine.Reload) // a directory that is gone is noticed only now
	var before event.ID
	for round := range 30 {
		if round == 20 {
			before = w.manager.Engine.State().LastEvent
		}
		for _, path := range w.world.Files() {
			w.world.RemoveFile(path)
		}
		w.manager.Pass(0)
		w.stopAll()
		w.manager.Pass(20 * time.Second)
		w.endHung()
		w.manager.Pass(20 * time.Second)
		if w.check(); w.failure != "" || w.exhausted() || w.world.Ended != nil {
			return
		}
		if w.left() == "" {
			w.part()
			return
		}
	}
	if w.manager.Engine.State().LastEvent != before {
		w.endless = true // "start on stopping" the job itself does it
		return
	}
	w.fail("no rest: %s", w.left())
}

// part takes the clients away, and with them their facts. Descriptors may be
// left only with events that wait for ever.
func (w *walker) part() {
	for _, conn := range w.conns {
		w.world.Hangup(conn)
	}
	w.manager.Pass(20 * time.Second)
	s := w.manager.Engine.State()
	stuck := len(s.Events)
	for _, c := range s.Classes {
		stuck += len(c.Instances)
	}
	if files := w.world.OpenFiles(); len(files) > 0 && stuck == 0 {
		w.fail("descriptors %v are open and everybody is gone", files)
	}
	w.check()
}

// stopAll asks every instance that is meant to run to stop.
func (w *walker) stopAll() {
	conn := w.world.Connect() // not used again
	for _, c := range w.manager.Engine.State().Classes {
		for _, j := range c.Instances {
			if j.Goal != job.GoalStop {
				target := control.InstanceObject(j.Session, j.Class.Name, j.Name)
				w.world.CallAs(control.Caller{Conn: conn, UID: w.manager.Options.UID, Session: j.Session}, control.Call{Method: control.InstanceStop, Target: target})
			}
		}
	}
}

// endHung ends processes that init waits for and must not end: hooks, and
// mains that are not ready.
func (w *walker) endHung() {
	spawned := map[int]bool{}
	for _, c := range w.manager.Engine.State().Classes {
		for _, j := range c.Instances {
			spawned[j.Proc(job.Main).PID] = j.State == job.Spawned
		}
	}
	for _, p := range w.world.Processes() {
		if p.Spec.Slot != job.Main || spawned[p.PID] {
			w.world.End(p.PID, job.Exit(0))
		}
	}
}

// left says what has not come to rest, or nothing. What waits for the other
// half of an "and" may wait for ever (DECISIONS 27), and so may what waits
// for that (see heldEvents).
func (w *walker) left() string {
	s := w.manager.Engine.State()
	held := heldEvents(s)
	stuck := 0
	for _, ev := range s.Events {
		if !held[ev.ID] {
			return fmt.Sprintf("event %s %v has %d blockers", ev.Name, ev.Env, ev.Blockers)
		}
	}
	for _, c := range s.Classes {
		for _, j := range c.Instances {
			if !held[j.Blocker] {
				return fmt.Sprintf("%s is %s/%s", j, j.Goal, j.State)
			}
			stuck++
		}
		if len(c.Instances) == 0 {
			return fmt.Sprintf("class %s is still there", c.Def.Name)
		}
	}
	for _, f := range s.Facts {
		if f.Owner.Kind == fact.Job && stuck == 0 {
			return fmt.Sprintf("fact %s %v of a job holds", f.Name, f.Env)
		}
	}
	for _, p := range w.world.Unanswered() {
		if p.Call.Method != control.Restart && stuck == 0 {
			return fmt.Sprintf("call %s %+v is not answered", p.Call.Method.Spec().Name, p.Call)
		}
	}
	ofFact := func(file int) bool {
		return slices.ContainsFunc(s.Facts, func(f *fact.Fact) bool { return f.File == file })
	}
	if files := slices.DeleteFunc(w.world.OpenFiles(), ofFact); len(files) > 0 && stuck+len(s.Events) == 0 {
		return fmt.Sprintf("descriptors %v are open", files)
	}
	return ""
}

// heldEvents returns the events that a half match holds, those blocked by
// instances that wait for such an event, and those that wait for each other:
// jobs can be written so that they do ("stop on starting" the job itself).
func heldEvents(s *engine.State) map[event.ID]bool {
	half, waits := map[event.ID]bool{}, map[event.ID][]event.ID{}
	for _, c := range s.Classes {
		for _, id := range c.StartHeld {
			half[id] = true
		}
		for _, j := range c.Instances {
			for _, id := range j.StopHeld {
				half[id] = true
			}
			for _, waiter := range j.Waiters {
				waits[waiter.Event] = append(waits[waiter.Event], j.Blocker)
			}
		}
	}
	held := map[event.ID]bool{}
	for _, ev := range s.Events {
		held[ev.ID] = true
	}
	for removed := true; removed; {
		removed = false
		for _, ev := range s.Events {
			reason := half[ev.ID] || slices.ContainsFunc(waits[ev.ID], func(id event.ID) bool { return held[id] })
			if held[ev.ID] && !reason {
				delete(held, ev.ID)
				removed = true
			}
		}
	}
	return held
}
