package engine

import "onset/core/job"

// executed confirms that a process runs its program. Main is ready then
// unless it has a protocol to go through first (UPSTART §2.8).
func (e *Engine) executed(pid int) {
	r, ok := e.byPID[pid]
	if !ok || r.slot != job.Main || r.inst.State != job.Spawned {
		return
	}
	switch {
	case r.inst.Class.Expect.Forks():
		r.inst.TraceState = job.TraceNormal
	case r.inst.Class.Expect.Kind == job.ExpectNone:
		e.ready(r.inst)
	case r.inst.Class.Expect.Kind != job.ExpectStop:
		e.awaitSign(r.inst)
	}
}

// ready moves on from spawned, unless it is too late for that: then main is
// on its way out.
func (e *Engine) ready(j *Instance) {
	if j.Overdue != job.Main {
		e.advance(j)
	}
}

// stopped handles expect stop: main stops itself to say that it is ready.
func (e *Engine) stopped(m Stopped) {
	e.logSignal(m.PID, m.Signal, "stopped")
	r, ok := e.byPID[m.PID]
	if !ok || r.slot != job.Main || r.inst.State != job.Spawned {
		return
	}
	if r.inst.Class.Expect.Kind != job.ExpectStop {
		e.signMistaken(r.inst, m.Signal)
		return
	}
	stop, _ := e.s.Options.Signals.Number("STOP")
	if m.Signal != stop {
		return
	}
	cont, _ := e.s.Options.Signals.Number("CONT")
	e.do(Kill{r.inst.Procs[job.Main].Token, m.PID, cont, Process})
	e.ready(r.inst)
}

// tracked returns the instance that waits for the process to fork.
func (e *Engine) tracked(pid int) (*Instance, bool) {
	r, ok := e.byPID[pid]
	if !ok || r.slot != job.Main || r.inst.State != job.Spawned || !r.inst.Class.Expect.Forks() {
		return nil, false
	}
	return r.inst, true
}

// forked follows main into its child.
func (e *Engine) forked(m Forked) {
	j, ok := e.tracked(m.PID)
	e.do(Detach{m.PID})
	if !ok {
		e.do(Detach{m.Child})
		return
	}
	e.logf(Info, "%s main process (%d) became new process (%d)", j, m.PID, m.Child)
	delete(e.byPID, m.PID)
	j.Procs[job.Main].PID = m.Child
	e.byPID[m.Child] = procRef{j, job.Main}
	j.TraceForks++
	if j.Class.Expect.Kind == job.ExpectFork || j.TraceForks > 1 {
		e.trackedReady(j)
		return
	}
	j.TraceState = job.TraceNormal
	e.do(Resume{m.Child})
}

// replaced sees main execute another program; after the first fork that ends
// the tracking even of expect daemon.
func (e *Engine) replaced(pid int) {
	j, ok := e.tracked(pid)
	if !ok {
		e.do(Detach{pid})
		return
	}
	e.logf(Info, "%s main process (%d) executable changed", j, pid)
	if j.TraceForks > 0 {
		e.trackedReady(j)
		return
	}
	e.do(Resume{pid})
}

func (e *Engine) trackedReady(j *Instance) {
	e.do(Detach{j.Procs[job.Main].PID})
	j.TraceState = job.TraceNone
	e.ready(j)
}
