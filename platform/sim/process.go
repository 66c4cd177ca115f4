package sim

import (
	"slices"
	"time"

	"onset/core/engine"
	"onset/core/job"
)

// initPID is the parent of what the manager spawns and of orphans.
const initPID = 1

// machine holds the processes.
type machine struct {
	procs   []*Process // by pid; the dead until they are reaped
	lastPID int
	tokens  map[uint64]*Process // first process of each spawn, dead or alive
	awaited map[uint64]bool     // spawns whose last process will be told of
	told    map[uint64]bool     // spawns whose last process was told of
	closed  map[uint64]bool     // tokens that were released
	failing []SpawnError
}

func newMachine() machine {
	return machine{lastPID: 100, tokens: map[uint64]*Process{}, awaited: map[uint64]bool{}, told: map[uint64]bool{}, closed: map[uint64]bool{}}
}

// SpawnError is how one spawn will fail.
type SpawnError struct {
	Reason    string
	Temporary bool
	Exec      bool // there is a process, and then its set-up fails
}

// condition is what a process is doing.
type condition uint8

const (
	settingUp condition = iota // forked, its program not executed yet
	running
	stopped
	dead
)

// Process is one process of a job or a descendant of one.
type Process struct {
	PID, Parent, Group int
	Token              uint64
	Spec               *job.Spec
	Listening          bool

	condition condition
	parent    *Process // that forked it; nil for the first of a spawn
	traced    bool     // init sees its forks and executions
	asleep    bool     // the program waits for time or the owner
	starved   bool     // died for want of memory

	supervised bool // its end is told though it is the child of another

	noexec  string
	program program
	pc      int
	ignored signalSet
	handled signalSet
	pending signalSet
	status  job.Status
}

// Alive reports whether the process has not ended.
func (p *Process) Alive() bool { return p.condition != dead }

// Find returns the process, also while it is dead and not reaped; or nil.
func (w *World) Find(pid int) *Process {
	i, ok := slices.BinarySearchFunc(w.procs, pid, func(p *Process, pid int) int { return p.PID - pid })
	if !ok {
		return nil
	}
	return w.procs[i]
}

// Processes returns the living processes by pid.
func (w *World) Processes() []*Process {
	var live []*Process
	for _, p := range w.procs {
		if p.Alive() {
			live = append(live, p)
		}
	}
	return live
}

// First returns the first process of a spawn, dead or alive; or nil.
func (w *World) First(token uint64) *Process { return w.tokens[token] }

// Released reports whether the engine is done with a spawn.
func (w *World) Released(token uint64) bool { return w.closed[token] }

// FailSpawns lets the next spawns fail, each as given.
func (w *World) FailSpawns(errs ...SpawnError) { w.failing = append(w.failing, errs...) }

func (w *World) add(p *Process) *Process {
	w.lastPID++
	p.PID = w.lastPID
	w.procs = append(w.procs, p)
	return p
}

func (w *World) spawn(e engine.Spawn) engine.Msg {
	if w.tokens[e.Token] != nil {
		w.violate("token %d is used twice", e.Token)
	}
	for _, f := range e.Spec.Files {
		if !w.handles[f] {
			w.violate("%s is to get descriptor %d, which is not open", e.Spec.Job, f)
		}
	}
	fail := w.nextFailure()
	if fail.Reason != "" && !fail.Exec {
		return engine.SpawnFailed{Token: e.Token, Reason: fail.Reason, Temporary: fail.Temporary}
	}
	img := parseProgram(e.Spec.Process.Text)
	if fail.Exec {
		img.noexec = fail.Reason
	}
	if w.Manual {
		img.steps = program{{op: opHang}}
	}
	p := w.add(&Process{Parent: initPID, Token: e.Token, Spec: e.Spec, program: img.steps, handled: img.handles, noexec: img.noexec})
	p.Group = p.PID
	p.traced = e.Spec.Slot == job.Main && e.Spec.Expect.Forks()
	w.tokens[e.Token] = p
	if !w.Manual {
		w.after(w.within(w.Jitter), func() { w.execute(p) })
	}
	return engine.Spawned{Token: e.Token, PID: p.PID}
}

func (w *World) nextFailure() (f SpawnError) {
	switch {
	case len(w.failing) > 0:
		f, w.failing = w.failing[0], w.failing[1:]
	case w.chance(w.Faults.SpawnTemporary):
		f = SpawnError{Reason: "Resource temporarily unavailable", Temporary: true}
	case w.chance(w.Faults.SpawnFailed):
		f = SpawnError{Reason: "Cannot allocate memory"}
	case w.chance(w.Faults.ExecFailed):
		f = SpawnError{Reason: setupErrors[w.rng.IntN(len(setupErrors))], Exec: true}
	}
	return f
}

// setupErrors are reasons of ExecFailed, from UPSTART §4.4.
var setupErrors = []string{
	"unable to execute: No such file or directory",
	"unable to open console: Input/output error",
	"unable to set \"nofile\" resource limit: Operation not permitted",
	"unable to set priority: Permission denied",
	"unable to set oom adjustment: Permission denied",
	"unable to change root directory: No such file or directory",
	"unable to change working directory: Not a directory",
	"unable to set trace: Operation not permitted",
	"unable to find setuid user",
	"unable to setgid: Operation not permitted",
	"unable to switch security profile: No such file or directory",
}

// within returns a random time up to d.
func (w *World) within(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(w.rng.Int64N(int64(d)))
}

// Execute lets a process that is being set up execute its program, or a
// running one execute another.
func (w *World) Execute(pid int) {
	switch p := w.Find(pid); {
	case p == nil:
	case p.condition == settingUp:
		w.execute(p)
	case p.Alive():
		w.replace(p)
	}
}

func (w *World) execute(p *Process) {
	switch {
	case p.condition != settingUp:
	case p.noexec != "":
		w.forget(p)
		w.happen(engine.ExecFailed{PID: p.PID, Reason: p.noexec})
	default:
		p.condition = running
		w.happen(engine.Executed{PID: p.PID})
		w.run(p)
	}
}

// FailExecute lets the set-up of a process fail.
func (w *World) FailExecute(pid int, reason string) {
	if p := w.Find(pid); p != nil && p.condition == settingUp {
		p.noexec = reason
		w.execute(p)
	}
}

// run lets a process go on with its program until something stops it.
func (w *World) run(p *Process) {
	for p.condition == running && !p.asleep {
		if p.pc == len(p.program) {
			w.end(p, job.Exit(0))
			return
		}
		s := p.program[p.pc]
		p.pc++
		w.perform(p, s)
	}
}

func (w *World) perform(p *Process, s step) {
	switch s.op {
	case opHang:
		p.asleep = true
	case opSleep:
		p.asleep = true
		w.after(s.after, func() {
			p.asleep = false
			w.run(p)
		})
	case opCrash:
		w.after(w.within(s.after), func() { w.end(p, job.Killed(sigSEGV)) })
	case opExit:
		w.end(p, s.status)
	case opRaise:
		w.signal(p, s.signal)
	case opIgnore:
		p.ignored |= s.signals
	case opListen:
		p.Listening = true
		w.Sign(p.PID)
	case opNotify:
		w.say(p, s.words)
	case opExec:
		w.replace(p)
	case opForkExit:
		w.fork(p, p.program[p.pc:], p.Group)
		p.program, p.pc = program{{op: opExit}}, 0
	case opLinger:
		w.fork(p, p.program[p.pc:], p.Group)
		p.program, p.pc = program{{op: opSleep, after: s.after}, {op: opExit, status: s.status}}, 0
	case opWrap:
		w.fork(p, p.program[p.pc:], p.Group)
		p.program, p.pc = program{{op: opHang}}, 0
	case opLeak:
		w.fork(p, program{{op: opHang}}, p.Group)
	case opEscape:
		w.fork(p, program{{op: opHang}}, 0)
	}
}

// fork makes a child that runs prog; group 0 is one of its own.
func (w *World) fork(p *Process, prog program, group int) *Process {
	c := w.add(&Process{Parent: p.PID, Group: group, Token: p.Token, Spec: p.Spec, program: prog,
		condition: running, parent: p, traced: p.traced, ignored: p.ignored, handled: p.handled})
	if group == 0 {
		c.Group = c.PID
	}
	w.after(0, func() { w.run(c) })
	return c
}

// Fork makes a child that does nothing, and returns its pid; 0 if there is no
// such process or it does not run its program yet.
func (w *World) Fork(pid int) int {
	if p := w.Find(pid); p != nil && p.Alive() && p.condition != settingUp {
		return w.fork(p, program{{op: opHang}}, p.Group).PID
	}
	return 0
}

// replace executes another program. Of the first process of a spawn, and of
// one whose forebears live, that means nothing.
func (w *World) replace(p *Process) {
	alone := p.traced && p.parent != nil
	for q := p.parent; q != nil; q = q.parent {
		alone = alone && !q.Alive()
	}
	if alone {
		w.happen(engine.Replaced{PID: p.PID})
	}
}

// End lets a process exit or die.
func (w *World) End(pid int, status job.Status) {
	if p := w.Find(pid); p != nil {
		w.end(p, status)
	}
}

// Starve lets the kernel kill a process for want of memory.
func (w *World) Starve(pid int) {
	if p := w.Find(pid); p != nil && p.Alive() {
		p.starved = true
		w.end(p, job.Killed(sigKILL))
	}
}

func (w *World) end(p *Process, status job.Status) {
	if p.condition == dead {
		return
	}
	if p.condition == settingUp { // its pipe closes without a word
		w.happen(engine.Executed{PID: p.PID})
	}
	p.condition, p.status = dead, status
	for _, c := range w.procs {
		if c.Parent == p.PID && c.Alive() {
			c.Parent = initPID
		}
	}
	switch {
	case p.Parent == initPID:
		w.happen(w.exit(p))
	case p.supervised:
		m := w.exit(p)
		m.Status = job.NoStatus
		w.happen(m)
	}
	for _, c := range w.procs {
		if c.Parent == p.PID {
			w.orphan(c)
		}
	}
	w.emptied(p.Token)
}

// orphan gives a dead process to init: programs of this world wait for none
// of their children.
func (w *World) orphan(p *Process) {
	p.Parent = initPID
	w.happen(w.exit(p))
}

func (w *World) reap(pid int) {
	if p := w.Find(pid); p != nil && p.condition == dead {
		w.forget(p)
	}
}

func (w *World) forget(p *Process) {
	p.condition = dead
	w.procs = slices.DeleteFunc(w.procs, func(q *Process) bool { return q == p })
}

func (w *World) kill(e engine.Kill) {
	if e.Scope == engine.Tree && !w.NoGroups {
		for _, q := range w.members(e.Token) {
			w.signal(q, e.Signal)
		}
		return
	}
	p := w.Find(e.PID)
	if p == nil {
		return
	}
	if e.Scope == engine.Process {
		w.signal(p, e.Signal)
		return
	}
	for _, q := range slices.Clone(w.procs) {
		if q.Group == p.Group {
			w.signal(q, e.Signal)
		}
	}
}

// Signal sends a signal to one process.
func (w *World) Signal(pid int, sig job.Signal) {
	if p := w.Find(pid); p != nil {
		w.signal(p, sig)
	}
}

var (
	stopSignals = setOf(sigSTOP, sigTSTP, sigTTIN, sigTTOU)
	harmless    = setOf(0, sigCHLD, sigURG, sigWINC)
)

func (w *World) signal(p *Process, sig job.Signal) {
	switch {
	case p.condition == dead:
	case sig == sigKILL:
		w.end(p, job.Killed(sig))
	case sig == sigCONT:
		w.resume(p)
	case sig != sigSTOP && (p.ignored.has(sig) || p.handled.has(sig)), harmless.has(sig):
	case p.condition == stopped:
		p.pending |= setOf(sig)
	case stopSignals.has(sig):
		w.stop(p, sig)
	default:
		w.end(p, job.Killed(sig))
	}
}

func (w *World) stop(p *Process, sig job.Signal) {
	if p.condition != running {
		return
	}
	p.condition = stopped
	if p.Parent == initPID {
		w.happen(engine.Stopped{PID: p.PID, Signal: sig})
	}
}

func (w *World) resume(p *Process) {
	if p.condition != stopped {
		return
	}
	p.condition = running
	if p.Parent == initPID {
		w.happen(engine.Continued{PID: p.PID, Signal: sigCONT})
	}
	w.takePending(p)
	w.run(p)
}

func (w *World) takePending(p *Process) {
	set := p.pending
	p.pending = 0
	for n := job.Signal(0); n < 64; n++ {
		if set.has(n) {
			w.signal(p, n)
		}
	}
}

func (w *World) released(e engine.Release) {
	if w.closed[e.Token] {
		w.violate("token %d is released twice", e.Token)
	}
	w.closed[e.Token] = true
}
