package linux

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/job"
	"onset/platform/posix"
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
const waitOptions = unix.WEXITED | unix.WSTOPPED | unix.WCONTINUED

// waitChild asks for a child, or for that of a pid; ok says that there is one.
func waitChild(pid, options int) (info childInfo, ok bool) {
	kind := unix.P_ALL
	if pid != 0 {
		kind = unix.P_PID
	}
	for {
		info = childInfo{}
		err := unix.Waitid(kind, pid, (*unix.Siginfo)(unsafe.Pointer(&info)), options|unix.WNOHANG, nil)
		if err != unix.EINTR {
			return info, err == nil && info.pid != 0
		}
	}
}

// maxTraps bounds how many stops of traced threads one Collect handles: a tree
// that forks without end must not keep this init from everything else.
const maxTraps = 64

// maxTold bounds how many ends one Collect tells.
const maxTold = 64

// Collect implements platform.Processes. It is due after every Wait of the
// poller, which hears of executions, and after every SIGCHLD. The end of an
// orphan matters to nobody and is taken at once, so a storm of them is over
// in one call; a process of a job is reaped by the next. The kernel shows only
// the first that is not reaped, so those started right after that are asked for.
func (p *Processes) Collect(yield func(engine.Msg)) (more bool) {
	p.sweep()
	p.cgroups.look()
	p.limits.look()
	if p.anew {
		p.anew = false
		p.loseStrays()
	}
	for _, pid := range p.told {
		waitChild(pid, unix.WEXITED)
	}
	p.told = p.told[:0]
	p.Flush(yield)
	for traps := 0; traps < maxTraps; {
		info, ok := waitChild(0, waitOptions|unix.WNOWAIT)
		if !ok {
			return false
		}
		if info.code == posix.ChildTrapped {
			traps++
		}
		if c := p.Children[int(info.pid)]; c != nil && posix.Dead(int(info.code)) {
			p.row(info, c, yield)
			return true
		}
		if info, ok = waitChild(int(info.pid), posix.WaitFor(int(info.code))); !ok {
			continue // it is another report by now
		}
		p.changed(&info)
		p.Flush(yield)
	}
	return true
}

// row tells the end of a process of a job, and of those that were started
// next, up to one that lives; that may be stopped for its tracer, which wait
// reports whatever it is asked for.
func (p *Processes) row(info childInfo, c *posix.Child, yield func(engine.Msg)) {
	for ok := true; ok && posix.Dead(int(info.code)) && len(p.told) < maxTold; {
		p.told = append(p.told, int(info.pid))
		p.changed(&info)
		p.Flush(yield)
		next := c.Next
		if c = p.Children[next]; c == nil {
			return
		}
		info, ok = waitChild(next, unix.WEXITED|unix.WNOWAIT)
	}
}

// changed handles one report of the kernel.
func (p *Processes) changed(info *childInfo) {
	pid, status := int(info.pid), int(info.status)
	p.Confirm(pid)
	switch info.code {
	case posix.ChildExited, posix.ChildKilled, posix.ChildDumped:
		p.ended(pid, posix.StatusOf(int(info.code), status))
	case posix.ChildTrapped:
		p.trapped(pid, status)
	case posix.ChildStopped:
		p.Tell(engine.Stopped{PID: pid, Signal: job.Signal(status)})
	case posix.ChildContinued:
		p.Tell(engine.Continued{PID: pid, Signal: job.Signal(status)})
	}
}

// ended tells the end of a process: of one of a job, or of an orphan. What a
// traced tree makes and collects itself concerns nobody.
func (p *Processes) ended(pid int, status job.Status) {
	t, c := p.traced[pid], p.Children[pid]
	delete(p.traced, pid)
	delete(p.Children, pid)
	if t != nil && t.leads(pid) {
		t.of.dead = true
		if c == nil {
			t.of.tree.buried(t.of)
		}
	}
	if c == nil {
		if t == nil {
			p.Tell(engine.Exited{PID: pid, Status: status})
		}
		return
	}
	e := engine.Exited{PID: pid, Status: status}
	if c.Follows {
		p.inherit(&e, c, t)
	}
	e.OOM = status == job.Killed(job.Signal(unix.SIGKILL)) && p.limits.starved(c.Token)
	e.Left = p.cgroups.ended(c.Token)
	p.limits.release(c.Token)
	if c.Failed {
		return
	}
	p.Tell(e)
	if e.Heir != 0 {
		p.oversee(e.Heir)
	}
	if c.Second && e.Left == 0 { // after the end of another that left this one
		p.Tell(engine.Emptied{Token: c.Token})
	}
}
