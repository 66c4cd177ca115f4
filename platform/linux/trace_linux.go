package linux

import (
	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/job"
)

// traceOptions are those of a program; what a tracee forks has them too.
const traceOptions = unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEEXEC

// traceState is where a traced thread is.
type traceState uint8

const (
	untried traceState = iota // an exec stage still
	running                   //
	fresh                     // born, its first stop not seen
	early                     // first stop seen before the event of its parent
	held                      // stopped until the engine decides
	leaving                   // told to stop, to be let go then
	pausing                   // it will stop itself to say that it is ready
	gone                      // a helper that left well; its end is not told before its maker's
)

// tracee is a traced thread, known by its id.
//
// The engine follows one process: what fork(2) makes is told as Forked, both
// sides held. What vfork, posix_spawn or clone make is mostly a helper that
// its maker waits for, so that process is only watched, and so is what it
// forks; if its maker ends well before it, it is the successor and told as
// Forked then. Threads are traced because they fork for their process, and
// are no processes to the engine.
type tracee struct {
	process int // its process
	state   traceState
	maker   int  // process that made it, while it is only watched or fresh
	helper  bool // made by vfork or clone, only watched
	birth   int  // child whose first stop it is held for; 0: none
}

// trapped handles a stop of a traced thread: signal and event in one status.
func (p *Processes) trapped(tid, status int) {
	sig, event := status&0xff, status>>8
	stop := event == unix.PTRACE_EVENT_STOP
	t := p.traced[tid]
	switch {
	case t == nil && stop:
		p.traced[tid] = &tracee{process: tid, state: early, maker: parentOf(tid)}
	case t != nil && t.state == leaving:
		p.leave(tid, sig, event)
	case t != nil && t.state == fresh && stop:
		p.born(tid, t)
	case event == 0:
		resume(tid, sig)
	case stop && sig != int(unix.SIGTRAP):
		p.halted(tid, t, sig)
	case t != nil && forks(event):
		p.made(tid, t, event)
	case t != nil && (event == unix.PTRACE_EVENT_EXEC || t.state == untried):
		p.executed(tid, t)
	default:
		resume(tid, 0)
	}
}

// halted leaves a process stopped that a signal stopped. One that is to stop
// itself is ready then.
func (p *Processes) halted(tid int, t *tracee, sig int) {
	if t.state == pausing {
		p.tell(engine.Stopped{PID: tid, Signal: job.Signal(sig)})
		if sig == int(unix.SIGSTOP) {
			p.release(tid)
			return
		}
	}
	unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_LISTEN, uintptr(tid), 0, 0, 0, 0)
}

func forks(event int) bool {
	return event == unix.PTRACE_EVENT_FORK || event == unix.PTRACE_EVENT_VFORK || event == unix.PTRACE_EVENT_CLONE
}

// made handles the event of a thread that made a process or a thread.
func (p *Processes) made(tid int, t *tracee, event int) {
	msg, err := unix.PtraceGetEventMsg(tid)
	if err != nil {
		p.warn("Failed to obtain child process id for", tid, err)
		resume(tid, 0)
		return
	}
	id := int(msg)
	n, seen := p.traced[id]
	if !seen {
		n = &tracee{process: id}
		p.traced[id] = n
	}
	n.state, n.maker = fresh, t.process
	switch {
	case event == unix.PTRACE_EVENT_CLONE && processOf(id) != id:
		n.process, n.maker, n.helper = t.process, t.maker, t.helper
	case event == unix.PTRACE_EVENT_FORK && !t.helper:
		t.state, t.birth = held, id
	default:
		n.helper = true
	}
	if t.state != held {
		resume(tid, 0)
	}
	if seen {
		p.born(id, n)
	}
}

// born handles the first stop of what a tracee made.
func (p *Processes) born(tid int, n *tracee) {
	for _, maker := range p.traced {
		if maker.birth == tid {
			maker.birth, n.state = 0, held
			p.forked(maker.process, tid)
			return
		}
	}
	n.state = running
	resume(tid, 0)
}

// executed handles an execution, which ends all other threads. The first ones
// are those of the stage and, by the stage, of the job's program.
func (p *Processes) executed(pid int, t *tracee) {
	p.forgetThreads(pid)
	switch {
	case t.state == untried && isStage(pid):
		resume(pid, 0)
	case t.state == untried:
		if err := unix.PtraceSetOptions(pid, traceOptions); err != nil {
			p.warn("Failed to set ptrace options for", pid, err)
		}
		t.state = running
		resume(pid, 0)
	case t.helper || t.state == pausing:
		resume(pid, 0)
	default:
		t.state = held
		p.tell(engine.Replaced{PID: pid})
	}
}

func (p *Processes) forgetThreads(pid int) {
	for id, t := range p.traced {
		if t.process == pid && id != pid {
			delete(p.traced, id)
		}
	}
}

// Resume implements platform.Processes.
func (p *Processes) Resume(pid int) {
	for id, t := range p.traced {
		if t.process == pid && t.state == held && t.birth == 0 {
			t.state = running
			resume(id, 0)
		}
	}
}

// Detach implements platform.Processes. A thread that runs is stopped first:
// the kernel lets only stopped ones go.
func (p *Processes) Detach(pid int) {
	if c := p.children[pid]; c != nil {
		c.forks = 0
	}
	for id, t := range p.traced {
		if t.process == pid || t.maker == pid && (t.helper || t.state == fresh || t.state == early) {
			p.letGo(id, t)
		}
	}
}

func (p *Processes) letGo(tid int, t *tracee) {
	switch t.state {
	case held, early:
		p.release(tid)
	case gone:
		p.ended(tid, 0)
	case fresh: // its first stop is on the way
		t.state = leaving
	case untried, running, pausing:
		t.state = leaving
		unix.PtraceInterrupt(tid)
	}
}

// leave lets a thread go at whatever it stops for, since any stop ends an
// interruption that was asked for.
func (p *Processes) leave(tid, sig, event int) {
	switch {
	case event == 0:
		delete(p.traced, tid)
		unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_DETACH, uintptr(tid), 0, uintptr(sig), 0, 0)
		return
	case forks(event):
		if msg, err := unix.PtraceGetEventMsg(tid); err == nil {
			p.leaveBorn(int(msg))
		}
	case event == unix.PTRACE_EVENT_EXEC:
		p.forgetThreads(tid)
	}
	p.release(tid)
}

// leaveBorn lets go what a thread made that is to be let go itself.
func (p *Processes) leaveBorn(id int) {
	if _, seen := p.traced[id]; seen {
		p.release(id)
		return
	}
	p.traced[id] = &tracee{process: id, state: leaving}
}

func (p *Processes) release(tid int) {
	delete(p.traced, tid)
	if err := unix.PtraceDetach(tid); err != nil && err != unix.ESRCH {
		p.warn("Failed to detach traced", tid, err)
	}
}

// untrace forgets a thread that ended and reports whether it was no process.
// What it leaves behind is told or let go.
func (p *Processes) untrace(tid int, status job.Status) (thread bool) {
	t := p.traced[tid]
	if t == nil {
		p.inherit(tid, status)
		return false
	}
	delete(p.traced, tid)
	p.unhold(tid)
	if t.process != tid {
		return true
	}
	p.forgetThreads(tid)
	successor := 0
	if status == 0 && !t.helper && t.state != leaving {
		if successor = p.successor(tid); successor == 0 {
			p.inherit(tid, status)
		}
	}
	for id, n := range p.traced {
		if n.maker == tid && id != successor && (n.helper || n.state == fresh || n.state == early) {
			p.letGo(id, n)
		}
	}
	if n := p.traced[successor]; n != nil && n.state == gone {
		p.ended(successor, 0)
	}
	return false
}

// postpone keeps the end of a helper that made another from being told: if
// its maker ends well too, it was a link in the chain to the successor.
func (p *Processes) postpone(pid int, status job.Status) bool {
	t := p.traced[pid]
	if t == nil || !t.helper || t.process != pid || t.state != running || status != 0 || p.traced[t.maker] == nil {
		return false
	}
	for _, n := range p.traced {
		if n.helper && n.maker == pid {
			p.forgetThreads(pid)
			t.state = gone
			return true
		}
	}
	return false
}

// unhold lets a thread run that is held for the first stop of what it made.
func (p *Processes) unhold(child int) {
	for id, maker := range p.traced {
		if maker.birth == child {
			maker.birth, maker.state = 0, running
			resume(id, 0)
		}
	}
}

// forked tells of a fork; the child takes over what its maker is to the job.
func (p *Processes) forked(pid, to int) {
	heir := &child{}
	if c := p.children[pid]; c != nil {
		heir.token, heir.forks = c.token, max(0, c.forks-1)
		c.token, c.forks = 0, 0
	}
	p.children[to] = heir
	p.tell(engine.Forked{PID: pid, Child: to})
}

// successor tells of the helper that outlives its maker, the latest one.
func (p *Processes) successor(pid int) int {
	latest := 0
	for id, n := range p.traced {
		if n.helper && n.maker == pid && n.process == id {
			latest = max(latest, id)
		}
	}
	for _, n := range p.traced {
		if latest != 0 && n.process == latest {
			n.helper, n.maker = false, 0 // to let its maker go is not to let it go
		}
	}
	if latest != 0 {
		p.forked(pid, latest)
	}
	return latest
}

func (p *Processes) warn(what string, pid int, err error) {
	p.o.Warn(what + " process (" + itoa(pid) + "): " + err.Error())
}

// resume lets a stopped thread run on, with a signal if not 0. One that was
// killed meanwhile is reported as ended.
func resume(tid, sig int) { unix.PtraceCont(tid, sig) }
