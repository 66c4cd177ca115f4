package engine

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"onset/core/cause"
	"onset/core/control"
	"onset/core/env"
	"onset/core/event"
	"onset/core/expr"
	"onset/core/fact"
	"onset/core/job"
)

// State is everything an engine knows, as one plain value: what a snapshot
// keeps. It shares memory with the engine it came from.
type State struct {
	Options Options
	Clock   cause.Clock // of the last input
	Booted  bool        // the configuration was loaded once

	LogPriority Priority
	Env         env.Table // job environment table (UPSTART §1.6.3 layer 1)
	Sources     []*ConfSource
	Classes     []*Class // by session and name

	LastEvent    event.ID
	Cursor       event.ID       // of the queue; 0 at rest
	Events       []*event.Event // in order of creation
	Facts        []*fact.Fact   // in the order they became true
	Graces       []Grace
	LastInstance job.ID
	LastToken    uint64

	Respawning bool     // false once the session ends
	Quiesce    *Quiesce // nil unless the session ends

	BusAddress    string // notified; empty if none
	CGroupAddress string // notified; kept for clients, used by nobody

	Sessions []string     // chroot roots in order of appearance
	Held     []HeldCall   // calls that wait for their session to be loaded
	Reloads  []PendingAsk // calls that wait for the configuration
	Asks     []PendingAsk // calls that wait for a Done
	Ticking  bool         // the last step left events for the next Tick
}

// ConfSource is a configuration source with what was read from it.
type ConfSource struct {
	Path    string
	Kind    SourceKind
	Session string
	Confs   map[string]*ConfFile // by job name
	Overs   map[string]*ConfFile // overrides, by job name
	Aliases map[string]*ConfFile // by alias name
}

// ConfFile is one file of a source. Class is what a conf file defines; nil
// if it could not be parsed.
type ConfFile struct {
	Path, Text string
	Class      *Class
}

// Class is a job class of one configuration file. At most one class of a
// name and session is registered; only that one has instances.
type Class struct {
	Def     *job.Class
	Session string

	// StartOn and StopOn are the conditions with aliases expanded.
	// StartHeld is the event each operand of StartOn holds; 0 = FALSE.
	StartOn   expr.Tree
	StopOn    expr.Tree
	StartHeld []event.ID

	Instances []*Instance // by age
	Wanted    []string    // instance names the fact expression yields, sorted
	History   *cause.History

	registered bool
	isDirty    bool
	losers     []job.ID             // instances whose facts went away since the last look
	trigger    *cause.Cause         // of the last of those changes
	byName     map[string]*Instance // nil while there are few
}

// Instance is a live copy of a class.
type Instance struct {
	job.Instance
	class *Class
}

// Grace is how long the facts of a connection that is gone still hold. That of a
// main process is noted when it tells its first fact.
type Grace struct {
	Conn     uint64
	Instance job.ID        // whose main it is; 0 of none
	Due      time.Duration // 0 while the connection is there
	Last     time.Duration // when they end at the latest
}

// Quiesce is a session shutdown in progress (UPSTART §8.8).
type Quiesce struct {
	Reason  string // "shutdown" or "logout"
	Cause   *cause.Cause
	Begun   time.Duration
	Killing bool          // the kill phase has begun
	Phase   time.Duration // when the present phase began
	Max     time.Duration // of the kill phase
	Due     time.Duration // next look
}

// HeldCall is a request that cannot be looked at yet.
type HeldCall struct {
	Caller control.Caller
	Call   control.Call
}

// PendingAsk is a call that an input will answer.
type PendingAsk struct{ Call, Conn uint64 }

type classKey struct{ session, name string }

func (c *Class) key() classKey { return classKey{c.Session, c.Def.Name} }

func (c *Class) object() control.Object { return control.ClassObject(c.Session, c.Def.Name) }

// Deleted reports whether the file that defines c is gone or broken.
func (s *State) Deleted(c *Class) bool {
	for _, src := range s.Sources {
		if f := src.Confs[c.Def.Name]; f != nil && src.Session == c.Session && f.Path == c.Def.Origin.Path {
			return f.Class == nil
		}
	}
	return true
}

// instance returns the instance of that name, nil if there is none.
func (c *Class) instance(name string) *Instance {
	if c.byName != nil {
		return c.byName[name]
	}
	for _, j := range c.Instances {
		if j.Name == name {
			return j
		}
	}
	return nil
}

func (j *Instance) object() control.Object {
	return control.InstanceObject(j.Session, j.Class.Name, j.Name)
}

// State returns the state of the engine. It is valid until the next step and
// must not be changed.
func (e *Engine) State() *State {
	s := e.s
	s.Classes = e.allClasses()
	s.LastEvent, s.Cursor = e.queue.Last, e.queue.Cursor
	s.Events = e.queue.All()
	s.Facts = e.facts.All()
	s.Ticking = e.backlog
	return &s
}

// LogPriority returns the least priority that is logged.
func (e *Engine) LogPriority() Priority { return e.s.LogPriority }

// allClasses returns the registered classes by session and name.
func (e *Engine) allClasses() []*Class {
	var all []*Class
	for _, named := range e.classes { // order-free: sorted below
		all = slices.AppendSeq(slices.Grow(all, len(named)), maps.Values(named))
	}
	slices.SortFunc(all, compareClasses)
	return all
}

// classTable holds classes by session and name. There are few sessions.
type classTable map[string]map[string]*Class

func (t classTable) add(c *Class) {
	if t[c.Session] == nil {
		t[c.Session] = make(map[string]*Class)
	}
	t[c.Session][c.Def.Name] = c
}

func compareClasses(a, b *Class) int {
	if c := cmp.Compare(a.Session, b.Session); c != 0 {
		return c
	}
	return cmp.Compare(a.Def.Name, b.Def.Name)
}

// Restore makes an engine of a state, which belongs to it from then on. It
// has no effect on the world; what happened meanwhile arrives as inputs.
func Restore(s *State) *Engine {
	e := newEngine(*s)
	e.backlog = s.Ticking
	e.loadAliases()
	for _, c := range s.Classes {
		e.addIndexes(c)
		for _, j := range c.Instances {
			e.adopt(c, j)
		}
	}
	for _, ev := range s.Events {
		e.useFile(ev.File)
	}
	for _, f := range s.Facts {
		e.useFile(f.File)
	}
	e.rebuildTimers()
	return e
}

// adopt takes an instance into the indexes.
func (e *Engine) adopt(c *Class, j *Instance) {
	j.class = c
	const few = 8 // are searched; most classes have one, and a map is large
	if c.byName == nil && len(c.Instances) > few {
		c.byName = make(map[string]*Instance)
		for _, other := range c.Instances {
			c.byName[other.Name] = other
		}
	}
	if c.byName != nil {
		c.byName[j.Name] = j
	}
	e.instances[j.ID] = j
	for slot, p := range j.Live {
		if p.Token != 0 && p.RetryAt == 0 {
			e.byToken[p.Token] = procRef{j, job.Slot(slot)}
			if p.PID != 0 {
				e.byPID[p.PID] = procRef{j, job.Slot(slot)}
			}
		}
	}
	if j.Report.First != 0 {
		e.byPID[j.Report.First] = procRef{j, job.Main}
	}
	for _, token := range j.Remembered() {
		e.left[token] = j
	}
	for _, f := range slices.Concat(j.Files, j.StartFiles, j.Stored) {
		e.useFile(f.File)
	}
}
