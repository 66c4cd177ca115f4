package job

import (
	"testing"
	"time"
)

var (
	failStop = Verdict{Failed: true, Stop: true, Advance: true}
	stopOnly = Verdict{Stop: true, Advance: true}
	respawn  = Verdict{Respawn: true, Advance: true}
	advance  = Verdict{Advance: true}
	nothing  = Verdict{}
)

// kinds are the kinds of classes whose main ends differently.
var kinds = map[string]Rules{
	"service":         {},
	"respawn service": {Respawn: true, RespawnLimit: 10, RespawnInterval: 5},
	"task":            {Task: true},
	"respawn task":    {Task: true, Respawn: true, RespawnLimit: 10, RespawnInterval: 5},
}

func TestEndOfRunningMainByKindAndStatus(t *testing.T) {
	segv := Killed(11)
	tests := []struct {
		kind   string
		status Status
		normal []Status
		want   Verdict
	}{
		{"service", 0, nil, stopOnly},
		{"service", 1, nil, failStop},
		{"service", segv, nil, failStop},
		{"service", 1, []Status{1}, stopOnly},
		{"service", segv, []Status{segv}, stopOnly},
		{"service", 11, []Status{segv}, failStop},
		{"respawn service", 0, nil, respawn},
		{"respawn service", 1, nil, respawn},
		{"respawn service", segv, nil, respawn},
		{"respawn service", 0, []Status{0}, stopOnly},
		{"respawn service", 1, []Status{1}, stopOnly},
		{"respawn service", segv, []Status{1, segv}, stopOnly},
		{"respawn service", 2, []Status{1}, respawn},
		{"task", 0, nil, stopOnly},
		{"task", 3, nil, failStop},
		{"task", 3, []Status{3}, stopOnly},
		{"respawn task", 0, nil, stopOnly},
		{"respawn task", 3, nil, respawn},
		{"respawn task", 3, []Status{3}, stopOnly},
	}
	for _, tt := range tests {
		j := dying(tt.kind, Running, GoalStart)
		j.Class.NormalExit = tt.normal
		if got := j.Ended(Main, tt.status, time.Minute, true); got != tt.want {
			t.Errorf("%s, status %d, normal exit %v: %+v, want %+v", tt.kind, tt.status, tt.normal, got, tt.want)
		}
	}
}

// dying returns an instance of a kind of class whose main just ended.
func dying(kind string, s State, g Goal) *Instance {
	j := instance([]Slot{Main}, []Slot{Main})
	rules := kinds[kind]
	j.Class.Rules = &rules
	j.State, j.Goal = s, g
	return j
}

func TestEndOfMainByState(t *testing.T) {
	tests := []struct {
		name  string
		kind  string
		state State
		goal  Goal
		hook  bool // post-start or pre-stop runs beside main
		want  Verdict
	}{
		{"expected in killed", "respawn service", InKilled, GoalStop, false, advance},
		{"expected in killed of a restart", "respawn service", InKilled, GoalStart, false, advance},
		{"recorded in stopping", "service", Stopping, GoalStop, false, nothing},
		{"recorded in stopping of a restart", "respawn service", Stopping, GoalStart, false, nothing},
		{"no failure with goal stop before readiness", "service", Spawned, GoalStop, false, advance},
		{"no respawn with goal stop before readiness", "respawn service", Spawned, GoalStop, false, advance},
		{"failure before readiness", "service", Spawned, GoalStart, false, failStop},
		{"respawn before readiness", "respawn service", Spawned, GoalStart, false, respawn},
		{"failure beside post-start", "service", InPostStart, GoalStart, true, Verdict{Failed: true, Stop: true}},
		{"respawn beside post-start", "respawn service", InPostStart, GoalStart, true, Verdict{Respawn: true, Defer: true}},
		{"goal stop beside post-start", "respawn service", InPostStart, GoalStop, true, nothing},
		{"goal stop beside pre-stop", "service", InPreStop, GoalStop, true, nothing},
		{"failure beside pre-stop called off", "service", InPreStop, GoalStart, true, Verdict{Failed: true, Stop: true}},
		{"respawn beside pre-stop called off", "respawn service", InPreStop, GoalStart, true, Verdict{Respawn: true, Defer: true}},
	}
	for _, tt := range tests {
		j := dying(tt.kind, tt.state, tt.goal)
		if slot, ok := tt.state.HookSlot(); ok && tt.hook {
			*j.At(slot) = Proc{Token: 9, PID: 109}
		}
		if got := j.Ended(Main, 1, time.Minute, true); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestEndOfMainBesideAHookThatIsNotStartedYetWaits(t *testing.T) {
	j := dying("service", InPostStart, GoalStart)
	*j.At(PostStart) = Proc{Token: 9, RetryAt: time.Second}
	if v := j.Ended(Main, 1, 0, true); v.Advance {
		t.Error("the state moves on before post-start was tried again")
	}
}

func TestEndOfMainDuringRestartIsNoDeath(t *testing.T) {
	for kind := range kinds {
		j := dying(kind, InPreStop, GoalStart)
		j.Restarting = true
		*j.At(PreStop) = Proc{Token: 9, PID: 109}
		if got := j.Ended(Main, 1, 0, true); got != nothing {
			t.Errorf("%s: %+v", kind, got)
		}
	}
}

func TestEndOfMainWithRespawningOffFails(t *testing.T) {
	for _, status := range []Status{0, 1} {
		j := dying("respawn service", Running, GoalStart)
		if got := j.Ended(Main, status, 0, false); got != failStop {
			t.Errorf("status %d: %+v", status, got)
		}
	}
	if got := dying("respawn task", Running, GoalStart).Ended(Main, 0, 0, false); got != stopOnly {
		t.Errorf("a task that ends well: %+v", got)
	}
}

func TestEndOfHooks(t *testing.T) {
	tests := []struct {
		slot   Slot
		state  State
		status Status
		want   Verdict
	}{
		{PreStart, InPreStart, 0, advance},
		{PreStart, InPreStart, 1, failStop},
		{PreStart, InPreStart, Killed(9), failStop},
		{PostStart, InPostStart, 1, advance},
		{PreStop, InPreStop, 1, advance},
		{PostStop, InPostStop, 0, advance},
		{PostStop, InPostStop, 1, failStop},
		{Security, InSecurity, 1, advance},
	}
	for _, goal := range []Goal{GoalStart, GoalStop} {
		for _, tt := range tests {
			j := dying("respawn service", tt.state, goal)
			j.Class.NormalExit = []Status{1, Killed(9)} // is not asked for hooks
			if got := j.Ended(tt.slot, tt.status, 0, true); got != tt.want {
				t.Errorf("%s/%s, %s with %d: %+v, want %+v", goal, tt.state, tt.slot, tt.status, got, tt.want)
			}
			if j.RespawnCount != 0 {
				t.Errorf("the end of %s counts as a respawn", tt.slot)
			}
		}
	}
}

func TestRespawnLimitWindow(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		name            string
		limit, interval int
		at              []time.Duration
		want            string // a letter a death: y respawned, n refused
	}{
		{"default limit", 10, 5, make([]time.Duration, 11), "yyyyyyyyyyn"},
		{"a window begins with its first death", 2, 10, []time.Duration{7000 * ms, 16000 * ms, 16999 * ms}, "yyn"},
		{"a window ends after its interval", 2, 10, []time.Duration{7000 * ms, 16000 * ms, 17000 * ms, 17000 * ms, 26999 * ms}, "yyyyn"},
		{"limit of one", 1, 5, []time.Duration{0, 5000 * ms, 9999 * ms}, "yyn"},
		{"no limit", 0, 5, make([]time.Duration, 30), "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"},
		{"no interval", 1, 0, make([]time.Duration, 5), "yyyyy"},
	}
	for _, tt := range tests {
		j := dying("respawn service", Running, GoalStart)
		j.Class.RespawnLimit, j.Class.RespawnInterval = tt.limit, tt.interval
		got := ""
		for _, at := range tt.at {
			v := j.Ended(Main, 1, at, true)
			switch v {
			case respawn:
				got += "y"
			case Verdict{Failed: true, Limit: true, Stop: true, Advance: true}:
				got += "n"
			default:
				t.Errorf("%s: %+v", tt.name, v)
			}
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestRespawnOnChoosesTheEndsThatRespawn(t *testing.T) {
	tests := []struct {
		kind   string
		on     RespawnOn
		status Status
		normal []Status
		want   Verdict
	}{
		{"service", RespawnFailure, 0, nil, stopOnly},
		{"service", RespawnFailure, 1, nil, respawn},
		{"service", RespawnFailure, 1, []Status{1}, stopOnly},
		{"task", RespawnFailure, 1, nil, respawn},
		{"task", RespawnFailure, 0, nil, stopOnly},
		{"service", RespawnAlways, 0, nil, respawn},
		{"service", RespawnAlways, 1, []Status{1}, respawn},
		{"task", RespawnAlways, 0, nil, respawn},
	}
	for _, tt := range tests {
		j := dying(tt.kind, Running, GoalStart)
		j.Class.RespawnOn, j.Class.NormalExit = tt.on, tt.normal
		if got := j.Ended(Main, tt.status, time.Minute, true); got != tt.want {
			t.Errorf("%s, on %d, status %d, normal exit %v: %+v, want %+v", tt.kind, tt.on, tt.status, tt.normal, got, tt.want)
		}
	}
}

func TestDelaysOfRespawns(t *testing.T) {
	tests := []struct {
		name        string
		first, most time.Duration   // seconds
		ran         []time.Duration // 0: never ready
		want        []time.Duration
	}{
		{"none", 0, 30, []time.Duration{0, 0}, []time.Duration{0, 0}},
		{"always the same", 2, 0, []time.Duration{0, 0, 0}, []time.Duration{2, 2, 2}},
		{"doubling to the maximum", 3, 10, []time.Duration{0, 9, 9, 9}, []time.Duration{3, 6, 10, 10}},
		{"a maximum below the first", 5, 3, []time.Duration{0, 0}, []time.Duration{5, 5}},
		{"back to the first", 1, 4, []time.Duration{0, 3, 4, 1}, []time.Duration{1, 2, 1, 2}},
	}
	for _, tt := range tests {
		j := dying("respawn service", Running, GoalStart)
		j.Class.RespawnLimit, j.Class.RespawnDelay, j.Class.RespawnDelayMax = 0, tt.first*time.Second, tt.most*time.Second
		for i, ran := range tt.ran {
			now := time.Hour
			if j.RunSince = 0; ran != 0 {
				j.RunSince = now - ran*time.Second
			}
			j.Ended(Main, 1, now, true)
			if want := tt.want[i] * time.Second; j.Delay != want || j.Delayed != (want != 0) {
				t.Errorf("%s: wait %d is %v (%v), want %v", tt.name, i, j.Delay, j.Delayed, want)
			}
		}
	}
}
