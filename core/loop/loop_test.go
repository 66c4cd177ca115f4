package loop

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"onset/core/cause"
	"onset/core/engine"
)

// fake is engine, platform and journal in one; it writes down who was asked
// what, in order.
type fake struct {
	t        *testing.T
	step     func(engine.Msg) []engine.Effect
	deadline time.Duration // 0 is none
	now      time.Duration
	waits    [][]engine.Msg
	notes    []string
}

func (f *fake) note(format string, args ...any) {
	f.notes = append(f.notes, fmt.Sprintf(format, args...))
}

func (f *fake) Step(in engine.Input) []engine.Effect {
	f.note("step %T%v", in.Msg, in.Msg)
	return f.step(in.Msg)
}

func (f *fake) Deadline() (time.Duration, bool) { return f.deadline, f.deadline != 0 }
func (f *fake) Now() cause.Clock                { return cause.Clock{Mono: f.now} }
func (f *fake) Append(in engine.Input)          { f.note("append %T%v", in.Msg, in.Msg) }
func (f *fake) Begin(k int)                     { f.note("begin %d", k) }

func (f *fake) Do(e engine.Effect) []engine.Msg {
	f.note("do %T", e)
	if s, ok := e.(engine.Spawn); ok {
		return []engine.Msg{engine.Spawned{Token: s.Token, PID: int(s.Token) + 100}}
	}
	return nil
}

func (f *fake) Redo(e engine.Effect) []engine.Msg {
	f.note("redo %T", e)
	return nil
}

func (f *fake) Wait(deadline time.Duration, ok bool) []engine.Msg {
	f.note("wait %v %v", deadline, ok)
	if len(f.waits) == 0 {
		f.t.Fatal("waits once too often")
	}
	msgs := f.waits[0]
	f.waits = f.waits[1:]
	return msgs
}

func check(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%q\nwant:\n%q", got, want)
	}
}

func TestResultsGoBeforeWaitingMessagesInOrder(t *testing.T) {
	f := &fake{t: t}
	f.step = func(m engine.Msg) []engine.Effect {
		if m == (engine.Hungup{Conn: 1}) {
			return []engine.Effect{engine.Spawn{Token: 1}, engine.Log{}, engine.Spawn{Token: 2}}
		}
		return nil
	}
	l := Loop{Engine: f, Platform: f, Journal: f}
	l.Push(engine.Hungup{Conn: 1}, engine.Hungup{Conn: 2})
	l.Settle()
	check(t, f.notes,
		"append engine.Hungup{1}", "step engine.Hungup{1}",
		"begin 0", "do engine.Spawn", "begin 1", "do engine.Log", "begin 2", "do engine.Spawn", "begin 3",
		"append engine.Spawned{1 101}", "step engine.Spawned{1 101}", "begin 0",
		"append engine.Spawned{2 102}", "step engine.Spawned{2 102}", "begin 0",
		"append engine.Hungup{2}", "step engine.Hungup{2}", "begin 0")
}

func TestTickComesWhenQueueIsEmptyAndDeadlinePassed(t *testing.T) {
	f := &fake{t: t, deadline: 5, now: 4}
	f.step = func(m engine.Msg) []engine.Effect {
		if m == (engine.Tick{}) {
			f.deadline = 0
			return []engine.Effect{engine.Exit{}, engine.Log{}}
		}
		f.now = 5
		return nil
	}
	f.waits = [][]engine.Msg{nil, {engine.Hungup{Conn: 1}, engine.Hungup{Conn: 2}}}
	l := Loop{Engine: f, Platform: f}
	if end := l.Run(); end != (engine.Exit{}) {
		t.Errorf("ended by %v", end)
	}
	check(t, f.notes, "wait 5ns true", "wait 5ns true",
		"step engine.Hungup{1}", "step engine.Hungup{2}", "step engine.Tick{}", "do engine.Exit", "do engine.Log")
}

func TestPlatformIsHeardWhileTheDeadlineHasAlwaysPassed(t *testing.T) {
	f := &fake{t: t, deadline: 5, now: 5}
	f.step = func(m engine.Msg) []engine.Effect {
		if m == (engine.Hungup{Conn: 1}) {
			return []engine.Effect{engine.Exit{}}
		}
		return nil
	}
	f.waits = [][]engine.Msg{nil, {engine.Hungup{Conn: 1}}}
	(&Loop{Engine: f, Platform: f}).Run()
	check(t, f.notes, "step engine.Tick{}", "wait 5ns true", "step engine.Tick{}", "wait 5ns true",
		"step engine.Hungup{1}", "do engine.Exit")
}

func TestBacklogOrdersWhatACrashLeft(t *testing.T) {
	spawn := func(token uint64) engine.Effect { return engine.Spawn{Token: token} }
	var b Backlog
	b.Stepped(engine.Tick{}, []engine.Effect{spawn(1), spawn(2)})
	b.Begun(0)
	b.Begun(1)
	b.Stepped(engine.Spawned{Token: 1}, []engine.Effect{spawn(3), engine.Log{Text: "done"}, engine.Log{Text: "begun"}, engine.Log{Text: "not"}})
	b.Begun(0)
	b.Begun(1)
	b.Begun(2)
	want := []Pending{
		{Effect: spawn(3), Begun: true}, // result not noted
		{Effect: engine.Log{Text: "begun"}, Begun: true},
		{Effect: engine.Log{Text: "not"}, k: 3},
		{Effect: spawn(2), Begun: true}, // of the step before
	}
	if got := b.Left(); !slices.Equal(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestBacklogDoesNotDoubtAnEffectBeforeAnother(t *testing.T) {
	var b Backlog
	b.Stepped(engine.Tick{}, []engine.Effect{engine.Respond{Call: 1}})
	b.Begun(0)
	b.Begun(1)
	if got := b.Left(); got != nil {
		t.Errorf("left %+v", got)
	}
}

func TestBacklogIsEmptyWhenAllResultsAreNoted(t *testing.T) {
	var b Backlog
	b.Stepped(engine.Told{What: engine.Reload}, []engine.Effect{engine.LoadConfig{}, engine.FlushLogs{Call: 7}})
	b.Begun(0)
	b.Begun(1)
	b.Stepped(engine.Loaded{}, nil)
	b.Stepped(engine.Done{Call: 7}, nil)
	if got := b.Left(); got != nil {
		t.Errorf("left %+v", got)
	}
}

func TestResumeRedoesWhatWasBegunAndDoesTheRest(t *testing.T) {
	f := &fake{t: t, step: func(engine.Msg) []engine.Effect { return nil }}
	l := Loop{Engine: f, Platform: f, Journal: f}
	l.Push(engine.Hungup{Conn: 1})
	l.Resume([]Pending{{Effect: engine.Kill{}, Begun: true}, {Effect: engine.Spawn{Token: 4}, k: 1}})
	l.Settle()
	check(t, f.notes, "redo engine.Kill", "begin 1", "do engine.Spawn",
		"append engine.Spawned{4 104}", "step engine.Spawned{4 104}", "begin 0",
		"append engine.Hungup{1}", "step engine.Hungup{1}", "begin 0")
}
