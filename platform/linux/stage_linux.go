package linux

import (
	"os"
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
	fd, err := Memory("plan", plan.Encode())
	if err != nil {
		return platform.Started{}, underlying(err)
	}
	defer unix.Close(fd)
	unix.CloseOnExec(fd)
	var report [2]int
	if err := unix.Pipe2(report[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return platform.Started{}, err
	}
	pid, err := p.forkStage(n, uintptr(fd), uintptr(report[1]))
	unix.Close(report[1])
	if err == nil {
		err = p.watch(pid, report[0])
	}
	if err != nil {
		unix.Close(report[0])
		return platform.Started{}, err
	}
	p.staged++
	return platform.Started{PID: pid}, nil
}

// watch waits for what the exec stage of a process reports.
func (p *Processes) watch(pid, fd int) error {
	p.children[pid] = &child{stage: &posix.Report{FD: fd}}
	err := p.poller.Add(fd, platform.Readable, func(platform.Ready) { p.confirm(pid) })
	if err != nil {
		p.children[pid] = &child{failed: true} // nobody hears of it
		unix.Kill(pid, unix.SIGKILL)
		return underlying(err)
	}
	return nil
}

// forkStage executes the own binary with the plan and the report behind the
// descriptors of the process.
func (p *Processes) forkStage(n *newcomer, plan, report uintptr) (int, error) {
	files := append(append([]uintptr{}, n.files...), plan, report)
	argv := posix.StageArgv(len(files)-2, len(files)-1)
	attr := &syscall.ProcAttr{Env: posix.StageEnv, Files: files, Sys: p.attributes(n)}
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
		Argv: n.program.Argv, Env: s.Env, Script: n.script.Read >= 0, Trace: traces(s), Debug: s.Debug,
		Console: a.Console, ConsolePath: p.o.Console, Bare: s.Slot == job.Security,
		Umask: a.Umask, Nice: a.Nice, HasNice: a.HasNice, OOM: a.OOM,
		Root: s.Root, Chroot: a.Chroot, Dir: directory(s), Setuid: a.Setuid, Setgid: a.Setgid,
		Tmpfiles: a.Tmpfiles,
	}
	copy(plan.Limits[:], a.Limits)
	if s.Slot == job.Main && a.AppArmor != "" && AppArmorUsable() {
		plan.Profile = a.AppArmor
	}
	if i := a.Isolation; i != nil && !plan.Bare {
		if what := unsupported(i); what != "" {
			return nil, &platform.SpawnError{Reason: "unable to set up " + what + ": " + posix.Strerror(unix.ENOSYS)}
		}
		plan.IOPrio, plan.CPUAffinity, plan.Sched, plan.SchedPrio = i.IOPrio, i.CPUAffinity, i.Sched, i.SchedPrio
	}
	return plan, nil
}

// unsupported names a stanza of isolation that cannot be honoured. To run the
// job without it would be worse than not to run it.
func unsupported(i *job.Isolation) string {
	for _, c := range []struct {
		what string
		used bool
	}{
		{"namespaces", len(i.Namespaces) > 0},
		{"private", len(i.Private) > 0},
		{"read-only paths", len(i.ReadOnly) > 0},
		{"hidden paths", len(i.Hide) > 0},
		{"bind mounts", len(i.Bind) > 0},
		{"capabilities", len(i.CapBounding)+len(i.CapAmbient) > 0},
		{"no new privileges", i.NoNewPrivs},
		{"seccomp", i.Seccomp != ""},
		{"setgroups", len(i.Setgroups) > 0},
		{"credentials", len(i.Credentials) > 0},
		{"environment files", len(i.EnvFiles) > 0},
	} {
		if c.used {
			return c.what
		}
	}
	return ""
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
