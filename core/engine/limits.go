package engine

import (
	"fmt"
	"time"

	"onset/core/cause"
	"onset/core/job"
)

// after returns the moment that far from now; it is never 0, which is none.
func (e *Engine) after(d time.Duration) time.Duration { return max(1, e.now()+d) }

func (e *Engine) setDue(j *Instance, d time.Duration) {
	j.Due = e.after(d)
	e.arm(timer{due: j.Due, kind: limitTimer, id: j.ID})
}

// delay lets a respawn wait in starting, before its event (EXTENSIONS §6).
func (e *Engine) delay(j *Instance) {
	j.Delayed = false
	e.logf(Info, "%s respawning in %s", j, j.Delay)
	e.setDue(j, j.Delay)
}

// isDelayed reports whether a respawn waits for its time.
func (j *Instance) isDelayed() bool { return j.State == job.Starting && j.Due != 0 }

// bound sets the time limit on a process that has just come to be and that
// the state waits for.
func (e *Engine) bound(j *Instance, slot job.Slot) {
	if waited, ok := waitedFor(j.State); !ok || waited != slot {
		return
	}
	if _, limit := j.Class.TimeLimit(slot); limit > 0 {
		e.setDue(j, time.Duration(limit)*time.Second)
	}
}

// waitedFor returns the slot that a state waits for: for its end, or in
// spawned for its readiness.
func waitedFor(s job.State) (job.Slot, bool) {
	if s == job.Spawned {
		return job.Main, true
	}
	return s.HookSlot()
}

// limitOver ends the wait of a delayed respawn, or the process that did not
// keep within its time.
func (e *Engine) limitOver(j *Instance) {
	j.Due = 0
	if j.State == job.Starting {
		e.emitAndWait(j, "starting", false)
		return
	}
	slot, ok := waitedFor(j.State)
	if !ok || j.Proc(slot).PID == 0 {
		return
	}
	name, limit := j.Class.TimeLimit(slot)
	late, advice := "did not end", ""
	if slot == job.Main {
		late, advice = "was not ready", ": "+hint(j)+" unless it is slow"
	}
	e.logf(Warn, "%s %s process (%d) %s within the %s timeout of %d s%s", j, slot, j.Proc(slot).PID, late, name, limit, advice)
	e.because(cause.Timeout, j.Cause, fmt.Sprintf("%s process %s within the %s timeout of %d s", slot, late, name, limit))
	j.Cause, j.Overdue = e.cause, slot
	e.terminate(j, slot)
}
