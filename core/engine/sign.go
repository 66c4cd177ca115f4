package engine

import (
	"fmt"
	"time"

	"onset/core/job"
)

// patience is after what time in spawned it is said what is waited for.
const patience = 10 * time.Second

// awaitSign waits for the sign of readiness of a main that runs its program.
// It may be called again for the same main, by a platform that has lost what
// it knew.
func (e *Engine) awaitSign(j *Instance) {
	x := j.Class.Expect
	switch {
	case x.Kind == job.ExpectDBus:
		e.do(AwaitName{j.Proc(job.Main).Token, x.Arg})
	case x.Kind == job.ExpectNotify && e.s.Options.NotifySocket == "":
		e.logf(Warn, "%s counts as ready: there is no socket on which it could say so", j)
		e.ready(j)
		return
	}
	if j.SignDue == 0 {
		e.settleLater(j, signTime)
		j.SignDue = e.after(patience)
		e.arm(timer{due: j.SignDue, kind: signTimer, id: j.ID})
	}
}

// signReady handles the sign of readiness of expect listen, fd and dbus.
func (e *Engine) signReady(token uint64) {
	r, ok := e.byToken[token]
	if !ok || r.slot != job.Main || r.inst.State != job.Spawned || r.inst.Proc(job.Main).PID == 0 {
		return
	}
	switch r.inst.Class.Expect.Kind {
	case job.ExpectListen, job.ExpectFD, job.ExpectDBus:
		e.ready(r.inst)
	}
}

// signMissing says once what a main waits for that is slow to become ready.
func (e *Engine) signMissing(j *Instance) {
	j.SignDue = -1
	if what := j.awaited(); what != "" {
		e.logf(Warn, "%s main process (%d) is not ready after %s: %s", j, j.Proc(job.Main).PID, patience, what)
	}
}

// awaited says what readiness waits for; it is empty if it does not, or waits
// for a fork.
func (j *Instance) awaited() string {
	if j.State != job.Spawned || j.Proc(job.Main).PID == 0 {
		return ""
	}
	switch x := j.Class.Expect; x.Kind {
	case job.ExpectStop:
		return "waiting for it to stop itself"
	case job.ExpectListen:
		if x.Arg != "" {
			return "waiting for it to listen on " + x.Arg
		}
		return "waiting for it to listen"
	case job.ExpectDBus:
		return "waiting for an owner of " + x.Arg + " on the bus"
	case job.ExpectNotify:
		return "waiting for READY=1"
	case job.ExpectFD:
		return fmt.Sprintf("waiting for a newline on descriptor %d", x.FD)
	}
	return ""
}
