package freebsd

import (
	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/job"
	"onset/platform/posix"
)

// listen has drain hear of a process.
func (p *Processes) listen(pid int, notes uint32) error {
	if p.staging[pid] { // it may be listened to for another reason now
		notes |= unix.NOTE_EXEC
	}
	return change(p.queue, unix.Kevent_t{Ident: uint64(pid), Filter: unix.EVFILT_PROC, Flags: unix.EV_ADD, Fflags: notes})
}

// drain hears of ends and executions. What it hears of may have it called
// again.
func (p *Processes) drain() {
	var batch [32]unix.Kevent_t
	for n := len(batch); n == len(batch); {
		var err error
		if n, err = unix.Kevent(p.queue, nil, batch[:], &unix.Timespec{}); err != nil {
			return
		}
		for i := range batch[:n] {
			p.heard(&batch[i])
		}
	}
}

func (p *Processes) heard(e *unix.Kevent_t) {
	pid := int(e.Ident)
	if e.Filter == unix.EVFILT_TIMER {
		p.lookForStops()
		return
	}
	if e.Fflags&unix.NOTE_EXEC != 0 && p.staging[pid] {
		delete(p.staging, pid)
		p.Tell(engine.Executed{PID: pid})
	}
	if e.Fflags&unix.NOTE_EXIT != 0 {
		p.renew(pid)
		if p.overseen[pid] {
			p.vanished(pid)
		}
	}
}

// Supervise implements platform.Processes.
func (p *Processes) Supervise(token uint64, pid int) {
	p.Enter(token, pid)
	p.oversee(pid)
}

// oversee sees to it that the end of a process is told that is the child of
// another one.
func (p *Processes) oversee(pid int) {
	if posix.Inherits(parentOf(pid)) {
		return
	}
	p.overseen[pid] = true
	if p.listen(pid, unix.NOTE_EXIT) != nil {
		p.vanished(pid)
		p.Poller.Wake()
	}
}

// vanished tells the end of a process, unless wait or the keeper does. How it ended
// is its parent's to know.
func (p *Processes) vanished(pid int) {
	if p.Children[pid] != nil && !posix.Inherits(parentOf(pid)) {
		p.ended(pid, job.NoStatus)
	}
}

// rejoin waits for the execution of an exec stage that is still at work, and
// reports whether there is one. What it says when it fails is lost.
func (p *Processes) rejoin(pid int) bool {
	if !isStage(pid) {
		return false
	}
	p.staging[pid] = true
	if p.listen(pid, unix.NOTE_EXIT) != nil || !isStage(pid) {
		delete(p.staging, pid)
	}
	return p.staging[pid]
}

// endStage tells what became of a stage that was taken over.
func (p *Processes) endStage(pid int, c *posix.Child, status job.Status) {
	if !p.staging[pid] {
		return
	}
	delete(p.staging, pid)
	if status == job.Exit(posix.StageFailed) {
		c.Failed = true
		p.Tell(engine.ExecFailed{PID: pid, Reason: "unable to execute, for a reason that init forgot in a crash"})
		return
	}
	p.Tell(engine.Executed{PID: pid})
}

// stopInterval is how often processes are looked at that are to stop
// themselves and are another's children, in milliseconds: the kernel tells
// only their parent.
const stopInterval = 20

// awaitStop has the stop of a process told that was taken over.
func (p *Processes) awaitStop(pid int) {
	p.stopping[pid] = true
	change(p.queue, unix.Kevent_t{Filter: unix.EVFILT_TIMER, Flags: unix.EV_ADD, Data: stopInterval})
}

func (p *Processes) lookForStops() {
	for pid := range p.stopping {
		if k, ok := look(pid); ok && k.stoppedBy(unix.SIGSTOP) {
			delete(p.stopping, pid)
			p.Tell(engine.Stopped{PID: pid, Signal: job.Signal(unix.SIGSTOP)})
		}
	}
	if len(p.stopping) == 0 {
		change(p.queue, unix.Kevent_t{Filter: unix.EVFILT_TIMER, Flags: unix.EV_DELETE})
	}
}
