// Package eventsources has what every event source shares (EXTENSIONS §7): the
// contract, the conditions of init's jobs, and the host that runs sources.
//
// A source turns an edge of the machine into events and facts. It is a package
// of its own below this folder, and one line in the list of cmd/onset-sources.
//
// States of a source: it rests while no condition concerns it, unless it was
// named on the command line; else it runs. A run that ends with an error is
// followed by another after a delay, and its facts hold for Grace: what the
// next run has not asserted by then is retracted. A source that rests has no
// facts.
//
// Order: what one goroutine of a source emits, asserts and retracts reaches
// init in that order. Calls are pipelined: Emit, Assert and Retract return when
// the call is in its place, and wait while as many are on their way as the
// window has room for. So a source is never far ahead of init, and what it has not
// read yet stays in the kernel. What init refuses is a line of the log, and a
// fact that it refused is not held.
//
// The connection to init belongs to the host. Init keeps it over its own
// re-execution and crashes. Should it be lost all the same, the next one gets the
// facts that hold by then, and after them the events that were not answered, in
// order (so one may come twice rather than never). A host that dies leaves its
// facts to init's grace time (EXTENSIONS §1), and one that ends waits until init
// has handled all that it was told.
//
// Text that is not UTF-8, which D-Bus has no place for, gets U+FFFD.
//
// Ownership: the slices of events and facts are not changed after they were
// handed over.
package eventsources

import (
	"context"
	"errors"
	"os"

	"onset/core/expr"
)

// Source is one source. Its methods may be called from any goroutine.
type Source interface {
	// Name is the word for it on the command line and in messages.
	Name() string
	// Concerns reports whether an operand of a job's start on or stop on (an
	// event) or while (a fact) is about something that the source tells.
	Concerns(c Condition) bool
	// Run tells init until the context is done, and returns nil then. It keeps
	// nothing from one run to the next. ErrUnsupported is not tried again.
	Run(ctx context.Context, init Init) error
}

// Init is what a run of a source sees of init. Calls may be made by several
// goroutines. An error is of the context, or of descriptors that ran out; that
// of EmitWait also what init answered.
type Init interface {
	// Emit returns when the event is on its way.
	Emit(ctx context.Context, e Event) error
	// EmitWait returns when all that the event brought about is done. The error
	// says that some of it failed.
	EmitWait(ctx context.Context, e Event) error
	// EmitThen is an EmitWait that returns when the event is on its way; over gets
	// the error, by the goroutine of Watch, unless the host ends before.
	EmitThen(e Event, over func(error)) error
	// Assert makes a fact true; it is nothing new if it is true already with the
	// same File. Facts that change while init is away are told to it when it is
	// back.
	Assert(f Fact) error
	// Retract makes a fact false that the source asserted.
	Retract(f Fact) error
	// Hold makes these facts true and all others of the source false. The run is
	// ready then.
	Hold(facts []Fact) error
	// Ready says that the run has told what was so when it began, and hears of what
	// happens from now on. Only when all sources are ready the host is.
	Ready()
	// Conditions returns the operands that concern the source, as jobs have them
	// now, and a channel that is closed when there are others.
	Conditions() (list []Condition, changed <-chan struct{})
	// Watch has f called with each signal of init until the context is done, one
	// after the other and in init's order. f does not wait, nor emit: all that init
	// tells the host comes by the same goroutine.
	Watch(ctx context.Context, f func(Signal))
	// Logf writes a line to the log of the host.
	Logf(format string, args ...any)
}

// Event is an event to be emitted. Env is KEY=VALUE, in order. Processes that
// the event starts get File, if there is one, and it may be closed once the
// call has returned.
type Event struct {
	Name string
	Env  []string
	File *os.File
}

// Fact is a fact; two with the same name and variables are the same. A name is
// used with variables always or never. While the fact holds, a job whose start
// on names it gets File at each start, if there is one; the source closes it
// after the fact was retracted.
type Fact struct {
	Name string
	Env  []string // KEY=VALUE, in order
	File *os.File
}

// Signal is something that init told all its clients.
type Signal struct {
	Kind SignalKind
	Path string   // of the job (InstanceAdded, InstanceRemoved, JobRemoved)
	Name string   // of the event (EventEmitted)
	Env  []string // likewise
}

// SignalKind is what a signal tells.
type SignalKind uint8

// The kinds.
const (
	Connected       SignalKind = iota // to init anew: what happened meanwhile was missed
	EventEmitted                      // an event is being handled
	InstanceAdded                     // a job has one more instance
	InstanceRemoved                   // a job has one less
	JobRemoved                        // a job is gone or another one, and so is its last instance, of which nothing is said
	Restarted                         // init was executed anew; the connection is the same
)

// Condition is an operand of a job's conditions, aliases written out.
type Condition struct {
	Job     string    // its object path
	Fact    bool      // of while; else of start on or stop on
	Operand expr.Node // name and arguments as written
}

// ErrUnsupported is wrapped by the error of a source that this kernel has not.
var ErrUnsupported = errors.New("not on this system")
