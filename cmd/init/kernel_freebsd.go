package main

import (
	"onset/platform/freebsd"
	"onset/platform/manager"
	"onset/platform/posix"
)

// What this kernel calls what every init needs.
var (
	signals        = freebsd.Signals
	startFirst     = freebsd.StartFirst
	prepareMachine = freebsd.PrepareMachine
	systemLog      = freebsd.SystemLog
	inContainer    = freebsd.InContainer
	consoleShell   = freebsd.ConsoleShell
	ownBinary      = freebsd.OwnBinary
	upgraded       = freebsd.Upgraded
)

// singleUser is whether the kernel passes on -s for a shell before all else.
const singleUser = true

// appArmorUsable: there is none.
func appArmorUsable() bool { return false }

// firstBinary is the path by which the keeper executes this program.
func firstBinary() string {
	self, err := ownBinary()
	if err != nil {
		return "/sbin/init"
	}
	return self
}

// newKernel makes the back end; forget removes what it leaves outside of it.
func newKernel(o kernelOptions) (k manager.Kernel, forget func(), err error) {
	forget = func() {}
	poller, err := freebsd.NewPoller()
	if err != nil {
		return k, forget, err
	}
	processes, err := freebsd.NewProcesses(poller, freebsd.Options{Umask: o.umask, Alone: o.machine, Warn: o.warn, Notice: o.notice})
	if err != nil {
		return k, forget, err
	}
	return manager.Kernel{Poller: poller, Processes: processes, Clock: posix.Clock,
		NewListens: processes.NewListens, Remember: processes.Remember, GroupMemory: freebsd.GroupMemory}, forget, nil
}
