package linux

import (
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/job"
)

// traceOptions have what a tracee makes traced from its birth. Seized and
// without EXITKILL, tracees run on when their tracer dies.
const traceOptions = unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEEXEC

// tree is what the main process of expect fork or daemon has made. While it
// is traced, who made whom is written down and nothing is held.
type tree struct {
	token uint64
	ended []int  // main processes that another goes on for
	dead  []*kin // of the others the last that ended, whoever collects them
}

// maxDead bounds tree.dead: a shell may run any number of programs first.
const maxDead = 64

func (t *tree) buried(k *kin) {
	if len(t.dead) == maxDead {
		t.dead = slices.Delete(t.dead, 0, 1)
	}
	t.dead = append(t.dead, k)
}

// kin is a process of a tree. The dead are kept by their descendants only.
type kin struct {
	pid   int
	tree  *tree
	maker *kin // nil: it is the first, or was made while nobody looked
	dead  bool
}

// tracee is a traced thread, known by its id.
type tracee struct {
	of      *kin // its process; nil with expect stop
	leaving bool // to be let go at its next stop
}

// leads reports whether a thread stands for its process.
func (t *tracee) leads(tid int) bool { return t.of != nil && t.of.pid == tid }

// trace traces a stage that waits at its gate. A process that asked to be
// traced itself would die of the trap of its execution with its manager, and
// be traced by the keeper if the manager died before. Where tracing is
// forbidden, trees are known by their groups alone.
func (p *Processes) trace(token uint64, pid int) {
	switch err := seize(pid, traceOptions); {
	case err == nil:
		p.traced[pid] = &tracee{of: &kin{pid: pid, tree: &tree{token: token}}}
	case alive(pid) && !p.untraced: // else the stage died, which is told
		p.untraced = true
		p.o.Warn("Processes cannot be traced, expect fork and daemon do without: " + err.Error())
	}
}

// seize begins to trace a thread, without stopping it. What this program
// traced before it was executed anew is traced already.
func seize(tid int, options uintptr) error {
	if tracedHere(tid) {
		return nil
	}
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(tid), 0, options, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func tracedHere(tid int) bool { return statusField(tid, "TracerPid") == os.Getpid() }

// trapped handles a stop of a traced thread: signal and event in one status.
// Any stop but one of job control is over at once.
func (p *Processes) trapped(tid, status int) {
	sig, event := status&0xff, status>>8
	t := p.traced[tid]
	if t == nil && event == unix.PTRACE_EVENT_STOP {
		t = p.early(tid)
	}
	switch {
	case t == nil || t.leaving:
		p.leave(tid, sig, event)
	case event == 0:
		resume(tid, sig)
	case event == unix.PTRACE_EVENT_STOP && sig != int(unix.SIGTRAP):
		p.halted(tid, t, sig)
	case forks(event):
		p.made(tid, t, event)
	case event == unix.PTRACE_EVENT_EXEC:
		p.executed(tid, t)
	default:
		resume(tid, 0)
	}
}

// early enters a thread whose first stop comes before the event of the one
// that made it. It returns nil if that one is gone or its child was made as
// another's: nobody knows whose it is then.
func (p *Processes) early(tid int) *tracee {
	process := processOf(tid)
	by := p.traced[process]
	if process == tid {
		by = p.traced[parentOf(tid)]
	}
	if by == nil || by.of == nil || by.leaving {
		return nil
	}
	t := &tracee{of: by.of}
	if process == tid {
		t.of = &kin{pid: tid, tree: by.of.tree, maker: by.of}
	}
	p.traced[tid] = t
	return t
}

// halted leaves a process stopped that a signal stopped. With expect stop it
// has been waited for that.
func (p *Processes) halted(tid int, t *tracee, sig int) {
	if p.Children[tid] != nil {
		p.Tell(engine.Stopped{PID: tid, Signal: job.Signal(sig)})
	}
	if t.of == nil && sig == int(unix.SIGSTOP) {
		p.release(tid, 0)
		return
	}
	unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_LISTEN, uintptr(tid), 0, 0, 0, 0)
}

func forks(event int) bool {
	return event == unix.PTRACE_EVENT_FORK || event == unix.PTRACE_EVENT_VFORK || event == unix.PTRACE_EVENT_CLONE
}

// made handles the event of a thread that made a process or a thread.
func (p *Processes) made(tid int, t *tracee, event int) {
	msg, err := unix.PtraceGetEventMsg(tid)
	id := int(msg)
	switch n := p.traced[id]; {
	case err != nil: // it was killed
	case n != nil && n.leads(id):
		n.of.maker = t.of
	case n == nil && event == unix.PTRACE_EVENT_CLONE && processOf(id) != id:
		p.traced[id] = &tracee{of: t.of}
	case n == nil:
		p.traced[id] = &tracee{of: &kin{pid: id, tree: t.of.tree, maker: t.of}}
	}
	resume(tid, 0)
}

// executed handles an execution. It is told of a process whose makers have
// all ended.
func (p *Processes) executed(pid int, t *tracee) {
	p.renamed(pid)
	resume(pid, 0)
	if t.of == nil || t.of.maker == nil {
		return
	}
	for k := t.of.maker; k != nil; k = k.maker {
		if !k.dead {
			return
		}
	}
	p.Tell(engine.Replaced{PID: pid})
}

// renamed forgets the id that a thread had before it executed a program and
// took that of its process.
func (p *Processes) renamed(pid int) {
	if former, err := unix.PtraceGetEventMsg(pid); err == nil && int(former) != pid {
		delete(p.traced, int(former))
	}
}

// Detach implements platform.Processes. Only who is stopped can be let go, so
// whoever runs is stopped first; who waits for a vfork stops after that.
func (p *Processes) Detach(pid int) {
	token := uint64(0)
	if c := p.Children[pid]; c != nil {
		token = c.Token
	}
	for id, t := range p.traced {
		if id == pid || t.of != nil && (t.of.tree.token == token || slices.Contains(t.of.tree.ended, pid)) {
			p.letGo(id, t)
		}
	}
}

func (p *Processes) letGo(tid int, t *tracee) {
	t.leaving = true
	if unix.PtraceInterrupt(tid) != nil { // it is gone
		delete(p.traced, tid)
	}
}

// leave lets a thread go at whatever it stops for, since any stop ends an
// interruption that was asked for; and with it what it makes.
func (p *Processes) leave(tid, sig, event int) {
	switch {
	case event == 0:
		p.release(tid, sig)
		return
	case forks(event):
		if msg, err := unix.PtraceGetEventMsg(tid); err == nil {
			p.leaveBorn(int(msg))
		}
	case event == unix.PTRACE_EVENT_EXEC:
		p.renamed(tid)
	}
	p.release(tid, 0)
}

// leaveBorn lets go what a thread made that is let go itself.
func (p *Processes) leaveBorn(id int) {
	t := p.traced[id]
	if t == nil {
		t = &tracee{}
		p.traced[id] = t
	}
	p.letGo(id, t)
}

func (p *Processes) release(tid, sig int) {
	delete(p.traced, tid)
	unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_DETACH, uintptr(tid), 0, uintptr(sig), 0, 0)
}

// resume lets a stopped thread run on, with a signal if not 0. One that was
// killed meanwhile is reported as ended.
func resume(tid, sig int) { unix.PtraceCont(tid, sig) }
