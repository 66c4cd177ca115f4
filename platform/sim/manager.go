package sim

import (
	"fmt"
	"strings"
	"time"

	"onset/core/engine"
	"onset/core/loop"
	"onset/core/snapshot"
)

// Manager is an engine that runs a world, with snapshot and log in memory
// that outlives it. It can be made to die before and after any note of the
// log, and its world goes on.
type Manager struct {
	World   *World
	Options engine.Options
	Engine  *engine.Engine

	// Stepped is told the effects of each step; may be nil.
	Stepped func(engine.Input, []engine.Effect)
	// Renew replaces the engine after each step; may be nil.
	Renew func(*engine.Engine) *engine.Engine
	// CrashIn is after how many moments the manager dies, of which there
	// are two a note: before and after it is written. Negative is never.
	CrashIn int
	// Crashes counts deaths.
	Crashes int
	// Budget bounds inputs and effects, for jobs that start each other for
	// ever; Pass returns early when it is used up. 0 is no bound.
	Budget int

	loop   loop.Loop
	snap   []byte
	log    *snapshot.Log
	inputs []engine.Input
	spent  int // of the budget
}

// Boot starts a manager with the configuration of the world.
func Boot(w *World, o engine.Options) *Manager {
	m := &Manager{World: w, Options: o, CrashIn: -1, log: snapshot.NewLog(nil)}
	m.log.Grow = true
	m.run(engine.New(o))
	m.Snapshot()
	m.loop.Push(w.Load())
	return m
}

func (m *Manager) run(e *engine.Engine) {
	m.Engine = e
	m.loop = loop.Loop{Engine: m, Platform: m.World, Journal: m, Dump: m.dump}
}

func (m *Manager) dump() string {
	text, err := snapshot.WriteState(m.Engine.State())
	if err != nil {
		panic("internal error: cannot write the state: " + err.Error())
	}
	return string(text)
}

// Snapshot takes a snapshot, behind which the log begins anew. The manager
// must be at rest.
func (m *Manager) Snapshot() {
	m.snap = snapshot.Encode(m.Engine.State())
	m.log.Reset(m.snap)
}

// Step implements loop.Engine.
func (m *Manager) Step(in engine.Input) []engine.Effect {
	effects := m.Engine.Step(in)
	if m.Stepped != nil {
		m.Stepped(in, effects)
	}
	if m.Renew != nil {
		m.Engine = m.Renew(m.Engine)
	}
	if m.spent += 1 + len(effects); m.Exhausted() {
		panic(exhausted{})
	}
	return effects
}

// Deadline implements loop.Engine.
func (m *Manager) Deadline() (time.Duration, bool) { return m.Engine.Deadline() }

// Append implements loop.Journal.
func (m *Manager) Append(in engine.Input) {
	m.mayCrash()
	m.log.Append(in)
	m.inputs = append(m.inputs, in)
	m.World.Taken(in.Msg)
	m.mayCrash()
}

// Begin implements loop.Journal.
func (m *Manager) Begin(k int) {
	m.mayCrash()
	m.log.Begin(k)
	m.mayCrash()
}

// Inputs returns every input since the boot.
func (m *Manager) Inputs() []engine.Input { return m.inputs }

// Panics that unwind the loop: of a manager that dies, and of one that has
// used up its budget.
type (
	crash     struct{}
	exhausted struct{}
)

func (m *Manager) mayCrash() {
	if m.CrashIn--; m.CrashIn == -1 {
		panic(crash{})
	}
	m.CrashIn = max(m.CrashIn, -1)
}

// Pass lets time go by, with everything that happens meanwhile.
func (m *Manager) Pass(d time.Duration) {
	m.World.Limit += d
	for !m.Exhausted() && m.turn() {
	}
}

// Exhausted reports whether the budget is used up.
func (m *Manager) Exhausted() bool { return m.Budget > 0 && m.spent >= m.Budget }

// turn works until the loop has to wait, and waits once. It returns false
// when there is nothing more to wait for within the limit.
func (m *Manager) turn() bool {
	if m.guarded(func() { m.loop.Settle() }) {
		return true
	}
	switch m.World.Ended.(type) {
	case engine.Exit:
		return false
	case engine.Reexec:
		m.World.Reexecuted()
		m.restart()
	}
	msgs := m.World.Wait(m.Engine.Deadline())
	m.loop.Push(msgs...)
	at, ok := m.Engine.Deadline()
	return len(msgs) > 0 || ok && at <= m.World.mono
}

// guarded does something that may crash the manager, and then restarts it.
func (m *Manager) guarded(do func()) (crashed bool) {
	defer func() {
		if r := recover(); r != nil {
			switch r {
			case crash{}:
				crashed = true
				m.Crash()
			case exhausted{}:
			default:
				panic(r)
			}
		}
	}()
	do()
	return false
}

// Crash kills the manager while it rests.
func (m *Manager) Crash() {
	m.Crashes++
	m.World.Crashed()
	m.restart()
}

// restart brings up a new manager on what the one before left.
func (m *Manager) restart() {
	m.CrashIn = -1
	r, err := snapshot.Recover(m.snap, m.log.Bytes(), false)
	if err != nil || len(r.Faults) > 0 || r.Torn {
		panic(fmt.Sprintf("internal error: cannot recover: %v, %+v", err, r))
	}
	r.Log.Grow = true
	m.log = r.Log
	m.run(r.Engine)
	for _, c := range r.Engine.State().Classes {
		for _, j := range c.Instances {
			for _, token := range j.Remembered() {
				m.World.Await(token)
			}
		}
	}
	m.loop.Resume(r.Backlog.Left())
}

// Describe writes an effect as one line that says all about it.
func Describe(e engine.Effect) string {
	var s string
	switch e := e.(type) {
	case engine.Spawn:
		spec := *e.Spec
		if isolation := spec.Attrs.Isolation; isolation != nil {
			s = fmt.Sprintf(" %+v", *isolation)
			spec.Attrs.Isolation = nil
		}
		s = fmt.Sprintf("Spawn %d %+v", e.Token, spec) + s
	case engine.Respond:
		s = fmt.Sprintf("Respond %d %d %v", e.Call, e.Conn, e.Reply.Values)
		if e.Reply.Err != nil {
			s += fmt.Sprintf(" %+v", *e.Reply.Err)
		}
	default:
		s = strings.TrimPrefix(fmt.Sprintf("%T %+v", e, e), "engine.")
	}
	return s
}
