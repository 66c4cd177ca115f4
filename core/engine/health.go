package engine

import (
	"fmt"
	"time"

	"onset/core/job"
)

// planCheck sets the time of the next health check of a main that runs
// (EXTENSIONS §6).
func (e *Engine) planCheck(j *Instance) {
	if j.Class.Process.Of(job.Health).Defined() && j.Proc(job.Main).PID != 0 {
		e.setCheckup(j, j.Class.Health.Interval)
	}
}

func (e *Engine) setCheckup(j *Instance, seconds int) {
	j.Checkup.Due = e.after(time.Duration(seconds) * time.Second)
	e.arm(timer{due: j.Checkup.Due, kind: healthTimer, id: j.ID})
}

// checkDue begins a check, or ends one that takes too long.
func (e *Engine) checkDue(j *Instance) {
	j.Checkup.Due = 0
	switch {
	case j.Proc(job.Health).Token != 0:
		j.Checkup.Late = true
		e.endCheck(j)
	case j.State == job.Running && j.IsUp() && j.Report.Phase != job.EndingItself:
		j.Checkup.Late = false
		e.spawnSlot(j, job.Health)
		e.setCheckup(j, j.Class.Health.Timeout)
	case j.State == job.Running:
		e.planCheck(j)
	}
}

// endCheck kills a check that runs, and plans none.
func (e *Engine) endCheck(j *Instance) {
	j.Checkup.Due = 0
	if p := j.Proc(job.Health); p.PID != 0 {
		kill, _ := e.s.Options.Signals.Number("KILL")
		e.do(Kill{p.Token, p.PID, kill, Tree})
	}
}

// checkEnded takes the result of a check; as many failures in a row as the
// class allows are the death of main.
func (e *Engine) checkEnded(j *Instance, status job.Status) {
	h := &j.Checkup
	h.Status = status
	if j.State != job.Running || !j.IsUp() {
		return
	}
	e.planCheck(j)
	if status == 0 && !h.Late {
		h.Failures = 0
		return
	}
	if h.Failures++; h.Failures >= j.Class.Health.Failures {
		why := "failed its health check"
		if h.Failures > 1 {
			why += fmt.Sprintf(" %d times in a row", h.Failures)
		}
		e.endMain(j, job.Health, why)
	}
}

// checkNotMade is a check that could not be started, which says nothing about
// main.
func (e *Engine) checkNotMade(j *Instance, reason string) {
	e.logf(Warn, "Failed to spawn %s %s process: %s", j, job.Health, reason)
	e.releaseProc(j, job.Health)
	switch {
	case j.State == job.Running:
		e.planCheck(j)
	case j.State == job.InKilled && j.Proc(job.Main).Token == 0 && len(j.Sweeping) == 0:
		e.cause = j.Cause
		e.advance(j)
	}
}
