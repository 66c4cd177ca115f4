package engine

import (
	"slices"
	"time"

	"onset/core/job"
)

// What a job's processes leave when they end is remembered by the spawn it
// came of, where the kernel tracks that (EXTENSIONS §4). A stop that had to
// end main, and kill mode tree always, ends all of it: killed is left when
// nothing lives of those spawns. A job whose main ended by itself leaves its
// daemons alone, as scripts that start some rely on that; they go with a stop
// of a later cycle, if there is one.

// endsTrees reports whether a stop of the job reaches more than the process
// group of main.
func endsTrees(j *Instance) bool {
	return j.Class.KillMode == job.KillDefault || j.Class.KillMode == job.KillTree
}

// scopes returns whom the kill signal of a job reaches, and whom KILL does.
func scopes(m job.KillMode) (first, last Scope) {
	switch m {
	case job.KillProcess:
		return Process, Process
	case job.KillGroup:
		return Group, Group
	}
	return Group, Tree
}

// terminate asks a process to end, and after the kill timeout makes it
// (UPSTART §2.9).
func (e *Engine) terminate(j *Instance, slot job.Slot) {
	first, _ := scopes(j.Class.KillMode)
	e.signalSlot(j, slot, j.Class.KillSignal, first)
	j.KillSlot, j.Sweep = slot, true
	e.killAt(j, e.killTime(j))
}

// killTime is when what is asked to end now has had its time.
func (e *Engine) killTime(j *Instance) time.Duration {
	return e.after(time.Duration(j.Class.KillTimeout) * time.Second)
}

func (e *Engine) killAt(j *Instance, due time.Duration) {
	j.KillDue = due
	e.arm(timer{due: due, kind: killTimer, id: j.ID})
}

func (e *Engine) killTimeout(j *Instance) {
	j.KillDue = 0
	if j.Proc(j.KillSlot).PID != 0 {
		e.killSlot(j, j.KillSlot)
	}
	e.signalLeft(j, e.killSignal())
}

func (e *Engine) killSignal() job.Signal {
	kill, _ := e.s.Options.Signals.Number("KILL")
	return kill
}

func (e *Engine) killSlot(j *Instance, slot job.Slot) {
	_, last := scopes(j.Class.KillMode)
	e.signalSlot(j, slot, e.killSignal(), last)
}

func (e *Engine) signalSlot(j *Instance, slot job.Slot, sig job.Signal, scope Scope) {
	p := j.At(slot)
	e.logf(Info, "Sending %s signal to %s %s process (%d)", e.signalName(sig), j, slot, p.PID)
	e.do(Kill{p.Token, p.PID, sig, scope})
}

// signalLeft signals what the state waits for the end of.
func (e *Engine) signalLeft(j *Instance, sig job.Signal) {
	if len(j.Sweeping) > 0 {
		e.logf(Info, "Sending %s signal to what is left of %s", e.signalName(sig), j)
	}
	for _, token := range j.Sweeping {
		e.do(Kill{Token: token, Signal: sig, Scope: Tree})
	}
}

// killMain is the entry of killed: it ends main, or what it left, and reports
// whether there is nothing to wait for (UPSTART §2.9).
func (e *Engine) killMain(j *Instance) (gone bool) {
	switch {
	case j.Proc(job.Main).PID == 0:
	case j.Force:
		e.killSlot(j, job.Main)
		return false
	default:
		e.terminate(j, job.Main)
		return false
	}
	e.forgetProc(j, job.Main)
	if sweeps(j, job.Main) {
		e.sweep(j, j.Left, e.killTime(j))
	}
	return j.Proc(job.Health).Token == 0 && len(j.Sweeping) == 0
}

// sweeps reports whether what is left of a job is to end when the process in
// slot has ended.
func sweeps(j *Instance, slot job.Slot) bool {
	always := j.Class.KillMode == job.KillTree
	switch {
	case !endsTrees(j):
		return false
	case slot == job.PostStop:
		return always || j.Force || j.Overdue == slot
	}
	return j.State == job.InKilled && j.Proc(job.Main).Token == 0 && (always || j.Sweep)
}

// ended takes note of what lives on of the spawn of a process in slot that has
// ended, when KILL was due at that time; 0 if that is over.
func (e *Engine) ended(j *Instance, slot job.Slot, token uint64, due time.Duration, m Exited) {
	if slot == job.Main && (j.Goal == job.GoalStop || j.Restarting || j.State == job.Stopping) {
		j.Sweep = true // it did not end by itself
	}
	left := []uint64{token}
	if m.Left == 0 {
		left = nil
	}
	switch {
	case sweeps(j, slot) && slot != job.PostStop:
		e.sweep(j, append(j.Left, left...), due)
	case sweeps(j, slot):
		if j.Overdue != slot {
			due = e.killTime(j)
		}
		e.sweep(j, left, due)
	case m.Left > 0:
		e.logLeft(j, slot, m)
		if endsTrees(j) && slot != job.PostStop {
			j.Left = append(j.Left, token)
			e.left[token] = j
		}
	}
}

// logLeft tells that processes go on without the one that was supervised, and
// how they would have been.
func (e *Engine) logLeft(j *Instance, slot job.Slot, m Exited) {
	if slot == job.Main && !j.Class.Task && !j.Class.Expect.Forks() && !j.Sweep && j.Class.ExitedWell(m.Status) {
		e.logf(Warn, `%s left %d processes behind: "expect fork" or "expect daemon" would follow them`, j, m.Left)
		return
	}
	e.logf(Info, "%s left %d processes behind", j, m.Left)
}

// sweep ends what is left of spawns; the state waits for that. KILL follows
// at due; 0 is at once, as is everything once a stop was forced.
func (e *Engine) sweep(j *Instance, tokens []uint64, due time.Duration) {
	if len(tokens) == 0 {
		return
	}
	sig := j.Class.KillSignal
	j.Sweeping = append(j.Sweeping, tokens...)
	j.Left = slices.DeleteFunc(j.Left, func(t uint64) bool { return slices.Contains(j.Sweeping, t) })
	for _, t := range j.Sweeping {
		e.left[t] = j
	}
	if due == 0 || j.Force {
		sig = e.killSignal()
	} else {
		e.killAt(j, due)
	}
	e.signalLeft(j, sig)
}

// emptied handles the end of the last process of a spawn whose first process
// had ended before.
func (e *Engine) emptied(token uint64) {
	j := e.left[token]
	if j == nil {
		return
	}
	delete(e.left, token)
	same := func(t uint64) bool { return t == token }
	j.Left = slices.DeleteFunc(j.Left, same)
	waited := len(j.Sweeping) > 0
	if j.Sweeping = slices.DeleteFunc(j.Sweeping, same); !waited || len(j.Sweeping) > 0 {
		return
	}
	j.KillDue = 0
	if j.Proc(job.Health).Token == 0 {
		e.cause = j.Cause
		e.advance(j)
	}
}
