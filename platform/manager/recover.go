package manager

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"onset/core/control"
	"onset/core/engine"
	"onset/core/job"
	"onset/core/loop"
	"onset/platform/keeper"
)

// PutBack gives descriptors that came with events the number they had in the
// manager before. It comes before anything else opens descriptors.
func PutBack(stored []keeper.Stored, warn func(string)) {
	for i := range stored {
		s := &stored[i]
		if n, ok := number(s.Name, fileName); ok && s.FD >= 0 && s.FD != n {
			if err := makeRoom(stored, n); err != nil {
				warn("a descriptor of an event is lost: " + err.Error())
				continue
			}
			unix.Dup3(s.FD, n, unix.O_CLOEXEC)
			unix.Close(s.FD)
			s.FD = n
		}
	}
}

// makeRoom moves the stored descriptor that has a number out of the way.
func makeRoom(stored []keeper.Stored, n int) (err error) {
	for i := range stored {
		if stored[i].FD == n {
			stored[i].FD, err = unix.FcntlInt(uintptr(n), unix.F_DUPFD_CLOEXEC, firstFile)
		}
	}
	return err
}

func number(name, prefix string) (n int, ok bool) {
	rest, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(rest)
	return n, err == nil
}

// recover makes the engine out of what a manager that died left, and reports
// whether it left anything. What it says waits for the system's log.
func (m *Manager) recover() bool {
	k := m.kept
	r, err := k.Memory.Recover(k.Predecessor.Poisoned)
	if err == keeper.ErrEmpty {
		return false
	}
	if err != nil {
		m.say(engine.Error, "Failed to recover the state, jobs that run go on unsupervised: "+err.Error())
		return false
	}
	m.engine, k.log = r.Engine, r.Log
	k.left, k.faults, k.ended = r.Backlog, r.Faults, r.Ended
	m.say(engine.Warn, fmt.Sprintf("Recovered from the death of the manager (%s)", howDied(k.Predecessor)))
	for _, f := range r.Faults {
		m.say(engine.Error, fmt.Sprintf("Left out %T, which the manager may have died of: %s", f.Input.Msg, f.Panic))
	}
	m.left = m.sort()
	seen := map[uint64]bool{}
	for _, who := range r.Callers {
		seen[who.ID] = true
		k.conns = max(k.conns, who.Conn)
	}
	m.left.seen = func(call uint64) bool { return seen[call] }
	return true
}

func howDied(p keeper.Predecessor) string {
	if p.Code == cldExited {
		return "exit status " + strconv.Itoa(p.Status)
	}
	return "signal " + strconv.Itoa(p.Status)
}

const cldExited = 1 // CLD_EXITED, on every kernel

// sort makes a legacy of the descriptors in the keeper's store.
func (m *Manager) sort() legacy {
	l := legacy{Listener: -1}
	used := files(m.engine.State())
	for _, s := range m.kept.Stored {
		switch {
		case s.Name == crashName && s.FD >= 0:
			m.fileCrash(s.FD)
		case s.FD < 0 || !l.take(s, used):
			m.kept.drop(s.Name)
			closeFile(s.FD)
		}
	}
	return l
}

// take adds a stored descriptor to a legacy, if anybody needs it.
func (l *legacy) take(s keeper.Stored, used []int) bool {
	if s.Name == socketName {
		l.Listener = s.FD
		return true
	}
	if n, ok := number(s.Name, fileName); ok {
		if !slices.Contains(used, n) {
			return false
		}
		l.Files = append(l.Files, n)
		return true
	}
	if rest, ok := strings.CutPrefix(s.Name, logName); ok {
		text, path, _ := strings.Cut(rest, " ")
		token, err := strconv.ParseUint(text, 10, 64)
		l.PTYs = append(l.PTYs, pty{token, path, s.FD})
		return err == nil
	}
	if sign, ok := storedSign(s.Name, s.FD); ok {
		l.Signs = append(l.Signs, sign)
		return true
	}
	if socket, ok := storedNotifySocket(s.Name, s.FD); ok {
		l.Notify = append(l.Notify, socket)
		return true
	}
	l.stored = append(l.stored, s)
	return true
}

// resume goes on where the manager before stopped.
func (m *Manager) resume() {
	k := m.kept
	if err := k.Missed(func(e keeper.Event) { k.dead = append(k.dead, e) }); err != nil {
		m.lostKeeper(err)
	}
	for _, f := range k.faults {
		if c, ok := f.Input.Msg.(engine.Called); ok {
			m.bus.Respond(c.Caller.ID, c.Caller.Conn, control.Reply{Err: control.SystemError("init failed on this request")})
		}
	}
	if _, ok := m.loop.Resume(k.left.Left()).(engine.Reexec); ok { // this is the next image already
		m.loop.Push(engine.Told{What: engine.Restarted})
	}
	k.left, k.faults = loop.Backlog{}, nil
	m.missHeirs()
}

// missHeirs tells the end of main processes that were named with MAINPID= and
// reaped by their own parent while there was no manager.
func (m *Manager) missHeirs() {
	processes(m.engine.State(), func(_ *engine.Class, j *engine.Instance, slot job.Slot) {
		pid := j.Proc(slot).PID
		if slot == job.Main && j.Report.First != 0 && m.k.Processes.TokenOf(pid) == 0 && !m.kept.diedAlready(pid) {
			m.happened(engine.Exited{PID: pid, Status: job.NoStatus})
		}
	})
}

// diedAlready reports whether a process that an effect is about ended before
// this manager began: its number may be another's by now.
func (k *kept) diedAlready(pid int) bool {
	return k != nil && slices.ContainsFunc(k.dead, func(e keeper.Event) bool { return e.PID == pid && pid != 0 })
}

// stranger returns the youngest process that ended and that the engine does not
// know and did not know, or 0: the one whose start the manager before did not live to note;
// others are orphans. It may have ended a moment ago, so the keeper may be about
// to tell.
func (m *Manager) stranger() int {
	k := m.kept
	for end := time.Now().Add(time.Second); ; {
		youngest := 0
		for _, e := range k.dead {
			if e.PID > youngest && !m.knows(e.PID) && !slices.Contains(k.ended, e.PID) {
				youngest = e.PID
			}
		}
		if youngest != 0 {
			return youngest
		}
		left := time.Until(end)
		if left <= 0 || k.Await(left) != nil {
			return 0
		}
		if err := k.Receive(func(e keeper.Event) { k.dead = append(k.dead, e) }); err != nil {
			m.lostKeeper(err)
		}
	}
}

// knows reports whether a process is that of a slot.
func (m *Manager) knows(pid int) (known bool) {
	processes(m.engine.State(), func(_ *engine.Class, j *engine.Instance, slot job.Slot) {
		known = known || j.Proc(slot).PID == pid || j.Report.First == pid
	})
	return known
}

// processes calls yield with every slot that has a process.
func processes(s *engine.State, yield func(*engine.Class, *engine.Instance, job.Slot)) {
	for _, c := range s.Classes {
		for _, j := range c.Instances {
			for slot, p := range j.Live {
				if p.PID != 0 {
					yield(c, j, job.Slot(slot))
				}
			}
		}
	}
}

// reread tells the engine what changed in the configuration while there was
// no manager.
func (m *Manager) reread() {
	if !m.c.Watch {
		return
	}
	loaded := m.load(m.engine.State().Sessions...)
	if !slices.EqualFunc(loaded.Sources, m.engine.State().Sources, sameSource) {
		m.loop.Push(loaded)
	}
}

// sameSource reports whether a source is as the engine knows it.
func sameSource(src engine.Source, known *engine.ConfSource) bool {
	if src.Path != known.Path || src.Session != known.Session {
		return false
	}
	have := map[string]string{}
	for _, table := range []map[string]*engine.ConfFile{known.Confs, known.Overs, known.Aliases} {
		for _, f := range table {
			have[f.Path] = f.Text
		}
	}
	for _, f := range src.Files {
		if text, ok := have[f.Path]; !ok || text != f.Text {
			return false
		}
		delete(have, f.Path)
	}
	return len(have) == 0
}

// files returns the descriptors that came with events or facts, or were stored,
// and are in use.
func files(s *engine.State) []int {
	var all []int
	for _, ev := range s.Events {
		all = append(all, ev.File)
	}
	for _, f := range s.Facts {
		all = append(all, f.File)
	}
	for _, c := range s.Classes {
		for _, j := range c.Instances {
			for _, f := range slices.Concat(j.Files, j.StartFiles, j.Stored) {
				all = append(all, f.File)
			}
		}
	}
	for _, h := range s.Held {
		all = append(all, h.Call.File)
	}
	return slices.DeleteFunc(all, func(fd int) bool { return fd == 0 })
}
