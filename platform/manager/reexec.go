package manager

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/fact"
	"onset/core/job"
	"onset/core/snapshot"
	"onset/platform/bus"
	"onset/platform/keeper"
)

// legacy is what one image leaves for the next (UPSTART §8.6): the state, and
// the descriptors that go with it. Clients that wait keep waiting (DECISIONS
// 22), and what jobs print goes on being logged.
type legacy struct {
	State     []byte
	Listener  int // private socket; -1 without
	Clients   []bus.Conn
	PTYs      []pty
	Files     []int // that came with events, or were stored
	Signs     []sign
	Notify    []*notifySocket
	Unwritten []output

	// In the keeper's store for the bus; and, after a crash, which calls are
	// in the log.
	stored []keeper.Stored
	seen   func(call uint64) bool
}

type pty struct {
	Token uint64
	Path  string
	FD    int
}

// output is what jobs printed and is not in their log yet.
type output struct {
	Path string
	Data []byte
}

// Legacy returns what the image that follows is to be given as Config.State,
// and lets the descriptors in it survive an exec. Keep takes that back.
func (m *Manager) Legacy() ([]byte, error) {
	m.loop.Push(m.inbox...)
	m.inbox = nil
	for m.loop.Settle() != nil { // results that had not been heard
	}
	m.spill()
	m.notifyTaken()
	m.signsTaken()
	m.kept.acknowledge() // else the signal that asked for this comes again
	s := m.engine.State()
	l := legacy{State: snapshot.Encode(s), Listener: m.listener, Clients: m.bus.Handover(), Files: files(s), Notify: m.notify}
	m.logs.Unwritten(func(path string, data []byte) { l.Unwritten = append(l.Unwritten, output{path, data}) })
	m.logs.Masters(func(token uint64, path string, master int) {
		l.PTYs = append(l.PTYs, pty{token, path, master})
	})
	slices.SortFunc(l.PTYs, func(a, b pty) int { return int(a.Token) - int(b.Token) })
	for _, token := range slices.Sorted(maps.Keys(m.signs)) {
		l.Signs = append(l.Signs, *m.signs[token])
	}
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
	if m.kept != nil {
		m.kept.Keep()
	}
}

func (l *legacy) descriptors() []int {
	fds := slices.Clone(l.Files)
	if l.Listener >= 0 {
		fds = append(fds, l.Listener)
	}
	for _, c := range l.Clients {
		fds = append(fds, c.FD)
	}
	for _, p := range l.PTYs {
		fds = append(fds, p.FD)
	}
	for _, s := range l.Signs {
		fds = append(fds, s.FD)
	}
	for _, s := range l.Notify {
		fds = append(fds, s.FD)
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
	for _, o := range m.left.Unwritten {
		m.logs.Restore(o.Path, o.Data)
	}
	for _, p := range m.left.PTYs {
		unix.CloseOnExec(p.FD)
		if err := m.logs.Adopt(p.Token, p.Path, p.FD); err != nil {
			m.warn("%s", err)
		}
	}
	for _, c := range m.left.stored {
		kept = append(kept, m.bus.AdoptStored(c.Name, c.FD, m.left.seen))
	}
	for _, fd := range m.left.Files {
		unix.CloseOnExec(fd)
		m.files[fd] = true
	}
	m.adoptNotify(m.left.Notify)
	m.adoptSigns(m.left.Signs)
	s := m.engine.State()
	for _, conn := range connections(s) {
		if !slices.Contains(kept, conn) {
			m.happened(engine.Hungup{Conn: conn})
		}
	}
	m.left = legacy{}
	m.adopt(s)
}

// adopt takes over the processes there are, and waits for the end of what
// others left.
func (m *Manager) adopt(s *engine.State) {
	processes(s, func(c *engine.Class, j *engine.Instance, slot job.Slot) {
		expect := job.ExpectNone
		if slot == job.Main {
			expect = c.Def.Expect.Kind
		}
		p := j.Proc(slot)
		m.k.Processes.Adopt(p.Token, p.PID, expect, j.State == job.Spawned)
		if first := j.Report.First; slot == job.Main && first != 0 {
			m.k.Processes.Adopt(p.Token, first, job.ExpectNone, false)
		}
	})
	for _, c := range s.Classes {
		for _, j := range c.Instances {
			for _, token := range j.Remembered() {
				m.k.Processes.Await(token)
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
