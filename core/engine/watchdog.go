package engine

import (
	"fmt"

	"onset/core/cause"
	"onset/core/job"
)

// feedWatchdog notes that main lives, once it is ready (EXTENSIONS §6). The
// timer is moved when it is due, not each time, so that a main that is busy
// saying so costs no memory.
func (e *Engine) feedWatchdog(j *Instance) {
	r := &j.Report
	r.Fed = e.now()
	switch {
	case j.WatchdogTime() == 0, r.Phase == job.EndingItself:
		r.Due = 0
	case j.IsUp() && (r.Due == 0 || e.after(j.WatchdogTime()) < r.Due):
		e.armWatchdog(j)
	}
}

func (e *Engine) armWatchdog(j *Instance) {
	j.Report.Due = max(1, j.Report.Fed+j.WatchdogTime())
	e.arm(timer{due: j.Report.Due, kind: watchdogTimer, id: j.ID})
}

// lookAtWatchdog ends a main that has been silent for too long. One that is
// being stopped need not say anything; it may be called off.
func (e *Engine) lookAtWatchdog(j *Instance) {
	j.Report.Due = 0
	switch w := j.WatchdogTime(); {
	case w == 0:
	case !j.IsUp():
		j.Report.Fed = e.now()
		e.armWatchdog(j)
	case e.now()-j.Report.Fed < w:
		e.armWatchdog(j)
	default:
		e.starve(j, fmt.Sprintf("missed its watchdog of %s", w))
	}
}

// starve ends main as if it had died.
func (e *Engine) starve(j *Instance, why string) {
	if !j.IsUp() {
		return
	}
	j.Starved = true
	e.endMain(j, job.Main, why)
}

// endMain ends a main that runs and is of no use; what is overdue says of
// which process that was seen.
func (e *Engine) endMain(j *Instance, overdue job.Slot, why string) {
	e.logf(Warn, "%s main process (%d) %s", j, j.Proc(job.Main).PID, why)
	e.because(cause.Timeout, j.Cause, "main process "+why)
	j.Cause, j.Overdue = e.cause, overdue
	e.terminate(j, job.Main)
}

// rebuildWatch arms the timers that watch a main.
func (e *Engine) rebuildWatch(j *Instance) {
	if j.SignDue > 0 {
		e.arm(timer{due: j.SignDue, kind: signTimer, id: j.ID})
	}
	if j.Report.Due != 0 {
		e.arm(timer{due: j.Report.Due, kind: watchdogTimer, id: j.ID})
	}
	if j.Checkup.Due != 0 {
		e.arm(timer{due: j.Checkup.Due, kind: healthTimer, id: j.ID})
	}
}
