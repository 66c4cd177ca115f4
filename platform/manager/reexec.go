package manager

import (
	"encoding/json"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/fact"
	"onset/core/job"
	"onset/core/snapshot"
	"onset/platform/bus"
)

// legacy is what one image leaves for the next (UPSTART §8.6): the state, and
// the descriptors that go with it. Clients that wait keep waiting (DECISIONS
// 22), and what jobs print goes on being logged.
type legacy struct {
	State    []byte
	Listener int // private socket; -1 without
	Clients  []bus.Conn
	PTYs     []pty
}

type pty struct {
	Token uint64
	Path  string
	FD    int
}

// Legacy returns what the image that follows is to be given as Config.State,
// and lets the descriptors in it survive an exec. Keep takes that back.
func (m *Manager) Legacy() ([]byte, error) {
	for m.loop.Settle() != nil { // results that had not been heard
	}
	l := legacy{State: snapshot.Encode(m.engine.State()), Listener: m.listener, Clients: m.bus.Handover()}
	m.logs.Masters(func(token uint64, path string, master int) {
		l.PTYs = append(l.PTYs, pty{token, path, master})
	})
	slices.SortFunc(l.PTYs, func(a, b pty) int { return int(a.Token) - int(b.Token) })
	m.bequeathed = l.descriptors()
	for _, fd := range m.bequeathed {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
			m.Keep()
			return nil, fmt.Errorf("cannot pass on descriptor %d: %w", fd, err)
		}
	}
	return json.Marshal(l)
}

// Keep makes the descriptors of Legacy this image's own again, after an exec
// that failed.
func (m *Manager) Keep() {
	for _, fd := range m.bequeathed {
		unix.CloseOnExec(fd)
	}
	m.bequeathed = nil
}

func (l *legacy) descriptors() []int {
	var fds []int
	if l.Listener >= 0 {
		fds = append(fds, l.Listener)
	}
	for _, c := range l.Clients {
		fds = append(fds, c.FD)
	}
	for _, p := range l.PTYs {
		fds = append(fds, p.FD)
	}
	return fds
}

// inherit takes over what the image before left.
func (m *Manager) inherit() {
	m.Keep()
	var kept []uint64
	for _, c := range m.left.Clients {
		unix.CloseOnExec(c.FD)
		if err := m.bus.Adopt(c); err != nil {
			m.warn("cannot go on serving a client: %s", err)
			continue
		}
		kept = append(kept, c.ID)
	}
	for _, p := range m.left.PTYs {
		unix.CloseOnExec(p.FD)
		if err := m.logs.Adopt(p.Token, p.Path, p.FD); err != nil {
			m.warn("%s", err)
		}
	}
	s := m.engine.State()
	for _, conn := range connections(s) {
		if !slices.Contains(kept, conn) {
			m.loop.Push(engine.Hungup{Conn: conn})
		}
	}
	m.confirm(s)
}

// confirm counts a process as executing its program whose confirmation the
// image before did not live to hear; had it failed, its end would follow.
func (m *Manager) confirm(s *engine.State) {
	for _, c := range s.Classes {
		for _, j := range c.Instances {
			if p := j.Procs[job.Main]; j.State == job.Spawned && p.PID != 0 {
				m.loop.Push(engine.Executed{PID: p.PID})
			}
		}
	}
}

// connections returns those that anything in a state belongs to.
func connections(s *engine.State) []uint64 {
	var conns []uint64
	for _, ev := range s.Events {
		for _, w := range ev.Waiters {
			conns = append(conns, w.Conn)
		}
	}
	for _, c := range s.Classes {
		for _, j := range c.Instances {
			for _, w := range j.Waiters {
				if w.Call != nil {
					conns = append(conns, w.Call.Conn)
				}
			}
		}
	}
	for _, f := range s.Facts {
		if f.Owner.Kind == fact.Source {
			conns = append(conns, f.Owner.ID)
		}
	}
	for _, a := range append(slices.Clone(s.Reloads), s.Asks...) {
		conns = append(conns, a.Conn)
	}
	for _, h := range s.Held {
		conns = append(conns, h.Caller.Conn)
	}
	slices.Sort(conns)
	return slices.DeleteFunc(slices.Compact(conns), func(c uint64) bool { return c == 0 })
}
