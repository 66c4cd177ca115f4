package freebsd

import (
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/job"
	"onset/platform/posix"
)

// childInfo is siginfo_t as wait6(2) fills it.
type childInfo struct {
	signo, errno, code, pid int32
	uid                     uint32
	status                  int32
	_                       [56]byte
}

// waitChild asks for a child, or for that of a pid; ok says that there is one.
func waitChild(pid, options int) (info childInfo, ok bool) {
	const one, all = 0, 7 // P_PID, P_ALL
	kind := one
	if pid == 0 {
		kind = all
	}
	for {
		info = childInfo{}
		found, _, errno := unix.Syscall6(unix.SYS_WAIT6, uintptr(kind), uintptr(pid), 0, uintptr(options|unix.WNOHANG), 0, uintptr(unsafe.Pointer(&info)))
		if errno != unix.EINTR {
			return info, errno == 0 && found != 0
		}
	}
}

// Collect implements platform.Processes. It is due after every Wait of the
// poller, which hears of executions, and after every SIGCHLD. The end of an
// orphan matters to nobody and is taken at once, so a storm of them is over
// in one call; a process of a job is reaped by the next.
func (p *Processes) Collect(yield func(engine.Msg)) (more bool) {
	p.sweep()
	p.drain()
	if p.told != 0 {
		waitChild(p.told, unix.WEXITED)
		p.told = 0
	}
	p.Flush(yield)
	for p.told == 0 {
		info, ok := waitChild(0, unix.WEXITED|unix.WSTOPPED|unix.WCONTINUED|unix.WNOWAIT)
		if !ok {
			return false
		}
		if posix.Dead(int(info.code)) && p.Children[int(info.pid)] == nil {
			info = p.before(info)
		}
		if posix.Dead(int(info.code)) && p.Children[int(info.pid)] != nil {
			p.told = int(info.pid)
		} else if info, ok = waitChild(int(info.pid), posix.WaitFor(int(info.code))); !ok {
			continue // it is another report by now
		}
		p.changed(&info)
		p.Flush(yield)
	}
	return true
}

// before returns what is to be told before the end of an orphan: the kernel
// shows those first that were inherited last, but the main process of a tree
// comes before whom it left.
func (p *Processes) before(orphan childInfo) childInfo {
	for _, t := range p.trees {
		p.hear(t)
		if t.main == nil || p.Children[t.main.pid] == nil || t.forks(t.kin(int(orphan.pid))) == 0 {
			continue
		}
		if main, ok := waitChild(t.main.pid, unix.WEXITED|unix.WNOWAIT); ok {
			return main
		}
	}
	return orphan
}

// sweep removes what a manager before left for nobody, once. What lives of a
// token whose processes of the job are dead keeps what it has until it is gone.
func (p *Processes) sweep() {
	if p.swept {
		return
	}
	p.swept = true
	own := p.Tokens()
	for token := range p.groups.of {
		switch {
		case own[token]:
		case p.gone(token):
			p.groups.forget(token)
		default:
			own[token] = true
		}
	}
	p.isolation.takeOver(own)
}

// changed handles one report of the kernel.
func (p *Processes) changed(info *childInfo) {
	pid, status := int(info.pid), int(info.status)
	p.Confirm(pid)
	switch info.code {
	case posix.ChildStopped:
		p.Tell(engine.Stopped{PID: pid, Signal: job.Signal(status)})
	case posix.ChildContinued:
		p.Tell(engine.Continued{PID: pid, Signal: job.Signal(status)})
	default:
		p.ended(pid, posix.StatusOf(int(info.code), status))
	}
}

// ended tells the end of a process: of one of a job, or of an orphan.
func (p *Processes) ended(pid int, status job.Status) {
	p.drain()
	c := p.Children[pid]
	delete(p.Children, pid)
	delete(p.overseen, pid)
	delete(p.stopping, pid)
	if c == nil {
		p.Tell(engine.Exited{PID: pid, Status: status})
		return
	}
	p.endStage(pid, c, status)
	e := engine.Exited{PID: pid, Status: status}
	t := p.trees[c.Token]
	if t != nil {
		p.hear(t)
	}
	if c.Follows {
		p.inherit(&e, c, t)
	}
	e.OOM = status == job.Killed(job.Signal(unix.SIGKILL)) && p.isolation.starved(c.Token, pid)
	e.Left = p.left(c.Token)
	if !c.Failed {
		p.Tell(e)
	}
	if e.Left == 0 && e.Heir == 0 {
		p.forget(c.Token)
	}
	if e.Heir != 0 {
		p.oversee(e.Heir)
		if t != nil {
			p.replaced(t.main)
		}
	}
	if c.Second && e.Left == 0 && !c.Failed { // after the end of another that left this one
		p.Tell(engine.Emptied{Token: c.Token})
	}
}

// inherit finds who goes on in the place of a process that ended, and takes it
// over: some root of what lives of its spawn, or the last of its tree that is
// dead as well.
func (p *Processes) inherit(e *engine.Exited, c *posix.Child, t *tree) {
	heir := posix.Heir(posix.Family(func() (map[int]int, []int) { return p.groups.family(c.Token) }), startOf)
	if heir == 0 && t != nil {
		heir = t.lateHeir()
	}
	if heir == 0 {
		return
	}
	e.Heir = heir
	p.Children[heir] = &posix.Child{Token: c.Token, Follows: true, Second: true}
	if t != nil {
		e.Forks = t.pass(heir)
	}
}

// left returns how many others live of the spawn of a process that ended. If
// any do, Emptied is told when they are gone.
func (p *Processes) left(token uint64) int {
	family, _ := p.groups.family(token)
	if len(family) == 0 || p.gone(token) {
		return 0
	}
	return len(family)
}

// Await implements platform.Processes.
func (p *Processes) Await(token uint64) {
	if p.gone(token) {
		p.forget(token)
		p.Emptied(token)
		p.Poller.Wake()
	}
}

// gone reports whether nothing lives of a spawn. If something does, it is told
// when nothing does any more: as long as any one of its processes lives, that
// one is enough to know.
func (p *Processes) gone(token uint64) bool {
	if p.doomed[token] {
		p.hunt(token)
	}
	for {
		living := p.groups.living(token)
		if len(living) == 0 {
			return true
		}
		for _, pid := range living {
			if p.listen(pid, unix.NOTE_EXIT) == nil {
				p.awaited[token] = true
				if !slices.Contains(p.lasting[pid], token) {
					p.lasting[pid] = append(p.lasting[pid], token)
				}
				return false
			}
		}
	}
}

// renew looks again at the tokens that a process that ended was of.
func (p *Processes) renew(pid int) {
	tokens := p.lasting[pid]
	delete(p.lasting, pid)
	for _, token := range tokens {
		if p.awaited[token] && p.gone(token) {
			p.forget(token)
			p.Emptied(token)
		}
	}
}
