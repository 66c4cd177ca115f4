// Package engine decides everything init does and touches nothing.
//
// An Engine is a deterministic reducer: Step takes one Input and returns the
// Effects it has, in order. It reads no clock, starts no goroutine and keeps
// no lock; the same inputs give the same effects and the same state, on any
// machine and at any time. That is what recovery, simulation and bug reports
// rest on.
//
// A step runs to completion: the input is applied, then fact expressions
// whose facts changed are looked at again, then the event queue is worked
// until it rests (UPSTART §3.1). A step handles at most MaxVisits events, so that
// jobs that start each other without end keep init busy but never deaf, and none
// more once it has MaxSpawns processes to start, so that those that end are
// heard while a thousand others begin. The rest follows at the next Tick, which is
// then due at once; until then inputs are applied and events wait.
//
// Where the order of several classes or instances matters to nobody it is
// fixed all the same: classes by name, instances by age, facts by age.
//
// An engine owns its state. State shows it for a snapshot; Restore makes an
// engine of it. Everything else in Engine is an index that can be rebuilt.
package engine

import (
	"fmt"
	"time"

	"onset/core/cause"
	"onset/core/conf"
	"onset/core/control"
	"onset/core/event"
	"onset/core/fact"
	"onset/core/job"
)

// MaxVisits bounds the events handled in one step.
const MaxVisits = 4096

// MaxSpawns is how many processes to start end the handling of events in one
// step: about 20 ms of work for a kernel.
const MaxSpawns = 32

// Engine is the state of init with its indexes.
type Engine struct {
	s     State // Events and Facts are kept by queue and facts instead
	queue *event.Queue
	facts *fact.Store

	classes   classTable
	instances map[job.ID]*Instance
	byPID     map[int]procRef
	byToken   map[uint64]procRef
	left      map[uint64]*Instance // by the spawns they remember
	starts    conditionIndex       // classes by what their start on and stop on name
	whiles    factIndex            // classes by the facts their while names
	aliases   map[classKey]*conf.Alias
	fileUses  map[int]int
	timers    timerHeap
	attrs     job.Shared // of classes parsed last

	dirty   []*Class // while to be looked at again
	backlog bool     // a step stopped at MaxVisits or MaxSpawns, and no Tick came since
	spawns  int      // of this step

	cause *cause.Cause // of what is being done now
	out   []Effect
}

type procRef struct {
	inst *Instance
	slot job.Slot
}

// New returns an engine that waits for its first Loaded input.
func New(o Options) *Engine {
	e := newEngine(State{
		Options:     o,
		LogPriority: o.LogPriority,
		Respawning:  true,
	})
	e.s.Env = e.freshEnv()
	return e
}

func newEngine(s State) *Engine {
	return &Engine{
		s:         s,
		queue:     event.NewQueue(s.LastEvent, s.Cursor, s.Events),
		facts:     fact.NewStore(s.Facts),
		classes:   make(classTable),
		instances: make(map[job.ID]*Instance),
		byPID:     make(map[int]procRef),
		byToken:   make(map[uint64]procRef),
		left:      make(map[uint64]*Instance),
		starts:    make(conditionIndex),
		whiles:    make(factIndex),
		aliases:   make(map[classKey]*conf.Alias),
		fileUses:  make(map[int]int),
	}
}

// Step applies one input and returns its effects in order. The slice is
// valid until the next step.
func (e *Engine) Step(in Input) []Effect {
	e.s.Clock = in.Clock
	e.newOut()
	e.cause, e.spawns = nil, 0
	e.apply(in.Msg)
	if _, tick := in.Msg.(Tick); tick || !e.backlog {
		e.settle()
	} else {
		e.reviewFacts()
	}
	e.trimTimers()
	return e.out
}

// newOut forgets the effects of the last step, and what they refer to.
func (e *Engine) newOut() {
	const most = 64 // of what a step of everyday has
	if cap(e.out) > most {
		e.out = nil
	}
	clear(e.out)
	e.out = e.out[:0]
}

func (e *Engine) apply(msg Msg) {
	switch m := msg.(type) {
	case Loaded:
		e.loaded(m.Sources)
	case SourceLoaded:
		e.sessionLoaded(m.Source)
	case FileChanged:
		e.fileChanged(m.Source, m.File)
	case FileRemoved:
		e.fileRemoved(m.Source, m.Path)
	case SourceRemoved:
		e.sourceRemoved(m.Source)
	case Tick:
		e.fireTimers()
	case Spawned:
		e.spawned(m)
	case SpawnFailed:
		e.spawnFailed(m)
	case Executed:
		e.executed(m.PID)
	case ExecFailed:
		e.execFailed(m)
	case Exited:
		e.exited(m)
	case Emptied:
		e.emptied(m.Token)
	case Ready:
		e.signReady(m.Token)
	case Notified:
		e.notified(m)
	case Stopped:
		e.stopped(m)
	case Continued:
		e.logSignal(m.PID, m.Signal, "continued")
	case Replaced:
		e.replaced(m.PID)
	case Called:
		e.called(m.Caller, m.Call)
	case Hungup:
		e.hungup(m.Conn)
	case Done:
		e.done(m)
	case Told:
		e.told(m.What)
	default:
		panic(fmt.Sprintf("internal error: unknown input %T", msg))
	}
}

// settle works until nothing is left to do in this step.
func (e *Engine) settle() {
	e.backlog = false
	for visits := 0; ; visits++ {
		e.reviewFacts()
		if visits == MaxVisits || e.spawns >= MaxSpawns && !e.queue.Rests() {
			e.backlog = true
			return
		}
		ev := e.queue.Next()
		if ev == nil {
			return
		}
		e.visit(ev)
	}
}

// Deadline returns when the engine wants a Tick on the monotonic clock; ok
// is false when it waits for nothing.
func (e *Engine) Deadline() (at time.Duration, ok bool) {
	if e.backlog {
		return e.s.Clock.Mono, true
	}
	return e.timers.next()
}

func (e *Engine) now() time.Duration { return e.s.Clock.Mono }

func (e *Engine) do(effect Effect) { e.out = append(e.out, effect) }

// logs reports whether messages of that priority are wanted; it saves
// making the text of those that are not.
func (e *Engine) logs(p Priority) bool { return p >= e.s.LogPriority }

func (e *Engine) logf(p Priority, format string, args ...any) {
	if e.logs(p) {
		e.do(Log{p, fmt.Sprintf(format, args...)})
	}
}

func (e *Engine) publish(s control.Signal) { e.do(Publish{s}) }

func (e *Engine) respond(call, conn uint64, r control.Reply) { e.do(Respond{call, conn, r}) }

// because sets the cause of what follows in this step.
func (e *Engine) because(kind cause.Kind, parent *cause.Cause, text string) {
	e.cause = cause.New(e.s.Clock, kind, text, parent)
}
