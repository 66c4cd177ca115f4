package engine_test

import (
	"testing"
	"time"

	"onset/core/cause"
	"onset/core/control"
	. "onset/core/engine"
)

// TestAnEndIsHeardWhileManyStart has many jobs start at once: the platform is
// heard between steps that start a few, in order, and every one starts.
func TestAnEndIsHeardWhileManyStart(t *testing.T) {
	const jobs = 3*MaxSpawns + 5
	e := New(Options{PID: 1, LogPriority: Fatal})
	now := time.Minute
	step := func(msg Msg) []Effect {
		now++
		return e.Step(Input{Clock: cause.Clock{Mono: now}, Msg: msg})
	}
	step(Loaded{[]Source{{Path: "/etc/init", Files: classes(jobs, "start on go\ntask\nexec task %d\n")}}})
	spawns := func(effects []Effect) (tokens []uint64) {
		for _, effect := range effects {
			if s, ok := effect.(Spawn); ok {
				tokens = append(tokens, s.Token)
			}
		}
		return tokens
	}
	begun := spawns(step(request(control.Call{Method: control.EmitEvent, Name: "go"})))
	if len(begun) != MaxSpawns {
		t.Fatalf("%d processes to start in a step, want %d", len(begun), MaxSpawns)
	}
	for _, token := range begun {
		if more := spawns(step(Spawned{token, int(token) + 100})); more != nil {
			t.Fatalf("spawns %v before the Tick", more)
		}
	}
	step(Exited{PID: int(begun[0]) + 100})
	if at, ok := e.Deadline(); !ok || at > now {
		t.Fatalf("wants a Tick at %v, %v, not at once", at, ok)
	}
	e = Restore(e.State())
	for ticks := 0; len(begun) < jobs; ticks++ {
		if ticks == jobs {
			t.Fatalf("%d of %d begin", len(begun), jobs)
		}
		more := spawns(step(Tick{}))
		for _, token := range more {
			step(Spawned{token, int(token) + 100})
		}
		begun = append(begun, more...)
	}
	for i, token := range begun {
		if token != uint64(i+1) {
			t.Fatalf("the spawns are %v", begun)
		}
	}
}
