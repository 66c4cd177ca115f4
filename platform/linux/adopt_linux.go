package linux

import (
	"os"
	"slices"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/job"
	"onset/platform"
	"onset/platform/posix"
)

// forkTime is how long a manager that dies may leave a process between fork
// and exec.
const forkTime = time.Second

// Find implements platform.Processes. The group of the token tells best; one
// that is empty tells whether a process ever ran in it. Without groups it is
// the environment that tells a job's process among those that fell to the
// keeper, unless the program overwrites it.
func (p *Processes) Find(token uint64, s *job.Spec, known func(pid int) bool) platform.Found {
	for end := time.Now().Add(forkTime); p.unborn(token, s) && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	group := p.cgroups.processes(token)
	pid := leader(group)
	if pid == 0 && len(group) == 0 {
		pid = search(s, known)
	}
	if pid == 0 {
		return platform.Found{Started: len(group) > 0 || p.cgroups.used(token)}
	}
	expect := job.ExpectNone
	if s.Slot == job.Main {
		expect = s.Expect.Kind
	}
	p.Adopt(token, pid, expect, 0)
	return platform.Found{PID: pid, Started: true}
}

// unborn reports whether a process in the group of a token is still a copy of
// the manager that forked it.
func (p *Processes) unborn(token uint64, s *job.Spec) bool {
	return slices.ContainsFunc(p.cgroups.processes(token), func(pid int) bool {
		return !isStage(pid) && runsSelf(pid) && !hasEnvironment(pid, s)
	})
}

// leader returns the process that leads the session of a group, which may be
// dead, or 0.
func leader(group []int) int {
	dead := 0
	for _, pid := range group {
		sid, err := unix.Getsid(pid)
		if err == nil && sid == pid {
			return pid
		}
		if err == nil && sid != 0 && !alive(sid) {
			dead = sid
		}
	}
	return dead
}

// search returns the process of a spec without the help of groups, or 0.
func search(s *job.Spec, known func(pid int) bool) int {
	for _, pid := range allProcesses() {
		sid, err := unix.Getsid(pid)
		parent := parentOf(pid)
		if err != nil || sid != pid || parent != os.Getpid() && parent != os.Getppid() || known(pid) {
			continue
		}
		if plan := stagePlan(pid); plan != nil && slices.Equal(plan.Env, s.Env) || plan == nil && hasEnvironment(pid, s) {
			return pid
		}
	}
	return 0
}

// stagePlan returns the plan of an exec stage, or nil.
func stagePlan(pid int) *posix.Plan {
	fd, _, ok := posix.StageFDs(arguments(pid))
	if !ok {
		return nil
	}
	text, err := os.ReadFile(procPath(pid, "fd", itoa(fd)))
	if err != nil {
		return nil
	}
	plan, _ := posix.DecodePlan(text)
	return plan
}

// Adopt implements platform.Processes.
func (p *Processes) Adopt(token uint64, pid int, expect job.ExpectKind, forks int) {
	if pid == 0 {
		return // gone, and nobody knows its pid
	}
	c := &child{token: token}
	p.children[pid] = c
	switch expect {
	case job.ExpectFork:
		c.forks = 1
	case job.ExpectDaemon:
		c.forks = 2 - forks
	}
	if !alive(pid) {
		c.unsure = true
		if parentOf(pid) != 0 { // else its end was told already, or will be
			p.overlook(pid)
		}
		return
	}
	p.overlook(pid)
	staged := p.rejoin(pid)
	if !staged {
		p.tell(engine.Executed{PID: pid})
	}
	if c.forks > 0 || expect == job.ExpectStop {
		p.follow(pid, expect, staged)
	}
}

// rejoin waits again for the report of an exec stage that is still at work:
// the pipe can be opened through it. It reports whether there is one.
func (p *Processes) rejoin(pid int) bool {
	_, report, ok := posix.StageFDs(arguments(pid))
	if !ok {
		return false
	}
	fd, err := unix.Open(procPath(pid, "fd", itoa(report)), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false // it became its program meanwhile
	}
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO || p.listen(pid, fd) != nil {
		unix.Close(fd)
		return false
	}
	return true
}

// Reaped implements platform.Processes.
func (p *Processes) Reaped(pid, code, status int, yield func(engine.Msg)) {
	c := p.children[pid]
	if c == nil {
		return
	}
	if c.unsure {
		p.tell(engine.Executed{PID: pid})
	}
	p.confirm(pid)
	p.ended(pid, statusOf(code, status))
	p.flush(yield)
}

// follow traces an adopted process until it is ready.
func (p *Processes) follow(pid int, expect job.ExpectKind, staged bool) {
	state := running
	switch {
	case expect == job.ExpectStop:
		state = pausing
	case staged:
		state = untried
	}
	switch {
	case statusField(pid, "TracerPid") == os.Getpid(): // this program was executed anew
		p.traced[pid] = &tracee{process: pid, state: state}
		p.anew = true
	case state == running:
		p.seizeAll(tracee{process: pid, state: state})
	default:
		p.seize(pid, &tracee{process: pid, state: state}, unix.PTRACE_O_TRACEEXEC)
		if staged && !isStage(pid) {
			unix.PtraceInterrupt(pid) // its execution may be over, and never be told
		}
	}
}

// retrace takes over what this program traced before it was executed anew. Of
// the stops that the kernel told of then it does not tell again.
func (p *Processes) retrace() {
	var stopped []int
	for _, pid := range allProcesses() {
		if statusField(pid, "TracerPid") != os.Getpid() {
			continue
		}
		for _, tid := range threads(pid) {
			switch t := p.traced[pid]; {
			case strings.HasPrefix(statusWord(tid, "State"), "t"):
				stopped = append(stopped, tid)
			case tid != pid && t != nil:
				n := *t
				n.state = running
				p.traced[tid] = &n
			case tid == pid && t == nil:
				p.traced[tid] = &tracee{process: pid, state: running, maker: parentOf(pid), helper: true}
			}
		}
	}
	for _, tid := range stopped {
		if _, told := waitChild(tid, unix.WSTOPPED|unix.WNOWAIT); told {
			continue // Collect comes to it
		}
		if status, ok := stopOf(tid); ok {
			p.trapped(tid, status)
		}
	}
}

// stopOf returns what wait told of the stop that a traced thread is in; there
// is none in a stop that it only has to leave by itself.
func stopOf(tid int) (status int, ok bool) {
	var info childInfo // its first fields are those of every siginfo
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_GETSIGINFO, uintptr(tid), 0, uintptr(unsafe.Pointer(&info)), 0, 0)
	if info.code>>8 != 0 {
		return int(info.code)&^0xff | int(info.signo), errno == 0
	}
	return int(info.signo), errno == 0
}

// seize begins to trace a thread, without stopping it. It fails for one that
// is gone, or was born traced meanwhile.
func (p *Processes) seize(tid int, t *tracee, options uintptr) error {
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(tid), 0, options, 0, 0)
	if errno != 0 {
		return errno
	}
	p.traced[tid] = t
	return nil
}

// seizeAll traces a process with its threads and what it has made so far,
// which counts as made by vfork: who made it shows when its maker ends.
func (p *Processes) seizeAll(t tracee) {
	for again := true; again; {
		again = false
		for _, tid := range threads(t.process) {
			if n := t; p.traced[tid] == nil && p.seize(tid, &n, traceOptions) == nil {
				again = true
			}
		}
	}
	for _, pid := range allProcesses() {
		if parentOf(pid) == t.process && p.traced[pid] == nil && alive(pid) {
			p.seizeAll(tracee{process: pid, state: running, maker: t.process, helper: true})
		}
	}
}

// inherit tells who follows an adopted process that ended well and made its
// forks while nobody looked: the last one left of its group, or of its
// session. A session of another process that is dead is a fork in between.
func (p *Processes) inherit(pid int, status job.Status) {
	c := p.children[pid]
	if c == nil || c.forks <= 0 || status != 0 {
		return
	}
	heir := p.heir(pid, c.token)
	if heir == 0 {
		return
	}
	sid, err := unix.Getsid(heir)
	if err == nil && c.forks > 1 && sid != pid && sid != heir && !alive(sid) {
		p.forked(pid, sid)
		p.forked(sid, heir)
		delete(p.children, sid)
	} else {
		p.forked(pid, heir)
	}
	if p.children[heir].forks > 0 {
		p.seizeAll(tracee{process: heir, state: running})
	}
}

// heir returns the youngest process that one left in its group or session, or 0.
func (p *Processes) heir(pid int, token uint64) (heir int) {
	group := p.cgroups.processes(token)
	if p.cgroups == nil {
		group = slices.DeleteFunc(allProcesses(), func(other int) bool {
			sid, err := unix.Getsid(other)
			return err != nil || sid != pid || !alive(other)
		})
	}
	for _, other := range group {
		if other != pid && p.children[other] == nil {
			heir = max(heir, other)
		}
	}
	return heir
}
