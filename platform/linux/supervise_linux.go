package linux

import (
	"golang.org/x/sys/unix"

	"onset/core/job"
	"onset/platform"
	"onset/platform/posix"
)

// Supervise implements platform.Processes.
func (p *Processes) Supervise(token uint64, pid int) {
	p.Enter(token, pid)
	p.oversee(pid)
}

// oversee sees to it that the end of a process is told that is the child of
// another one.
func (p *Processes) oversee(pid int) {
	if posix.Inherits(parentOf(pid)) {
		return
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err == nil {
		err = p.Poller.Add(fd, platform.Readable, func(platform.Ready) {
			p.Poller.Remove(fd)
			unix.Close(fd)
			p.vanished(pid)
		})
	}
	if err == unix.ESRCH {
		p.vanished(pid)
		p.Poller.Wake()
	}
}

// vanished tells the end of a process, unless wait or the keeper does. How it ended
// is its parent's to know.
func (p *Processes) vanished(pid int) {
	if p.Children[pid] != nil && !posix.Inherits(parentOf(pid)) {
		p.ended(pid, job.NoStatus)
	}
}
