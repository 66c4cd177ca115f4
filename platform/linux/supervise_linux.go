package linux

import (
	"os"

	"golang.org/x/sys/unix"

	"onset/core/job"
	"onset/platform"
)

// Supervise implements platform.Processes.
func (p *Processes) Supervise(token uint64, pid int) {
	p.Enter(token, pid)
	p.overlook(pid)
}

// overlook sees to it that the end of a process is told that is the child of
// another one.
func (p *Processes) overlook(pid int) {
	if p.inherits(pid) {
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
	if p.Children[pid] != nil && !p.inherits(pid) {
		p.ended(pid, job.NoStatus)
	}
}

// inherits reports whether this process or its keeper learns of the end of a
// process.
func (p *Processes) inherits(pid int) bool {
	parent := parentOf(pid)
	return parent != 0 && (parent == os.Getpid() || parent == os.Getppid())
}
