// Package cause records why something happened (EXTENSIONS §13).
//
// A cause is immutable and points to the cause before it, back to the start
// of init or to a person. Two jobs that start each other would grow a chain
// for ever, so a chain is cut at MaxDepth: the middle is dropped and said to
// be, the root stays.
package cause

import "time"

// MaxDepth is the length at which a chain is cut.
const MaxDepth = 32

// Clock is a moment as an input brings it: core never asks for the time.
type Clock struct {
	Mono time.Duration // since an arbitrary start, never set back
	Wall int64         // Unix time in nanoseconds, for people
}

// Kind is what sort of thing a cause is.
type Kind uint8

// The kinds.
const (
	Init     Kind = iota // init itself: start-up, a signal it received
	Event                // an event was handled
	Fact                 // a fact expression became true or false
	Request              // somebody asked over the control API
	Exit                 // a process ended
	SpawnErr             // a process could not be started
	Timeout              // a time limit passed
	Limit                // the respawn limit was exceeded
	Config               // the configuration changed
	Cut                  // stands for the dropped middle of a long chain
)

var kindNames = [...]string{"init", "event", "fact", "request", "exit", "spawn-failure", "timeout", "limit", "configuration", "cut"}

func (k Kind) String() string { return kindNames[k] }

// Cause is one link of a chain.
type Cause struct {
	At     Clock
	Kind   Kind
	Text   string // what happened, one line
	Person *Person
	Parent *Cause // nil at the root
	Depth  int    // 1 at the root
}

// Person is who made a request, as far as the transport could tell.
type Person struct {
	UID, PID int // -1 when unknown
	Command  string
}

// New returns a cause that follows from parent, cutting the chain when it
// has grown too long.
func New(at Clock, kind Kind, text string, parent *Cause) *Cause {
	if parent == nil {
		return &Cause{At: at, Kind: kind, Text: text, Depth: 1}
	}
	if parent.Depth >= MaxDepth {
		root := parent.Root()
		parent = &Cause{At: root.At, Kind: Cut, Text: "earlier causes dropped", Parent: root, Depth: 2}
	}
	return &Cause{At: at, Kind: kind, Text: text, Parent: parent, Depth: parent.Depth + 1}
}

// Root returns the first cause of the chain.
func (c *Cause) Root() *Cause {
	for c.Parent != nil {
		c = c.Parent
	}
	return c
}

// Action is what a change did to a job.
type Action uint8

// The actions.
const (
	Start Action = iota
	Stop
	Respawn
	Restart
	Skip   // a condition came true but changed nothing
	Refuse // a request was turned down
	Fail
	Ready  // running reached
	Rest   // waiting reached
	Cancel // a stop was called off
)

var actionNames = [...]string{"start", "stop", "respawn", "restart", "skip", "refuse", "fail", "ready", "rest", "cancel"}

func (a Action) String() string { return actionNames[a] }

// Change is one entry of a job's history.
type Change struct {
	At       Clock
	Action   Action
	Instance string
	Cause    *Cause
}

// Keep is how many changes a job's history holds.
const Keep = 100

// History holds the last changes of one job, oldest first.
type History struct{ changes []Change }

// Add appends a change and drops the oldest beyond Keep.
func (h *History) Add(c Change) {
	if len(h.changes) == Keep {
		copy(h.changes, h.changes[1:])
		h.changes[Keep-1] = c
		return
	}
	h.changes = append(h.changes, c)
}

// Changes returns the history, oldest first; the caller must not change it.
func (h *History) Changes() []Change { return h.changes }
