package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"onset/core/cause"
	"onset/core/control"
	"onset/core/engine"
	"onset/core/job"
	"onset/core/loop"
)

// moment is what a run that was not cut looked like after a record.
type moment struct {
	end   int // of the record
	state []byte
	left  string // to do for a new manager
}

// record runs a walk with a log as the loop would write it, and returns the
// snapshot it began with, the log and what was true after each record.
func record(seed uint64, before, n int) (snap, log []byte, moments []moment) {
	w := newWalk(seed)
	e := engine.New(options)
	for range before {
		w.did(e.Step(w.next(e)))
	}
	for len(w.front) > 0 { // a snapshot is taken at rest
		w.did(e.Step(w.next(e)))
	}
	snap = Encode(e.State())
	l := NewLog(make([]byte, 1<<18))
	l.Reset(snap)
	k := oracle{}
	note := func() { moments = append(moments, moment{l.end, Encode(e.State()), k.left()}) }
	note()
	for range n {
		in := w.next(e)
		l.Append(in)
		effects := e.Step(in)
		k.stepped(in.Msg, effects)
		note()
		for i := range len(effects) + 1 {
			l.Begin(i)
			k.begun = i + 1
			note()
		}
		w.did(effects)
	}
	return snap, slices.Clone(l.Bytes()[:l.end+4]), moments
}

// oracle says independently of loop.Backlog what a manager that dies now
// leaves to do: a set of lines.
type oracle struct {
	results map[string]bool // awaited since an earlier step, by effect
	step    []engine.Effect
	begun   int
}

func (k *oracle) stepped(msg engine.Msg, effects []engine.Effect) {
	if k.results == nil {
		k.results = map[string]bool{}
	}
	for _, e := range k.step {
		if loop.HasResult(e) {
			k.results[text([]engine.Effect{e})] = true
		}
	}
	for line := range k.results {
		if answered(line, msg) {
			delete(k.results, line)
			break
		}
	}
	k.step, k.begun = slices.Clone(effects), 0
}

func answered(line string, msg engine.Msg) bool {
	prefix := "nothing"
	switch m := msg.(type) {
	case engine.Spawned:
		prefix = fmt.Sprintf("Spawn %d ", m.Token)
	case engine.SpawnFailed:
		prefix = fmt.Sprintf("Spawn %d ", m.Token)
	case engine.Loaded:
		prefix = "engine.LoadConfig"
	case engine.SourceLoaded:
		prefix = "engine.LoadSource {Session:" + m.Source.Session
	case engine.Done:
		return strings.HasPrefix(line, "engine.ConnectBus") && strings.HasSuffix(line, fmt.Sprintf("Call:%d}\n", m.Call)) ||
			strings.HasPrefix(line, "engine.FlushLogs") && strings.HasSuffix(line, fmt.Sprintf("Call:%d}\n", m.Call))
	}
	return strings.HasPrefix(line, prefix)
}

func (k *oracle) left() string {
	var lines []string
	for i, e := range k.step {
		line := text([]engine.Effect{e})
		switch {
		case i >= k.begun:
			lines = append(lines, "do "+line)
		case i == k.begun-1 || loop.HasResult(e):
			lines = append(lines, "redo "+line)
		}
	}
	for line := range k.results {
		lines = append(lines, "redo "+line)
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func leftOf(r *Recovered) string {
	var lines []string
	for _, p := range r.Backlog.Left() {
		how := "do "
		if p.Begun {
			how = "redo "
		}
		lines = append(lines, how+text([]engine.Effect{p.Effect}))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func TestALogCutAnywhereGivesTheStateAndTheRestOfTheRun(t *testing.T) {
	for seed := range uint64(5) {
		snap, log, moments := record(seed, 40, 60)
		for i, m := range moments {
			last := m.end
			if i+1 < len(moments) {
				last = moments[i+1].end - 1
			}
			cuts := []int{m.end, min(m.end+1, last), last}
			if i > len(moments)-4 {
				for cuts = nil; len(cuts) <= last-m.end; {
					cuts = append(cuts, m.end+len(cuts))
				}
			}
			for _, cut := range cuts {
				r, err := Recover(snap, slices.Clone(log[:cut]), false)
				if err != nil {
					t.Fatalf("seed %d, cut at %d: %v", seed, cut, err)
				}
				if !bytes.Equal(Encode(r.Engine.State()), m.state) {
					t.Fatalf("seed %d, cut at %d of record %d: another state", seed, cut, i)
				}
				if got := leftOf(r); got != m.left {
					t.Fatalf("seed %d, cut at %d of record %d: left\n%s\nwant\n%s", seed, cut, i, got, m.left)
				}
			}
		}
	}
}

// smallRun returns a snapshot with one job and a log of messages, the last of
// which has no note yet.
func smallRun(t *testing.T, msgs ...engine.Msg) (snap []byte, l *Log) {
	t.Helper()
	e := engine.New(options)
	e.Step(engine.Input{Msg: engine.Loaded{Sources: []engine.Source{{Path: "/etc/init",
		Files: []engine.File{{Path: "/etc/init/x.conf", Text: "exec x\n"}}}}}})
	snap = Encode(e.State())
	l = NewLog(make([]byte, 1<<14))
	l.Reset(snap)
	for i, m := range msgs {
		l.Append(engine.Input{Clock: cause.Clock{Mono: 1}, Msg: m})
		if i < len(msgs)-1 {
			l.Begin(0)
		}
	}
	return snap, l
}

func start(name string) engine.Msg {
	return engine.Called{Caller: control.Caller{ID: 1, Conn: 1}, Call: control.Call{Method: control.JobStart, Target: control.ClassObject("", name), Wait: true}}
}

func TestThePoisonedInputIsLeftOutForGood(t *testing.T) {
	snap, l := smallRun(t, start("x"), engine.Exited{PID: 9})
	r, err := Recover(snap, l.Bytes(), true)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Faults) != 1 || r.Faults[0].Input.Msg != (engine.Exited{PID: 9}) || r.Inputs != 1 {
		t.Fatalf("faults %+v after %d inputs", r.Faults, r.Inputs)
	}
	r.Log.Append(engine.Input{Msg: engine.Tick{}})
	again, err := Recover(snap, l.Bytes(), false)
	if err != nil || len(again.Faults) != 1 || again.Inputs != 2 {
		t.Errorf("the next recovery left out %+v, stepped %d: %v", again.Faults, again.Inputs, err)
	}
}

func TestAnInputWithANoteIsNotPoisoned(t *testing.T) {
	snap, l := smallRun(t, start("x"))
	l.Begin(0)
	r, err := Recover(snap, l.Bytes(), true)
	if err != nil || len(r.Faults) != 0 || r.Inputs != 1 {
		t.Errorf("faults %+v after %d inputs: %v", r.Faults, r.Inputs, err)
	}
}

func TestAnInputThatPanicsInReplayIsAsIfItHadNeverBeen(t *testing.T) {
	bad := start("y")
	fragile := func(e *engine.Engine, in engine.Input) []engine.Effect {
		effects := e.Step(in)
		if sameInput(in, engine.Input{Clock: in.Clock, Msg: bad}) {
			panic("no")
		}
		return effects
	}
	snap, l := smallRun(t, start("x"), engine.Tick{}, engine.Spawned{Token: 1, PID: 7}, engine.Tick{})
	want, err := Recover(snap, l.Bytes(), false)
	if err != nil {
		t.Fatal(err)
	}
	snap, l = smallRun(t, start("x"), engine.Tick{}, bad, engine.Spawned{Token: 1, PID: 7}, engine.Tick{})
	p := replay{snap: snap, log: l.Bytes(), step: fragile}
	got, err := p.recover()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(Encode(got.Engine.State()), Encode(want.Engine.State())) {
		t.Error("it left a trace")
	}
	if len(got.Faults) != 1 || got.Faults[0].Panic != "no" {
		t.Errorf("faults %+v", got.Faults)
	}
}

func TestEffectsOwedAtTheSnapshotAreStillAwaited(t *testing.T) {
	e := engine.New(options)
	open := []engine.Effect{engine.LoadConfig{Sessions: []string{"/jail"}}, engine.LoadSource{Session: "/s"},
		engine.ConnectBus{Address: "unix:path=/x", Call: 3}, engine.FlushLogs{Call: 4}}
	snap := Encode(e.State(), open...)
	l := NewLog(make([]byte, 1000))
	l.Reset(snap)
	l.Append(engine.Input{Msg: engine.Done{Call: 3}})
	r, err := Recover(snap, l.Bytes(), false)
	if err != nil {
		t.Fatal(err)
	}
	want := "redo " + text(open[3:]) + "redo " + text(open[:1]) + "redo " + text(open[1:2])
	if got := leftOf(r); got != want {
		t.Errorf("left\n%s\nwant\n%s", got, want)
	}
}

func TestALogOfAnotherSnapshotIsRefused(t *testing.T) {
	snap, l := smallRun(t)
	if _, err := Recover(append(snap, 0), l.Bytes(), false); !errors.Is(err, ErrOtherSnapshot) {
		t.Errorf("%v", err)
	}
	if _, err := Recover(snap, nil, false); err == nil {
		t.Error("no log is a log")
	}
}

func TestATornRecordIsReportedAndWrittenOver(t *testing.T) {
	snap, l := smallRun(t, start("x"), ended)
	l.Bytes()[l.end-1]++
	r, err := Recover(snap, l.Bytes(), false)
	if err != nil || !r.Torn || r.Inputs != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	r.Log.Append(engine.Input{Msg: engine.Tick{}})
	if r, err := Recover(snap, l.Bytes(), false); err != nil || r.Torn || r.Inputs != 2 {
		t.Errorf("%+v, %v", r, err)
	}
}

var ended = engine.Exited{PID: 1, Status: job.Killed(9)}

func TestARecordThatMakesNoSenseHidesNoOther(t *testing.T) {
	snap, l := smallRun(t, start("x"), engine.Told{What: engine.SingleUser + 1}, engine.Tick{})
	r, err := Recover(snap, l.Bytes(), false)
	if err != nil || r.Inputs != 2 || len(r.Faults) != 1 || r.Faults[0].Panic == "" {
		t.Errorf("%+v, %v", r, err)
	}
}
