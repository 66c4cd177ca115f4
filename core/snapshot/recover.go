package snapshot

import (
	"fmt"

	"onset/core/control"
	"onset/core/engine"
	"onset/core/loop"
)

// Recovered is what a manager that died left behind.
type Recovered struct {
	// Engine is in the state after the last input of the log.
	Engine *engine.Engine
	// Log goes on behind its last record, in the memory it was found in.
	// What follows belongs to the same snapshot.
	Log *Log
	// Backlog knows which effects are to be carried out or doubtful; what
	// Left tells comes before anything else.
	Backlog loop.Backlog
	// Faults are the inputs that were left out, in their order.
	Faults []Fault
	// Inputs is how many inputs were stepped.
	Inputs int
	// Callers made the calls the log holds, also those left out: a transport
	// that still has one of these calls does not tell it again.
	Callers []control.Caller
	// Ended are the processes whose end is in the log.
	Ended []int
	// Torn says that the last record was not complete and does not count.
	// The input it held, if it held one, was not stepped.
	Torn bool
}

// Fault is an input that the engine cannot take.
type Fault struct {
	Input engine.Input
	Panic string // what it said when tried again; empty if not tried
}

// Recover makes the engine of a snapshot and steps it through the inputs of
// its log, in their order, without carrying out any effect.
//
// Poisoned says that the manager died by a fault of its own. If the last
// record is an input, so that not even its first effect was begun, that input
// is held to be the reason: it is not stepped, and the log says so from then
// on. An input that panics in replay is left out as if it had never been.
//
// The error is about the snapshot or the head of the log; ErrOtherSnapshot
// if they do not belong together. A log that breaks off is no error.
func Recover(snap, log []byte, poisoned bool) (*Recovered, error) {
	p := replay{snap: snap, log: log, poisoned: poisoned, step: (*engine.Engine).Step}
	return p.recover()
}

// replay is the replay of one log, over and over until no input panics.
type replay struct {
	snap, log []byte
	poisoned  bool
	step      func(*engine.Engine, engine.Input) []engine.Effect
	panics    map[int]string // by the end of the record

	r       *Recovered
	scratch [len(messages)]any
	note    note
	after   note // the record behind it
}

func (p *replay) recover() (*Recovered, error) {
	p.panics = make(map[int]string)
	for {
		r, err := p.run()
		if r != nil || err != nil {
			return r, err
		}
	}
}

// note is one record of a log; kind is 0 behind the last.
type note struct {
	kind  uint64
	end   int
	input engine.Input
	k     int
	err   error // the record is whole and makes no sense
}

// run replays the log once. It returns nil if an input panicked.
func (p *replay) run() (*Recovered, error) {
	l, base, err := openLog(p.log)
	if err != nil {
		return nil, err
	}
	if base != identity(p.snap) {
		return nil, ErrOtherSnapshot
	}
	s, open, err := decode(p.snap)
	if err != nil {
		return nil, err
	}
	p.r, p.note = &Recovered{Engine: engine.Restore(s), Log: l}, note{}
	p.r.Backlog.Stepped(nil, open)
	p.r.Backlog.Begun(len(open))
	for p.after = p.read(); p.after.kind != 0; {
		p.note = p.after
		p.after = p.read()
		if !p.take() {
			return nil, nil
		}
	}
	p.finish()
	return p.r, nil
}

// read returns the next record.
func (p *replay) read() note {
	l := p.r.Log
	c := codec{reading: true, version: l.c.version, buf: l.next()}
	if c.buf == nil {
		return note{}
	}
	n := note{end: l.end}
	c.count(&n.kind)
	switch n.kind {
	case noteInput:
		c.input(&n.input, p.scratch[:])
	case noteBegun:
		num(&c, &n.k)
	case noteSkip:
	default:
		c.fail(errRange)
	}
	if len(c.buf) > 0 || n.k < 0 {
		c.fail(errRange)
	}
	if c.err != nil {
		return note{kind: noteBad, err: c.err}
	}
	return n
}

// take goes through one record. It returns false if an input panicked.
func (p *replay) take() bool {
	r, n := p.r, &p.note
	switch n.kind {
	case noteBegun:
		r.Backlog.Begun(n.k)
	case noteInput:
		switch m := n.input.Msg.(type) {
		case engine.Called:
			r.Callers = append(r.Callers, m.Caller)
		case engine.Exited:
			r.Ended = append(r.Ended, m.PID)
		}
		said, panicked := p.panics[n.end]
		if panicked || p.after.kind == noteSkip || p.after.kind == 0 && p.poisoned {
			r.Faults = append(r.Faults, Fault{n.input, said})
			return true
		}
		return p.try()
	case noteBad:
		r.Faults = append(r.Faults, Fault{Panic: "a record cannot be read: " + n.err.Error()})
	}
	return true
}

func (p *replay) try() (ok bool) {
	defer func() {
		if v := recover(); v != nil {
			p.panics[p.note.end] = fmt.Sprint(v)
		}
	}()
	p.r.Backlog.Stepped(p.note.input.Msg, p.step(p.r.Engine, p.note.input))
	p.r.Inputs++
	return true
}

// finish prepares the log for what follows.
func (p *replay) finish() {
	l := p.r.Log
	p.r.Torn = l.torn()
	if l.end+4 <= len(l.buf) {
		order.PutUint32(l.buf[l.end:], 0)
	}
	if p.note.kind == noteInput && p.poisoned {
		l.begin(noteSkip)
		l.commit()
	}
}
