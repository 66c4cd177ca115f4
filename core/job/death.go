package job

import (
	"slices"
	"time"
)

// Verdict is what the end of a process means for its job (UPSTART §2.6).
type Verdict struct {
	Failed  bool // the cycle failed with this slot and status
	Limit   bool // respawned too often: fails as PROCESS=respawn
	Stop    bool // the goal becomes stop
	Respawn bool // main will be started again
	Defer   bool // the goal becomes respawn until the hook beside main ends
	Advance bool // the state moves on
}

// NormalExits reports whether status is listed in normal exit.
func (c *Class) NormalExits(status Status) bool { return slices.Contains(c.NormalExit, status) }

// ExitedWell reports whether a process has ended by itself, with success.
func (c *Class) ExitedWell(status Status) bool {
	_, killed := status.Signal()
	return status == 0 || !killed && c.NormalExits(status)
}

// Ended decides what the end of the process in slot means. It is asked while
// the slot still knows its pid, and changes only what is kept for respawns.
// Respawning is off for all jobs during session shutdown.
func (j *Instance) Ended(slot Slot, status Status, now time.Duration, respawning bool) Verdict {
	switch slot {
	case Main:
		return j.mainEnded(status, now, respawning)
	case PreStart:
		bad := status != 0 || j.Overdue == PreStart
		return Verdict{Failed: bad, Stop: bad, Advance: j.State == InPreStart}
	case PostStop:
		bad := status != 0 || j.Overdue == PostStop
		return Verdict{Failed: bad, Stop: bad, Advance: j.State == InPostStop}
	case Security:
		return Verdict{Advance: j.State == InSecurity}
	case Health:
		return Verdict{Advance: j.State == InKilled && j.Proc(Main).Token == 0}
	case PostStart:
		late := j.Overdue == PostStart && j.Goal == GoalStart
		return Verdict{Failed: late, Stop: late, Advance: j.State == InPostStart}
	default:
		return Verdict{Advance: j.State == InPreStop}
	}
}

func (j *Instance) mainEnded(status Status, now time.Duration, respawning bool) Verdict {
	switch {
	case j.State == InKilled:
		return Verdict{Advance: j.Proc(Health).Token == 0}
	case j.State == Stopping:
		return Verdict{} // recorded; the event decides when to go on
	}
	var v Verdict
	if j.Goal == GoalStart && !j.Restarting {
		v = j.mainDied(status, now, respawning)
	}
	hook, waits := j.State.HookSlot()
	v.Advance = !waits || j.Proc(hook).Token == 0
	if v.Respawn && !v.Advance {
		v.Defer = true
	}
	return v
}

// mainDied is the end of main while it was meant to run.
func (j *Instance) mainDied(status Status, now time.Duration, respawning bool) Verdict {
	switch {
	case j.Overdue != Main && j.Overdue != Health && !j.Class.deathBy(status, respawning):
		return Verdict{Stop: true}
	case !j.Class.Respawns() || !respawning:
		return Verdict{Failed: true, Stop: true}
	case !j.mayRespawn(now):
		return Verdict{Failed: true, Limit: true, Stop: true}
	}
	j.planDelay(now)
	return Verdict{Respawn: true}
}

// deathBy reports whether main that ends with this status has died, rather
// than done what it was started for.
func (c *Class) deathBy(status Status, respawning bool) bool {
	switch {
	case c.RespawnOn == RespawnAlways && respawning:
		return true
	case c.NormalExits(status):
		return false
	case c.RespawnOn == RespawnFailure:
		return status != 0
	}
	return status != 0 || c.Respawns() && !c.Task
}

// planDelay chooses how long the coming respawn waits (EXTENSIONS §6). A job
// that ran for the longest wait has earned the shortest again.
func (j *Instance) planDelay(now time.Duration) {
	first := j.Class.RespawnDelay
	most := max(first, j.Class.RespawnDelayMax)
	if j.Delay == 0 || j.RunSince != 0 && now-j.RunSince >= most {
		j.Delay = first
	} else {
		j.Delay = min(2*j.Delay, most)
	}
	j.Delayed = j.Delay != 0
}

// mayRespawn counts a respawn against the limit (UPSTART §2.7).
func (j *Instance) mayRespawn(now time.Duration) bool {
	limit, interval := j.Class.RespawnLimit, time.Duration(j.Class.RespawnInterval)*time.Second
	if limit == 0 || interval == 0 {
		return true
	}
	if j.RespawnCount > 0 && now-j.RespawnSince < interval {
		j.RespawnCount++
		return j.RespawnCount <= limit
	}
	j.RespawnSince, j.RespawnCount = now, 1
	return true
}
