package sim

import (
	"onset/core/engine"
	"onset/core/job"
)

// members returns the living processes that came of a spawn, by pid.
func (w *World) members(token uint64) (all []*Process) {
	for _, p := range w.procs {
		if p.Token == token && p.Alive() {
			all = append(all, p)
		}
	}
	return all
}

// exit is what init is told of the end of a process that has died.
func (w *World) exit(p *Process) engine.Exited {
	m := engine.Exited{PID: p.PID, Status: p.status, OOM: p.starved}
	if !w.NoGroups {
		m.Left = len(w.members(p.Token))
	}
	if p.Spec.Slot == job.Main && p.Spec.Expect.Follows() {
		if heir := w.heir(p); heir != nil {
			m.Heir, m.Forks = heir.PID, forks(p, heir)
		}
	}
	return m
}

// heir returns the process that goes on without its parents when p has died:
// of several that with most descendants, then the oldest. What is traced or in
// a group of its own is known by that, and else by its process group.
func (w *World) heir(p *Process) (best *Process) {
	most := -1
	for _, q := range w.members(p.Token) {
		if q.Parent != initPID || w.NoGroups && !q.traced && q.Group != p.Group {
			continue
		}
		n := 0
		for _, d := range w.members(p.Token) {
			if w.descends(d, q) {
				n++
			}
		}
		if n > most {
			best, most = q, n
		}
	}
	return best
}

func (w *World) descends(p, from *Process) bool {
	for p != nil && p != from {
		p = w.Find(p.Parent)
	}
	return p != nil
}

// forks counts the forks from one process to another, if all were traced.
func forks(from, to *Process) (n int) {
	for p := to; p != from; p = p.parent {
		if p == nil || !p.traced {
			return 0
		}
		n++
	}
	return n
}

// detach ends the tracing of all that came of the same spawn.
func (w *World) detach(pid int) {
	if p := w.Find(pid); p != nil {
		for _, q := range w.members(p.Token) {
			q.traced = false
		}
	}
}

// Await tells when the last process of a spawn has died, at once if it has.
func (w *World) Await(token uint64) {
	w.awaited[token] = true
	w.emptied(token)
}

func (w *World) emptied(token uint64) {
	if w.awaited[token] && len(w.members(token)) == 0 {
		delete(w.awaited, token)
		w.told[token] = true
		w.happen(engine.Emptied{Token: token})
	}
}
