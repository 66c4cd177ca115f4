package engine

import (
	"slices"
	"time"

	"onset/core/cause"
	"onset/core/fact"
	"onset/core/job"
)

const (
	// sourceGrace is how long the facts of a lost connection still hold, so that
	// a source that is started again and tells them again causes no flapping
	// (EXTENSIONS §1).
	sourceGrace = 5 * time.Second
	// lastGrace is how long they do while the job whose main told them is on its
	// way up again: as long as init waits for one to be ready.
	lastGrace = 90 * time.Second
)

func (e *Engine) grace(conn uint64) *Grace {
	i := slices.IndexFunc(e.s.Graces, func(g Grace) bool { return g.Conn == conn })
	if i < 0 {
		return nil
	}
	return &e.s.Graces[i]
}

// noteSource notes of which instance's main a connection is that has facts.
func (e *Engine) noteSource(conn uint64, pid int) {
	if p, ok := e.byPID[pid]; ok && p.slot == job.Main && e.grace(conn) == nil {
		e.s.Graces = append(e.s.Graces, Grace{Conn: conn, Instance: p.inst.ID})
	}
}

// sourceLost gives the facts of a connection that is gone their grace time.
func (e *Engine) sourceLost(conn uint64) {
	g := e.grace(conn)
	if !slices.ContainsFunc(e.facts.All(), ownedBy(conn)) {
		e.forgetSource(conn)
		return
	}
	if g == nil {
		e.s.Graces = append(e.s.Graces, Grace{Conn: conn})
		g = e.grace(conn)
	}
	g.Due, g.Last = e.now()+sourceGrace, e.now()+lastGrace
	e.arm(timer{due: g.Due, kind: graceTimer, id: conn})
}

// inherit has a source that tells a fact again have what a lost connection holds
// of it: however often a source dies, it is there once.
func (e *Engine) inherit(f *fact.Fact) {
	if len(e.s.Graces) > 0 {
		e.facts.Inherit(f, func(o fact.Owner) bool { return o.Kind == fact.Source && e.isLost(o.ID) })
	}
}

func (e *Engine) isLost(conn uint64) bool {
	g := e.grace(conn)
	return g != nil && g.Due != 0
}

// graceOver drops the facts of a connection that did not come back, unless the
// job of it is still on its way up.
func (e *Engine) graceOver(conn uint64) {
	g := e.grace(conn)
	j := e.instances[g.Instance]
	if j == nil || j.Goal != job.GoalStart || j.State == job.Running || e.now() >= g.Last {
		e.endGrace(conn)
		return
	}
	g.Due = min(e.now()+sourceGrace, g.Last)
	e.arm(timer{due: g.Due, kind: graceTimer, id: conn})
}

// endGrace drops the facts of a connection whose process is gone.
func (e *Engine) endGrace(conn uint64) {
	e.forgetSource(conn)
	e.because(cause.Init, nil, "the source of facts went away")
	own := ownedBy(conn)
	for _, f := range e.facts.All() {
		if own(f) {
			e.retractFacts(f.Name, own)
		}
	}
}

// endGraces drops the facts that an instance's main told, since it is not started
// again.
func (e *Engine) endGraces(j *Instance) {
	defer func(c *cause.Cause) { e.cause = c }(e.cause)
	for _, g := range slices.Clone(e.s.Graces) {
		if g.Instance == j.ID {
			e.endGrace(g.Conn)
		}
	}
}

func (e *Engine) forgetSource(conn uint64) {
	e.s.Graces = slices.DeleteFunc(e.s.Graces, func(g Grace) bool { return g.Conn == conn })
}

func ownedBy(conn uint64) func(*fact.Fact) bool {
	return func(f *fact.Fact) bool { return f.Owner == fact.Owner{Kind: fact.Source, ID: conn} }
}
