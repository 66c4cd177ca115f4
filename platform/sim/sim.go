// Package sim is a simulated kernel: a fake clock, processes, files and
// clients of init, driven by core/loop like any other platform.
//
// What a process does is the text of its exec line or script (see program).
// What the rest of the world does, its owner says with methods: Connect,
// Call, WriteFile, Exit and so on. Consequences reach the engine as messages
// of Wait, in the order of UPSTART §8.3. Time passes in Wait only, and never
// beyond the limit set by the owner.
//
// A world outlives its manager: when that is thrown away in the middle of
// anything, processes, files and clients go on, and messages that no journal
// took are told to the next one.
//
// All chance comes from the seed: the same seed and the same calls give the
// same world. Misuse by the engine (a second reply to a call, a token used
// twice) is recorded as a
// violation, never silently accepted.
package sim

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"onset/core/cause"
	"onset/core/control"
	"onset/core/engine"
	"onset/core/loop"
)

var _ loop.Platform = (*World)(nil)

// epoch is the wall clock at mono 0.
const epoch = 1_700_000_000 * int64(time.Second)

// World is a machine as init sees it.
type World struct {
	// Limit is the moment beyond which Wait lets no time pass.
	Limit time.Duration
	// Manual leaves every execution and every process to its owner.
	Manual bool
	// NoGroups is a kernel that does not track what came of a spawn.
	NoGroups bool
	// Forgets is a manager that does not see what forked whom before it began.
	Forgets bool
	// Jitter is how long a process takes at most until it is executed.
	Jitter time.Duration
	// Faults are the chances of bad luck.
	Faults Faults
	// Observe is told every effect with its results; may be nil.
	Observe func(engine.Effect, []engine.Msg)
	// Violations lists what the engine must not do but did.
	Violations []string
	// Published lists the signals of the control API.
	Published []control.Signal
	// Ended is set by Exit and Reexec.
	Ended engine.Effect

	rng     *rand.Rand
	mono    time.Duration
	wall    int64 // ahead of mono
	agenda  agenda
	seq     int
	ready   []engine.Msg // happened
	offered []engine.Msg // returned by Wait, not in a journal yet
	last    engine.Msg   // taken since the last Wait; may be told again

	machine
	tree
	bus
}

// Faults are chances in a thousand.
type Faults struct {
	SpawnTemporary int // a spawn fails, another might not
	SpawnFailed    int // a spawn fails for good
	ExecFailed     int // the process is there but cannot be set up
}

// New returns a world without processes, files or clients.
func New(seed uint64) *World {
	return &World{rng: rand.New(rand.NewPCG(seed, 0)), machine: newMachine(), bus: newBus()}
}

// Now implements loop.Platform.
func (w *World) Now() cause.Clock {
	return cause.Clock{Mono: w.mono, Wall: epoch + int64(w.mono) + w.wall}
}

// StepWall sets the wall clock forward or back.
func (w *World) StepWall(d time.Duration) { w.wall += int64(d) }

// Tell brings a request from the kernel.
func (w *World) Tell(what engine.Request) { w.happen(engine.Told{What: what}) }

// Do implements loop.Platform.
func (w *World) Do(e engine.Effect) []engine.Msg {
	results := w.do(e)
	if w.Observe != nil {
		w.Observe(e, results)
	}
	return results
}

func (w *World) do(e engine.Effect) []engine.Msg {
	switch e := e.(type) {
	case engine.Spawn:
		return []engine.Msg{w.spawn(e)}
	case engine.Kill:
		w.kill(e)
	case engine.Supervise:
		w.supervise(e.PID)
	case engine.Detach:
		w.detach(e.PID)
	case engine.Release:
		w.released(e)
	case engine.Respond:
		w.respond(e)
	case engine.Inspect:
		w.respond(engine.Respond{Call: e.Call, Conn: e.Conn, Reply: control.Reply{Values: []any{"{}"}}})
	case engine.Publish:
		w.Published = append(w.Published, e.Signal)
	case engine.CloseFile:
		w.closeFile(e.File)
	case engine.LoadConfig:
		return []engine.Msg{w.Load(e.Sessions...)}
	case engine.LoadSource:
		return []engine.Msg{w.loadSession(e.Session)}
	case engine.ConnectBus:
		return w.connectBus(e)
	case engine.FlushLogs:
		return []engine.Msg{engine.Done{Call: e.Call}}
	case engine.Exit, engine.Reexec:
		w.Ended = e
	}
	return nil
}

// Redo implements loop.Platform.
func (w *World) Redo(e engine.Effect) []engine.Msg {
	switch e := e.(type) {
	case engine.Spawn:
		if p := w.tokens[e.Token]; p != nil {
			return []engine.Msg{engine.Spawned{Token: e.Token, PID: p.PID}}
		}
	case engine.Publish:
		return nil
	case engine.Respond:
		w.Hangup(e.Conn)
		return nil
	case engine.Inspect:
		w.Hangup(e.Conn)
		return nil
	case engine.Release:
		delete(w.closed, e.Token)
	case engine.CloseFile:
		w.handles[e.File] = true
	}
	return w.Do(e)
}

// Wait implements loop.Platform. It lets time pass until something happens,
// the deadline or the limit.
func (w *World) Wait(deadline time.Duration, ok bool) []engine.Msg {
	w.last = nil
	until := w.Limit
	if ok {
		until = min(until, deadline)
	}
	for len(w.ready) == 0 && len(w.agenda) > 0 && w.agenda[0].at <= until {
		w.runAgenda(max(w.mono, w.agenda[0].at))
	}
	if len(w.ready) == 0 {
		w.mono = max(w.mono, until)
	}
	slices.SortStableFunc(w.ready, func(a, b engine.Msg) int { return rank(a) - rank(b) })
	w.offered = append(w.offered, w.ready...)
	batch := w.ready
	w.ready = nil
	return batch
}

// rank orders what happened between two waits (UPSTART §8.3).
func rank(m engine.Msg) int {
	switch m.(type) {
	case engine.Executed, engine.ExecFailed:
		return 1
	case engine.Told:
		return 2
	case engine.Exited, engine.Stopped, engine.Continued, engine.Replaced, engine.Emptied:
		return 3
	}
	return 0
}

// Taken says that a journal has the message. What a manager makes up itself
// or got as a result was never offered.
func (w *World) Taken(m engine.Msg) {
	switch m := m.(type) {
	case engine.Tick, engine.Loaded, engine.SourceLoaded, engine.Spawned, engine.SpawnFailed, engine.Done:
		return
	case engine.Exited:
		if p := w.Find(m.PID); p != nil && m.Left > 0 && !w.told[p.Token] {
			w.Await(p.Token)
		}
		w.reap(m.PID)
	case engine.Hungup:
		w.bus.conns[m.Conn] = gone
	}
	w.offered = w.offered[1:]
	w.last = m
}

// Crashed throws away the manager: messages it had not taken are told again,
// and so is the end of a process it had just learnt of.
func (w *World) Crashed() {
	w.ready = append(w.offered, w.ready...)
	if m, ok := w.last.(engine.Exited); ok {
		w.ready = append([]engine.Msg{m}, w.ready...)
	}
	w.offered, w.last, w.Ended = nil, nil, nil
	clear(w.awaited)
	clear(w.told)
	for _, p := range w.procs {
		if w.Forgets {
			p.parent = nil
		}
	}
}

// Reexecuted gives way to the next image of the manager.
func (w *World) Reexecuted() {
	w.last = nil
	w.Crashed()
	w.ready = append([]engine.Msg{engine.Told{What: engine.Restarted}}, w.ready...)
}

// Idle reports whether nothing will happen any more by itself.
func (w *World) Idle() bool { return len(w.ready) == 0 && len(w.agenda) == 0 }

func (w *World) happen(m engine.Msg) { w.ready = append(w.ready, m) }

func (w *World) violate(format string, args ...any) {
	w.Violations = append(w.Violations, fmt.Sprintf(format, args...))
}

// chance is true n times in a thousand.
func (w *World) chance(n int) bool { return n > 0 && w.rng.IntN(1000) < n }

// after puts something on the agenda.
func (w *World) after(d time.Duration, do func()) {
	w.seq++
	heap.Push(&w.agenda, task{at: w.mono + d, seq: w.seq, do: do})
}

// runAgenda does what is due at a moment, in the order it was put there.
func (w *World) runAgenda(at time.Duration) {
	w.mono = at
	for len(w.agenda) > 0 && w.agenda[0].at <= at {
		heap.Pop(&w.agenda).(task).do()
	}
}

// task is something that will happen.
type task struct {
	at  time.Duration
	seq int
	do  func()
}

// agenda is a heap with the next task first.
type agenda []task

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].seq < a[j].seq
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(task)) }
func (a *agenda) Pop() any {
	old := *a
	last := old[len(old)-1]
	*a = old[:len(old)-1]
	return last
}
