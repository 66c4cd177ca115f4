package linux

import (
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
	pid, err := p.Stage(plan.Trace, func(b *posix.Birth) (int, error) { return p.bear(n, plan, b) },
		func(pid int) { p.trace(n.Token, pid) })
	if err != nil {
		return platform.Started{}, err
	}
	p.staged++
	return platform.Started{PID: pid}, nil
}

// forkStage forks a stage, into its group and namespaces.
func (p *Processes) forkStage(n *newcomer, plan *posix.Plan, birth *posix.Birth) (int, error) {
	sys := p.attributes(n)
	p.birth(sys, plan.Isolation.Namespaces)
	pid, err := birth.Fork(p.binary, n.Newcomer, plan, sys)
	if err != nil && sys.UseCgroupFD && err != unix.EAGAIN && err != unix.ENOMEM {
		sys.UseCgroupFD = false // a kernel or a hierarchy that refuses it
		pid, err = birth.Fork(p.binary, n.Newcomer, plan, sys)
	}
	return pid, err
}

// plan is what the stage is to do for the process.
func (p *Processes) plan(n *newcomer) (*posix.Plan, error) {
	plan, a := p.maker.Plan(n.Newcomer), &n.Spec.Attrs
	if n.Spec.Slot == job.Main && a.AppArmor != "" && AppArmorUsable() {
		plan.Profile = a.AppArmor
	}
	if a.Isolation != nil && !plan.Bare {
		plan.Isolation.Namespaces = posix.Namespaces(a.Isolation, p.privileged)
		if err := p.processOne(n, plan); err != nil {
			return nil, err
		}
	}
	return plan, nil
}
