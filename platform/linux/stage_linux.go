package linux

import (
	"os"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"onset/core/job"
	"onset/platform"
	"onset/platform/posix"
)

// stage starts a process through the exec stage.
func (p *Processes) stage(n *newcomer) (platform.Started, error) {
	plan, err := p.plan(n)
	if err != nil {
		return platform.Started{}, err
	}
	var report [2]int
	if err := unix.Pipe2(report[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return platform.Started{}, err
	}
	gate, open, err := newGate(plan.Trace)
	if err != nil {
		closeAll(report[:])
		return platform.Started{}, err
	}
	pid, err := p.bear(n, plan, uintptr(report[1]), gate)
	unix.Close(report[1])
	if err == nil {
		err = p.watch(pid, report[0])
	}
	if err == nil && plan.Trace {
		p.trace(n.token, pid)
	}
	open()
	if err != nil {
		if c := p.children[pid]; c == nil || c.stage == nil {
			unix.Close(report[0])
		}
		return platform.Started{}, err
	}
	p.staged++
	return platform.Started{PID: pid}, nil
}

// newGate returns the descriptor at which a stage that is to be traced waits
// until open is called, or its manager dies; none for another.
func newGate(traced bool) (gate []uintptr, open func(), err error) {
	if !traced {
		return nil, func() {}, nil
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, err
	}
	return []uintptr{uintptr(fds[0])}, func() { closeAll(fds[:]) }, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// giveUp ends a process that was not told of.
func (p *Processes) giveUp(pid int) {
	p.children[pid].failed = true
	unix.Kill(pid, unix.SIGKILL)
}

// watch waits for what the exec stage of a process reports.
func (p *Processes) watch(pid, fd int) error {
	p.children[pid] = &child{}
	err := p.listen(pid, fd)
	if err != nil {
		p.giveUp(pid)
	}
	return err
}

func (p *Processes) listen(pid, fd int) error {
	err := p.poller.Add(fd, platform.Readable, func(platform.Ready) { p.confirm(pid) })
	if err == nil {
		c := p.children[pid]
		c.stage = &posix.Report{FD: fd, Notice: func(text string) { p.o.Notice(c.token, text) }}
	}
	return underlying(err)
}

// forkStage executes the own binary with the plan and the report behind the
// descriptors of the process, and the gate behind these.
func (p *Processes) forkStage(n *newcomer, plan *posix.Plan, report uintptr, gate []uintptr) (int, error) {
	fd, err := posix.Memory("plan", plan.Encode())
	if err != nil {
		return 0, underlying(err)
	}
	defer unix.Close(fd)
	argv := posix.StageArgv(len(n.files), len(n.files)+1)
	files := slices.Concat(n.files, []uintptr{uintptr(fd), report}, gate)
	if n.listens() {
		files = append(files, uintptr(n.sign))
	}
	attr := &syscall.ProcAttr{Env: posix.StageEnv, Files: files, Sys: p.attributes(n)}
	p.birth(attr.Sys, plan.Isolation.Namespaces)
	path := "/proc/self/fd/" + strconv.Itoa(p.binary)
	pid, err := syscall.ForkExec(path, argv, attr)
	if err != nil && attr.Sys.UseCgroupFD && err != unix.EAGAIN && err != unix.ENOMEM {
		attr.Sys.UseCgroupFD = false // a kernel or a hierarchy that refuses it
		pid, err = syscall.ForkExec(path, argv, attr)
	}
	return pid, err
}

// plan is the spec in the terms of the stage.
func (p *Processes) plan(n *newcomer) (*posix.Plan, error) {
	s, a := n.spec, &n.spec.Attrs
	plan := &posix.Plan{
		Argv: n.program.Argv, Env: s.Env, Script: n.script >= 0, Trace: traces(s), Debug: s.Debug,
		Console: a.Console, ConsolePath: p.o.Console, Bare: s.Slot == job.Security,
		Umask: a.Umask, Nice: a.Nice, HasNice: a.HasNice, OOM: a.OOM,
		Root: s.Root, Chroot: a.Chroot, Dir: directory(s), Setuid: a.Setuid, Setgid: a.Setgid,
		Tmpfiles: a.Tmpfiles, Listen: n.listens(), ListenNames: s.ListenNames, Cgroups: n.join,
	}
	copy(plan.Limits[:], a.Limits)
	if s.Slot == job.Main && a.AppArmor != "" && AppArmorUsable() {
		plan.Profile = a.AppArmor
	}
	if i := a.Isolation; i != nil && !plan.Bare {
		plan.Isolation = *i
		plan.Isolation.Namespaces = posix.Namespaces(i, p.privileged)
		if err := p.processOne(n, plan); err != nil {
			return nil, err
		}
	}
	return plan, nil
}

func underlying(err error) error {
	switch e := err.(type) {
	case *os.SyscallError:
		return e.Err
	case *os.PathError:
		return e.Err
	}
	return err
}
