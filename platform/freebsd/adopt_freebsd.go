package freebsd

import (
	"os"
	"slices"
	"time"

	"onset/core/engine"
	"onset/core/job"
	"onset/platform"
	"onset/platform/posix"
)

// forkTime is how long a manager that dies may leave a process between fork
// and exec.
const forkTime = time.Second

// Find implements platform.Processes. The number of the token tells; it was
// written down before the process could be made, and the process after it.
func (p *Processes) Find(token uint64, s *job.Spec, known func(pid int) bool) platform.Found {
	own, ok := p.groups.of[token]
	if !ok {
		return platform.Found{}
	}
	for end := time.Now().Add(forkTime); p.forking(token) && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	pid := own.first
	if _, there := look(pid); !there {
		pid = p.leader(token)
	}
	if pid == 0 {
		return platform.Found{Started: own.first != 0}
	}
	p.Adopt(token, pid, s.Expect.Kind, true)
	return platform.Found{PID: pid, Started: true}
}

// forking reports whether a process of a token is still a copy of the manager
// that forked it.
func (p *Processes) forking(token uint64) bool {
	return slices.ContainsFunc(p.groups.members(token), func(pid int) bool {
		k, ok := look(pid)
		return ok && unborn(k)
	})
}

// leader returns the process of a token that leads its session, or 0.
func (p *Processes) leader(token uint64) int {
	for _, pid := range p.groups.members(token) {
		if k, ok := look(pid); ok && k.int(kinfoSID) == pid {
			return pid
		}
	}
	return 0
}

// Adopt implements platform.Processes.
func (p *Processes) Adopt(token uint64, pid int, expect job.ExpectKind, unready bool) {
	if pid == 0 {
		return // gone, and nobody knows its pid
	}
	x := job.Expect{Kind: expect}
	c := &posix.Child{Token: token, Follows: x.Follows()}
	p.Children[pid] = c
	p.groups.adopt(token, pid)
	k, ok := look(pid)
	c.Unsure = !ok || k.dead()
	if !c.Unsure || ok && k.parent() != 0 { // else its end was told already, or will be
		p.oversee(pid)
	}
	if !c.Unsure && !p.rejoin(pid) {
		p.Tell(engine.Executed{PID: pid})
	}
	switch {
	case c.Unsure || !unready:
	case x.Forks():
		p.followAll(token, pid)
	case expect == job.ExpectStop && k.parent() != os.Getpid():
		p.awaitStop(pid)
	}
}

// followAll follows what lives of a spawn. Who made whom is known of those
// whose parents live.
func (p *Processes) followAll(token uint64, main int) {
	t := p.follow(token, main)
	for again := t != nil; again; { // what was made meanwhile by one not followed yet
		again = false
		family, _ := p.groups.family(token)
		for pid := range family {
			if t.kins[pid] == nil && t.add(pid) {
				again = true
			}
		}
		for pid, parent := range family {
			if k := t.kins[pid]; k != nil && k.maker == nil {
				k.maker = t.kins[parent]
			}
		}
	}
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
