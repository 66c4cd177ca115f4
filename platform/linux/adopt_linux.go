package linux

import (
	"os"
	"slices"
	"time"

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
	p.Adopt(token, pid, s.Expect.Kind, true)
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
func (p *Processes) Adopt(token uint64, pid int, expect job.ExpectKind, unready bool) {
	if pid == 0 {
		return // gone, and nobody knows its pid
	}
	x := job.Expect{Kind: expect}
	c := &posix.Child{Token: token, Follows: x.Follows()}
	p.Children[pid] = c
	c.Session, _ = unix.Getsid(pid)
	p.anew = p.anew || parentOf(pid) == os.Getpid()
	c.Unsure = !alive(pid)
	if !c.Unsure || parentOf(pid) != 0 { // else its end was told already, or will be
		p.oversee(pid)
	}
	if !c.Unsure && !p.rejoin(pid) {
		p.Tell(engine.Executed{PID: pid})
	}
	if unready && x.Forks() {
		p.seizeTree(pid, c)
	} else if unready && expect == job.ExpectStop && seize(pid, 0) == nil {
		p.traced[pid] = &tracee{}
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
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO || p.Attend(pid, fd) != nil {
		unix.Close(fd)
		return false
	}
	return true
}

// Reaped implements platform.Processes.
func (p *Processes) Reaped(pid, code, status int, yield func(engine.Msg)) {
	c := p.Children[pid]
	if c == nil {
		return
	}
	if c.Unsure {
		p.Tell(engine.Executed{PID: pid})
	}
	p.Confirm(pid)
	p.ended(pid, posix.StatusOf(code, status))
	p.Flush(yield)
}

// seizeTree traces what lives of a spawn. Who made whom is known of those whose
// parents live. Of a process that nobody traces only the first thread is: an
// execution of another waits for the end of all traced ones to be taken, and a
// seizure waits for the execution.
func (p *Processes) seizeTree(main int, c *posix.Child) {
	t := &tree{token: c.Token}
	kins := map[int]*kin{}
	for again := true; again; { // what was made meanwhile by one not traced yet
		again = false
		for pid := range p.family(main, c) {
			if kins[pid] == nil {
				kins[pid] = &kin{pid: pid, tree: t}
			}
			for _, tid := range threads(pid) {
				if p.traced[tid] == nil && (tracedHere(tid) || tid == pid && seize(tid, traceOptions) == nil) {
					p.traced[tid] = &tracee{of: kins[pid]}
					again = true
				}
			}
		}
	}
	for pid, k := range kins {
		k.maker = kins[parentOf(pid)]
	}
}

// loseStrays lets go what this program traced before it was executed anew and
// is of no tree that goes on being traced.
func (p *Processes) loseStrays() {
	for _, pid := range allProcesses() {
		for _, tid := range threads(pid) {
			if p.traced[tid] == nil && tracedHere(tid) && p.early(tid) == nil {
				p.leaveBorn(tid)
			}
		}
	}
}
