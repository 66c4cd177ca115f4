package main

import (
	"os"

	"onset/platform/linux"
	"onset/platform/manager"
	"onset/platform/posix"
)

// What this kernel calls what every init needs.
var (
	signals        = linux.Signals
	prepareMachine = linux.PrepareMachine
	systemLog      = linux.SystemLog
	inContainer    = linux.InContainer
	appArmorUsable = linux.AppArmorUsable
	ownBinary      = linux.OwnBinary
)

// newKernel makes the back end; forget removes what it leaves outside of it.
func newKernel(o kernelOptions) (k manager.Kernel, forget func(), err error) {
	groups := ""
	if !o.noCgroups {
		groups = linux.JobCgroups(o.machine, func(text string) {
			if o.machine || !o.quiet { // that a session has none is no news
				o.warn(text)
			}
		})
	}
	forget = func() { linux.RemoveCgroups(groups) }
	poller, err := linux.NewPoller()
	if err != nil {
		return k, forget, err
	}
	processes, err := linux.NewProcesses(poller, linux.Options{
		CgroupRoot: groups, NoCgroups: o.noCgroups, Alone: o.machine, Umask: o.umask, Warn: o.warn, Notice: o.notice,
	})
	return manager.Kernel{Poller: poller, Processes: processes, Clock: posix.Clock,
		NewListens: linux.NewListens, ListenMemory: linux.ListenMemory}, forget, err
}

// singleUser is whether the kernel passes on -s for a shell before all else.
const singleUser = false

// startFirst has nothing to do: the kernel starts process 1 with its console
// and an environment.
func startFirst() {}

// consoleShell is what to run on the console when nothing else can be.
func consoleShell() []string {
	const login = "/sbin/sulogin"
	if _, err := os.Stat(login); err == nil {
		return []string{login}
	}
	return []string{"/bin/sh"}
}

// firstBinary is the path by which the keeper executes this program.
func firstBinary() string {
	self, err := os.Executable()
	if err != nil { // no /proc yet
		return os.Args[0]
	}
	return self
}

// upgraded reports whether the keeper's program is another than this.
func upgraded() bool {
	own, err := os.Stat("/proc/self/exe")
	if err != nil {
		return false
	}
	first, err := os.Stat("/proc/1/exe")
	return err == nil && !os.SameFile(own, first)
}
