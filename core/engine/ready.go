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
		e.traced(r.inst)
	case r.inst.Class.Expect.Kind == job.ExpectNone:
		e.ready(r.inst)
	default:
		e.awaitSign(r.inst)
	}
}

// ready moves on from spawned, unless it is too late for that: then main is
// on its way out.
func (e *Engine) ready(j *Instance) {
	if j.Overdue != job.Main {
		if j.Settle = 0; j.Class.Expect.Follows() {
			j.Settle = e.after(settleTime)
		}
		e.advance(j)
	}
}

// stopped handles expect stop: main stops itself to say that it is ready. One
// that is waited for by another protocol would stay stopped.
func (e *Engine) stopped(m Stopped) {
	e.logSignal(m.PID, m.Signal, "stopped")
	r, ok := e.byPID[m.PID]
	if !ok || r.slot != job.Main || r.inst.State != job.Spawned {
		return
	}
	stop, _ := e.s.Options.Signals.Number("STOP")
	j, kind := r.inst, r.inst.Class.Expect.Kind
	if m.Signal != stop || kind != job.ExpectStop && j.TraceState != job.TraceNormal && j.SignDue == 0 {
		return // or it does not run its program yet: debug
	}
	cont, _ := e.s.Options.Signals.Number("CONT")
	e.do(Kill{j.Proc(job.Main).Token, m.PID, cont, Process})
	if kind == job.ExpectStop {
		e.ready(j)
		return
	}
	e.logf(Warn, `%s main process (%d) stopped itself and is taken for ready: "expect stop" fits`, j, m.PID)
	e.takeForReady(j)
}
