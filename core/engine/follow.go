package engine

import (
	"fmt"
	"time"

	"onset/core/job"
)

// A main process that has to tell when it is ready is looked for in the tree
// of its processes (EXTENSIONS §4): when it ends well, what goes on without it
// is main. With expect fork and daemon, how many forks led there says whether
// it is ready. Where main never tells what the job file says, time decides,
// and the log names the line that fits.

// settleTime is how long a main that tells by forking may go on before it is
// taken for ready without having told, and how long after any main told what
// goes on without it is main. Who tells by a sign has signTime.
const (
	settleTime = 10 * time.Second
	signTime   = 90 * time.Second
)

// traced begins to wait for what main forks, once its program runs.
func (e *Engine) traced(j *Instance) {
	j.TraceState = job.TraceNormal
	if j.Settle == 0 {
		e.settleLater(j, settleTime)
	}
}

// settleLater sets the time at which main is taken for ready. A job with an
// expect timeout has chosen to fail instead.
func (e *Engine) settleLater(j *Instance, d time.Duration) {
	if j.Class.Expect.Timeout == 0 {
		j.Settle = e.after(d)
		e.arm(timer{due: j.Settle, kind: settleTimer, id: j.ID})
	}
}

// assume takes main for ready, which has not told in time.
func (e *Engine) assume(j *Instance) {
	late := fmt.Sprintf("is not ready after %d s", int(signTime.Seconds()))
	if j.Class.Expect.Forks() {
		late = fmt.Sprintf("has not ended within %d s", int(settleTime.Seconds()))
	}
	e.logf(Warn, "%s main process (%d) %s and is taken for ready: %s", j, j.Proc(job.Main).PID, late, hint(j))
	e.takeForReady(j)
}

// hint names the line that fits a main that does not tell.
func hint(j *Instance) string {
	x := j.Class.Expect
	if x.Forks() && j.TraceForks > 0 {
		return `"expect fork" fits`
	}
	return fmt.Sprintf("remove %q", "expect "+x.Kind.String())
}

// takeForReady moves on from spawned without what the job file says.
func (e *Engine) takeForReady(j *Instance) {
	j.Assumed = true
	if j.Class.Expect.Forks() {
		e.readyByFork(j)
	} else {
		e.ready(j)
	}
}

// readyByFork ends the tracing of main and moves on.
func (e *Engine) readyByFork(j *Instance) {
	e.do(Detach{j.Proc(job.Main).PID})
	j.TraceState = job.TraceNone
	e.ready(j)
}

// follow makes what goes on of main without it the main process. It reports
// whether there is such a process and the end of the old one meant that.
func (e *Engine) follow(j *Instance, m Exited) bool {
	if m.Heir == 0 || !j.Class.Expect.Follows() || !j.Class.ExitedWell(m.Status) || !e.mayFollow(j) {
		return false
	}
	e.logf(Info, "%s main process (%d) became new process (%d)", j, m.PID, m.Heir)
	delete(e.byPID, m.PID)
	if j.At(job.Main).PID = m.Heir; j.Report.First == m.Heir {
		j.Report.First = 0
	}
	e.byPID[m.Heir] = procRef{j, job.Main}
	if !j.Class.Expect.Forks() {
		e.logf(Warn, `%s went on in the background as process %d: "expect fork" or "expect daemon" fits`, j, m.Heir)
		return true
	}
	j.TraceForks += max(m.Forks, 1)
	if j.State == job.Spawned && j.TraceForks == 1 && j.Class.Expect.Kind == job.ExpectDaemon {
		e.settleLater(j, settleTime)
		return true
	}
	e.compare(j)
	if j.State == job.Spawned {
		e.readyByFork(j)
	}
	return true
}

// mayFollow reports whether the end of main can be its way into the
// background.
func (e *Engine) mayFollow(j *Instance) bool {
	switch {
	case j.State == job.InKilled, j.Overdue != job.NoSlot: // init has asked it to end
		return false
	case j.State == job.Spawned, j.Assumed:
		return true
	}
	return e.now() < j.Settle
}

// compare warns of an expect line that the forks of main do not fit.
func (e *Engine) compare(j *Instance) {
	fits, times := job.ExpectDaemon, "twice"
	if j.TraceForks == 1 {
		fits, times = job.ExpectFork, "once"
	}
	if fits != j.Class.Expect.Kind {
		e.logf(Warn, "%s forked %s until its main process was (%d): %q fits", j, times, j.Proc(job.Main).PID, "expect "+fits.String())
	}
}

// replaced sees a process execute another program that main and all between
// them have left alone. That ends the wait even of expect daemon.
func (e *Engine) replaced(pid int) {
	r, ok := e.byPID[pid]
	if !ok || r.slot != job.Main || r.inst.State != job.Spawned || r.inst.TraceForks == 0 {
		return
	}
	e.logf(Info, "%s main process (%d) executable changed", r.inst, pid)
	e.compare(r.inst)
	e.takeForReady(r.inst)
}
