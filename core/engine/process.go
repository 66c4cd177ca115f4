package engine

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"onset/core/cause"
	"onset/core/env"
	"onset/core/job"
)

// Spawns that fail for want of resources are tried again after these waits,
// about three seconds in all (DECISIONS 8).
const (
	firstRetry = 50 * time.Millisecond
	maxTries   = 6
)

// spawnSlot starts the process of a slot if the class has one.
func (e *Engine) spawnSlot(j *Instance, slot job.Slot) {
	if !j.Class.Process.Of(slot).Defined() {
		return
	}
	e.s.LastToken++
	p := j.At(slot)
	p.Token, p.RetryAt = e.s.LastToken, 0
	e.byToken[p.Token] = procRef{j, slot}
	if slot == job.Main && j.Class.Expect.Forks() {
		j.TraceState = job.TraceNew
	}
	e.spawns++
	e.do(Spawn{p.Token, e.spec(j, slot)})
}

func (e *Engine) spec(j *Instance, slot job.Slot) *job.Spec {
	o := &e.s.Options
	s := &job.Spec{
		Job: j.Class.Name, Instance: j.Name, Slot: slot,
		Process:    j.Class.Process.Of(slot),
		Env:        j.ProcessEnv(slot, o.sessionAddress()),
		Attrs:      *j.Class.Attrs,
		Root:       j.Session,
		InheritCwd: o.Mode == Session,
		Debug:      o.DebugStanza && j.Class.Debug,
	}
	if slot == job.Main {
		s.Expect = j.Class.Expect
		e.equip(j, s)
	}
	e.giveFiles(j, s)
	if s.Attrs.Console == job.ConsoleLog {
		if o.NoLog {
			s.Attrs.Console = job.ConsoleNone
		} else {
			s.LogPath = o.logPath(j)
		}
	}
	e.expandAttrs(j, s)
	return s
}

// expandAttrs replaces the patterns of a spec; one that cannot be expanded
// stays as it is written, and the set-up will say so.
func (e *Engine) expandAttrs(j *Instance, s *job.Spec) {
	lookup := func(name string) (string, bool) {
		if name == "UPSTART_CGROUP" {
			return cgroupName(j), true
		}
		return s.Env.Lookup(name)
	}
	expand := func(p string) string {
		if v, err := env.Expand(p, lookup); err == nil {
			return v
		}
		return p
	}
	s.Attrs.AppArmor = expand(s.Attrs.AppArmor)
	if len(s.Attrs.Cgroups) == 0 {
		return
	}
	groups := make([]job.Cgroup, len(s.Attrs.Cgroups))
	for i, g := range s.Attrs.Cgroups {
		groups[i] = job.Cgroup{Controller: g.Controller, Names: make([]job.CgroupName, len(g.Names))}
		for k, n := range g.Names {
			groups[i].Names[k] = job.CgroupName{Name: expand(n.Name), Settings: n.Settings}
		}
	}
	s.Attrs.Cgroups = groups
}

// cgroupName is the value of $UPSTART_CGROUP (UPSTART §4.5).
func cgroupName(j *Instance) string { return "upstart/" + flatName(j) }

// flatName is the name of an instance as one path component.
func flatName(j *Instance) string {
	name := j.Class.Name
	if j.Name != "" {
		name += "-" + j.Name
	}
	return strings.ReplaceAll(name, "/", "_")
}

func (o *Options) logPath(j *Instance) string {
	return j.Session + o.LogDir + "/" + flatName(j) + ".log"
}

// sessionAddress is the value of UPSTART_SESSION, for a session init only.
func (o *Options) sessionAddress() string {
	if o.Mode != Session {
		return ""
	}
	return o.Address
}

// spawned learns the pid of a process that exists now.
func (e *Engine) spawned(m Spawned) {
	r, ok := e.byToken[m.Token]
	if !ok {
		return
	}
	p := r.inst.At(r.slot)
	p.PID, p.Tries = m.PID, 0
	e.byPID[m.PID] = r
	if e.s.Options.DebugStanza && r.inst.Class.Debug {
		e.logf(Info, "Pausing %s (%d) [pre-exec] for debug", r.inst, m.PID)
	}
	e.logf(Info, "%s %s process (%d)", r.inst, r.slot, m.PID)
	e.bound(r.inst, r.slot)
}

// spawnFailed is a process that never was.
func (e *Engine) spawnFailed(m SpawnFailed) {
	r, ok := e.byToken[m.Token]
	if !ok {
		return
	}
	j, p := r.inst, r.inst.At(r.slot)
	if r.slot == job.Health {
		e.checkNotMade(j, m.Reason)
		return
	}
	if m.Temporary && p.Tries < maxTries {
		if p.Tries == 0 {
			e.logf(Warn, "Temporary process spawn error: %s", m.Reason)
		}
		delete(e.byToken, p.Token)
		p.RetryAt = e.now() + firstRetry<<p.Tries
		p.Tries++
		e.arm(timer{due: p.RetryAt, kind: retryTimer, id: j.ID, slot: r.slot})
		return
	}
	e.neverRan(j, r.slot, m.Reason)
}

func (e *Engine) execFailed(m ExecFailed) {
	switch r, ok := e.byPID[m.PID]; {
	case ok && r.slot == job.Health:
		e.checkNotMade(r.inst, m.Reason)
	case ok:
		e.neverRan(r.inst, r.slot, m.Reason)
	}
}

// neverRan handles a process that could not be started (UPSTART §2.11,
// DECISIONS 7).
func (e *Engine) neverRan(j *Instance, slot job.Slot, reason string) {
	e.logf(Warn, "Failed to spawn %s %s process: %s", j, slot, reason)
	e.because(cause.SpawnErr, j.Cause, slot.String()+" process could not be started: "+reason)
	e.releaseProc(j, slot)
	if slot != job.PostStart && slot != job.PreStop {
		e.fail(j, slot, job.NoStatus)
		e.changeGoal(j, job.GoalStop)
	}
	if hook, waits := j.State.HookSlot(); (waits && hook == slot) || (slot == job.Main && j.State == job.Spawned) {
		e.advance(j)
	}
}

// releaseProc ends the slot's use of its process.
func (e *Engine) releaseProc(j *Instance, slot job.Slot) {
	p := j.Proc(slot)
	e.do(Release{p.Token, p.PID})
	e.forgetProc(j, slot)
}

func (e *Engine) forgetProc(j *Instance, slot job.Slot) {
	p := j.At(slot)
	if p.PID != 0 {
		delete(e.byPID, p.PID)
	}
	if p.Token != 0 {
		delete(e.byToken, p.Token)
	}
	*p = job.Proc{}
	if slot == j.KillSlot {
		j.KillDue = 0
	}
	if slot == job.Main {
		delete(e.byPID, j.Report.First)
		j.Report, j.SignDue = job.Report{}, 0
		j.TraceForks, j.TraceState = 0, job.TraceNone
		j.Settle, j.Assumed = 0, false
	}
}

// exited handles the end of a child; orphans are nobody's.
func (e *Engine) exited(m Exited) {
	r, ok := e.byPID[m.PID]
	if !ok {
		return
	}
	j, slot := r.inst, r.slot
	if slot == job.Main && (e.besideMain(j, m) || e.follow(j, m)) {
		return
	}
	e.logEnd(j, slot, m)
	if slot == job.Main && j.TraceState != job.TraceNone {
		e.do(Detach{m.PID}) // what it leaves is traced still
	}
	v := j.Ended(slot, m.Status, e.now(), e.s.Respawning)
	oom := m.OOM && m.Status == job.Killed(e.killSignal())
	if oom {
		j.OOMKills++
		e.because(cause.Exit, j.Cause, slot.String()+" process killed for want of memory")
	} else {
		e.because(cause.Exit, j.Cause, slot.String()+" process "+e.statusText(m.Status))
	}
	if !j.Failed {
		j.FailedOOM = oom
	}
	token, due := j.Proc(slot).Token, j.KillDue
	e.releaseProc(j, slot)
	e.ended(j, slot, token, due, m)
	if slot == job.Health {
		e.checkEnded(j, m.Status)
	}
	v.Advance = v.Advance && len(j.Sweeping) == 0
	e.carryOut(j, slot, m.Status, v)
}

// carryOut applies a verdict: failure, goal and state, in that order.
func (e *Engine) carryOut(j *Instance, slot job.Slot, status job.Status, v job.Verdict) {
	switch {
	case v.Limit:
		e.logf(Warn, "%s respawning too fast, stopped", j)
		e.because(cause.Limit, e.cause, fmt.Sprintf("respawn limit of %d in %d s exceeded", j.Class.RespawnLimit, j.Class.RespawnInterval))
		slot, status = job.NoSlot, 0
	case v.Respawn:
		e.logf(Warn, "%s %s process ended, respawning", j, slot)
		j.Cause = e.cause
		e.record(j.class, cause.Respawn, j.Name)
	}
	if v.Failed {
		e.fail(j, slot, status)
	}
	wasRunning := j.State == job.Running
	switch {
	case v.Stop:
		e.changeGoal(j, job.GoalStop)
		if wasRunning {
			return // the goal moved it
		}
	case v.Defer:
		e.changeGoal(j, job.GoalRespawn)
	}
	if v.Advance {
		e.advance(j)
	}
}

func (e *Engine) logEnd(j *Instance, slot job.Slot, m Exited) {
	p := Warn
	if m.Status == 0 || j.Class.NormalExits(m.Status) {
		p = Info
	}
	if e.logs(p) {
		e.do(Log{p, j.String() + " " + slot.String() + " process (" + strconv.Itoa(m.PID) + ") " + e.statusText(m.Status)})
	}
}

// statusText words the end of a process as UPSTART §2.6 does.
func (e *Engine) statusText(s job.Status) string {
	sig, killed := s.Signal()
	switch {
	case s == 0:
		return "exited normally"
	case s == job.NoStatus:
		return "ended, with what status only its parent knows"
	case !killed:
		return "terminated with status " + strconv.Itoa(int(s))
	}
	if name, ok := e.s.Options.Signals.Name(sig); ok {
		return "killed by " + name + " signal"
	}
	return "killed by signal " + strconv.Itoa(int(sig))
}

func (e *Engine) signalName(sig job.Signal) string {
	if name, ok := e.s.Options.Signals.Name(sig); ok {
		return name
	}
	return strconv.Itoa(int(sig))
}

func (e *Engine) logSignal(pid int, sig job.Signal, what string) {
	if r, ok := e.byPID[pid]; ok {
		e.logf(Info, "%s %s process (%d) %s by %s signal", r.inst, r.slot, pid, what, e.signalName(sig))
	}
}
