package linux

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/job"
)

// What waitid says of a child, in the codes of siginfo.
const (
	childExited    = 1
	childKilled    = 2
	childDumped    = 3
	childTrapped   = 4
	childStopped   = 5
	childContinued = 6
)

// childInfo is siginfo_t as waitid fills it.
type childInfo struct {
	signo, errno, code int32
	_                  [unsafe.Sizeof(uintptr(0)) - 4]byte
	pid                int32
	uid                uint32
	status             int32
	_                  [128]byte
}

// waitOptions are those of every wait. Never __WALL: that would take the
// helper processes of Go's own packages; what is traced comes without it.
const waitOptions = unix.WEXITED | unix.WSTOPPED | unix.WCONTINUED | unix.WNOHANG

func waitAny(options int) (info childInfo, ok bool) {
	for {
		info = childInfo{}
		err := unix.Waitid(unix.P_ALL, 0, (*unix.Siginfo)(unsafe.Pointer(&info)), options, nil)
		if err != unix.EINTR {
			return info, err == nil && info.pid != 0
		}
	}
}

// Collect implements platform.Processes. It is due after every Wait of the
// poller, which hears of executions, and after every SIGCHLD.
func (p *Processes) Collect(yield func(engine.Msg)) {
	p.flush(yield)
	peek := 0
	if p.cgroups != nil {
		peek = unix.WNOWAIT // a process is in its group until it is collected
	}
	for {
		info, ok := waitAny(waitOptions | peek)
		if !ok {
			return
		}
		if peek == 0 {
			p.changed(&info)
		} else {
			p.takeGrouped(&info)
		}
		p.flush(yield)
	}
}

func (p *Processes) flush(yield func(engine.Msg)) {
	for _, m := range p.happened {
		yield(m)
	}
	p.happened = p.happened[:0]
}

func (p *Processes) tell(m engine.Msg) { p.happened = append(p.happened, m) }

// takeGrouped collects what was peeked at, and the group of a dead process.
func (p *Processes) takeGrouped(info *childInfo) {
	pid := int(info.pid)
	dead := info.code <= childDumped
	token, grouped := uint64(0), false
	if dead {
		token, grouped = p.cgroups.of(pid)
	}
	var taken childInfo
	if unix.Waitid(unix.P_PID, pid, (*unix.Siginfo)(unsafe.Pointer(&taken)), waitOptions, nil) != nil || taken.pid == 0 {
		return
	}
	p.changed(&taken)
	if grouped && taken.code <= childDumped {
		p.cgroups.ended(pid, token)
	}
}

// changed handles one report of the kernel.
func (p *Processes) changed(info *childInfo) {
	pid, status := int(info.pid), int(info.status)
	p.confirm(pid)
	switch info.code {
	case childExited:
		p.ended(pid, job.Exit(status))
	case childKilled, childDumped:
		p.ended(pid, job.Killed(job.Signal(status)))
	case childTrapped:
		p.trapped(pid, status)
	case childStopped:
		p.tell(engine.Stopped{PID: pid, Signal: job.Signal(status)})
	case childContinued:
		p.tell(engine.Continued{PID: pid, Signal: job.Signal(status)})
	}
}

func (p *Processes) ended(pid int, status job.Status) {
	if p.postpone(pid, status) {
		return
	}
	c := p.children[pid]
	delete(p.children, pid)
	if thread := p.untrace(pid, status); thread || c != nil && c.failed {
		return
	}
	p.tell(engine.Exited{PID: pid, Status: status})
}

// confirm tells what the exec stage of a process reported, if it is over.
func (p *Processes) confirm(pid int) {
	c := p.children[pid]
	if c == nil || c.stage == nil {
		return
	}
	fault, done := c.stage.Read(p.o.Warn)
	if fault == nil && !done {
		return
	}
	p.poller.Remove(c.stage.FD)
	unix.Close(c.stage.FD)
	c.stage = nil
	if fault != nil {
		c.failed = true
		p.tell(engine.ExecFailed{PID: pid, Reason: fault.Error()})
		return
	}
	p.tell(engine.Executed{PID: pid})
}
