package engine

import (
	"time"

	"onset/core/cause"
	"onset/core/control"
	"onset/core/env"
	"onset/core/job"
)

// told handles what init learns by signal or from its kernel (UPSTART §3.3,
// §8.4).
func (e *Engine) told(r Request) {
	e.because(cause.Init, nil, requestTexts[r])
	switch r {
	case Reload:
		e.logf(Info, "Reloading configuration")
		e.do(LoadConfig{e.s.Sessions})
	case ReExec:
		e.logf(Warn, "Re-executing %s", e.s.Options.Program)
		e.reexec()
	case Shutdown:
		e.quiesce("shutdown")
	case ReconnectBus:
		e.logf(Info, "Reconnecting to D-Bus system bus")
		e.do(ConnectBus{Address: e.s.BusAddress})
	case Restarted:
		e.logf(Info, "Stateful re-exec completed")
		e.publish(control.Restarted())
	case HaltMachine, RebootMachine, SingleUser:
		e.emit("runlevel", runlevels[r], "")
	default:
		e.emit(requestEvents[r], nil, "")
	}
}

func (e *Engine) reexec() {
	e.logf(Info, "Performing stateful re-exec")
	e.do(Reexec{})
}

var requestTexts = [...]string{
	Reload: "asked to reload", ReExec: "asked to re-execute", Shutdown: "asked to shut down",
	ControlAltDelete: "Ctrl-Alt-Delete", KeyboardRequest: "keyboard request",
	PowerStatusChanged: "power status changed", ReconnectBus: "asked to reconnect",
	SubreaperFailed: "not a subreaper", Restarted: "re-executed", PowerButton: "power button",
	HaltMachine: "asked to halt", RebootMachine: "asked to reboot", SingleUser: "asked for single-user mode",
}

var requestEvents = map[Request]string{
	ControlAltDelete:   "control-alt-delete",
	KeyboardRequest:    "keyboard-request",
	PowerStatusChanged: "power-status-changed",
	SubreaperFailed:    "child-subreaper-failed",
	PowerButton:        "power-button",
}

// runlevels are what a kernel and its tools ask for without telinit, which
// alone knows the level before.
var runlevels = map[Request]env.Table{
	HaltMachine:   {"RUNLEVEL=0", "PREVLEVEL=N", "INIT_HALT=HALT"},
	RebootMachine: {"RUNLEVEL=6", "PREVLEVEL=N"},
	SingleUser:    {"RUNLEVEL=1", "PREVLEVEL=N"},
}

// How long a session end waits for what it starts, at least for what it
// stops, and between looks (UPSTART §8.8).
const (
	quiesceWait = 5 * time.Second
	quiesceMin  = 5 * time.Second
	quiesceLook = time.Second
)

// quiesce begins the end of a session.
func (e *Engine) quiesce(reason string) {
	if e.s.Quiesce != nil {
		return
	}
	e.logf(Info, "Quiescing due to %s request", reason)
	e.s.Respawning = false
	q := &Quiesce{Reason: reason, Cause: e.cause, Begun: e.now(), Phase: e.now()}
	e.s.Quiesce = q
	e.emit("session-end", env.Table{"TYPE=" + reason}, "")
	if reason == "logout" && e.anyStartsOn("session-end") {
		e.stopAll()
	} else {
		e.logf(Debug, "Skipping wait phase")
		e.beginKilling()
	}
	e.armQuiesce()
}

func (e *Engine) armQuiesce() {
	q := e.s.Quiesce
	q.Due = e.now() + quiesceLook
	e.arm(timer{due: q.Due, kind: quiesceTimer})
}

func (e *Engine) anyStartsOn(name string) bool {
	for _, c := range e.allClasses() {
		for _, n := range c.StartOn {
			if n.Name == name {
				return true
			}
		}
	}
	return false
}

func (e *Engine) stopAll() {
	for _, c := range e.allClasses() {
		for _, j := range append([]*Instance(nil), c.Instances...) {
			e.changeGoal(j, job.GoalStop)
		}
	}
}

func (e *Engine) beginKilling() {
	q := e.s.Quiesce
	q.Killing, q.Phase, q.Max = true, e.now(), quiesceMin
	for _, j := range e.instances { // order-free: maximum
		q.Max = max(q.Max, time.Duration(j.Class.KillTimeout)*time.Second)
	}
	e.stopAll()
}

// quiesceTick looks whether the present phase is over.
func (e *Engine) quiesceTick() {
	q := e.s.Quiesce
	if q.Due == 0 {
		return
	}
	e.cause = q.Cause
	idle := !e.anyProcess()
	switch {
	case !q.Killing && (idle || e.now()-q.Phase >= quiesceWait):
		e.beginKilling()
	case q.Killing && idle:
		e.leave()
		return
	case q.Killing && e.now()-q.Phase > q.Max:
		e.warnStubborn()
		e.leave()
		return
	}
	e.armQuiesce()
}

func (e *Engine) anyProcess() bool {
	for _, j := range e.instances { // order-free: any
		if j.Busy() {
			return true
		}
	}
	return false
}

func (e *Engine) warnStubborn() {
	for _, c := range e.allClasses() {
		for _, j := range c.Instances {
			e.logf(Warn, "job %s failed to stop", j)
		}
	}
}

// leave ends the session init.
func (e *Engine) leave() {
	q := e.s.Quiesce
	if q.Due == 0 {
		return
	}
	q.Due = 0
	e.logQuiesced(q)
	e.do(Exit{})
}

func (e *Engine) logQuiesced(q *Quiesce) {
	seconds := int((e.now() - q.Begun) / time.Second)
	switch seconds {
	case 0:
		e.logf(Info, "Quiesce %s sequence took <1 second", q.Reason)
	case 1:
		e.logf(Info, "Quiesce %s sequence took 1 second", q.Reason)
	default:
		e.logf(Info, "Quiesce %s sequence took %d seconds", q.Reason, seconds)
	}
}
