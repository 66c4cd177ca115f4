package job

import "testing"

// instance returns an instance of a class with these processes defined, all
// of whose processes in alive run.
func instance(defined, alive []Slot) *Instance {
	j := &Instance{Class: NewClass("j"), FailedSlot: NoSlot, FailedStatus: NoStatus, Overdue: NoSlot}
	for _, s := range defined {
		j.Class.Process.Set(s, Process{Text: "true"})
	}
	for i, s := range alive {
		*j.At(s) = Proc{Token: uint64(i + 1), PID: 100 + i}
	}
	return j
}

func TestNextFollowsTheTable(t *testing.T) {
	rows := []struct{ state, start, stop string }{
		{"waiting", "starting", "waiting"},
		{"starting", "security-spawning", "stopping"},
		{"security-spawning", "security", "stopping"},
		{"security", "pre-starting", "stopping"},
		{"pre-starting", "pre-start", "stopping"},
		{"pre-start", "spawning", "stopping"},
		{"spawning", "spawned", "stopping"},
		{"spawned", "post-starting", "stopping"},
		{"post-starting", "post-start", "stopping"},
		{"post-start", "running", "stopping"},
		{"running", "stopping", "pre-stopping"},
		{"pre-stopping", "pre-stop", "pre-stop"},
		{"pre-stop", "running", "stopping"},
		{"stopping", "killed", "killed"},
		{"killed", "post-stopping", "post-stopping"},
		{"post-stopping", "post-stop", "post-stop"},
		{"post-stop", "starting", "waiting"},
	}
	if len(rows) != NumStates {
		t.Fatalf("%d rows for %d states", len(rows), NumStates)
	}
	for s, row := range rows {
		if got := State(s).String(); got != row.state {
			t.Errorf("state %d is called %s, want %s", s, got, row.state)
		}
		for goal, want := range map[Goal]string{GoalStart: row.start, GoalStop: row.stop} {
			j := instance([]Slot{Main}, []Slot{Main})
			j.State, j.Goal = State(s), goal
			if got := j.Next().String(); got != want {
				t.Errorf("%s/%s leads to %s, want %s", goal, row.state, got, want)
			}
		}
	}
}

func TestNextDependsOnMain(t *testing.T) {
	main, none := []Slot{Main}, []Slot(nil)
	tests := []struct {
		name           string
		defined, alive []Slot
		state          State
		goal           Goal
		want           State
	}{
		{"stop of a job without main leaves pre-stop out", none, none, Running, GoalStop, Stopping},
		{"stop of a job whose main is gone leaves pre-stop out", main, none, Running, GoalStop, Stopping},
		{"a job without main becomes ready", none, none, Spawned, GoalStart, PostStarting},
		{"a job without main becomes running", none, none, InPostStart, GoalStart, Running},
		{"main gone before readiness never runs", main, none, Spawned, GoalStart, Stopping},
		{"main gone in post-start never runs", main, none, InPostStart, GoalStart, Stopping},
		{"main gone in pre-stop never runs again", main, none, InPreStop, GoalStart, Stopping},
		{"a put-off respawn in post-start goes to stopping", main, none, InPostStart, GoalRespawn, Stopping},
		{"a put-off respawn in pre-stop goes to stopping", main, none, InPreStop, GoalRespawn, Stopping},
	}
	for _, tt := range tests {
		j := instance(tt.defined, tt.alive)
		j.State, j.Goal = tt.state, tt.goal
		if got := j.Next(); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestRestartLeavesPreStopForStopping(t *testing.T) {
	j := instance([]Slot{Main}, []Slot{Main})
	j.State, j.Goal, j.Restarting = InPreStop, GoalStart, true
	if got := j.Next(); got != Stopping {
		t.Errorf("a restart in pre-stop goes to %s", got)
	}
}

func TestRespawnGoalIsOnlyForHooks(t *testing.T) {
	for s := range State(NumStates) {
		if s == InPostStart || s == InPreStop {
			continue
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("respawn in %s is accepted", s)
				}
			}()
			j := instance([]Slot{Main}, nil)
			j.State, j.Goal = s, GoalRespawn
			j.Next()
		}()
	}
}

func TestHookSlotOfEachState(t *testing.T) {
	want := map[State]Slot{InSecurity: Security, InPreStart: PreStart, InPostStart: PostStart, InPreStop: PreStop, InPostStop: PostStop}
	for s := range State(NumStates) {
		slot, waits := s.HookSlot()
		if w, ok := want[s]; waits != ok || (ok && slot != w) {
			t.Errorf("%s waits for %s (%v)", s, slot, waits)
		}
	}
}

func TestGoalAndSlotNames(t *testing.T) {
	for g, want := range []string{"stop", "start", "respawn"} {
		if got := Goal(g).String(); got != want {
			t.Errorf("goal %d is called %s, want %s", g, got, want)
		}
	}
	for s, want := range []string{"main", "pre-start", "post-start", "pre-stop", "post-stop", "security"} {
		if got := Slot(s).String(); got != want {
			t.Errorf("slot %d is called %s, want %s", s, got, want)
		}
	}
	if got := NoSlot.String(); got != "respawn" {
		t.Errorf("a failure without process is called %s", got)
	}
}
