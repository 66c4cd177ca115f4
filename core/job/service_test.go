package job

import (
	"strings"
	"testing"
	"time"
)

func TestTimeOfTheWatchdog(t *testing.T) {
	for _, tt := range []struct {
		class int
		told  time.Duration
		want  time.Duration
	}{{0, 0, 0}, {5, 0, 5 * time.Second}, {5, time.Second, time.Second}, {0, time.Second, time.Second}, {5, -1, 0}} {
		j := &Instance{Class: &Class{Rules: &Rules{Watchdog: tt.class}}, Report: Report{Watchdog: tt.told}}
		if got := j.WatchdogTime(); got != tt.want {
			t.Errorf("watchdog %d, told %s: %s, want %s", tt.class, tt.told, got, tt.want)
		}
	}
}

func TestMainIsUpWhileItIsReadyAndMeantToRun(t *testing.T) {
	up := func() *Instance {
		j := &Instance{Class: NewClass(""), Goal: GoalStart, State: Running, Overdue: NoSlot}
		*j.At(Main) = Proc{Token: 1, PID: 1}
		return j
	}
	for what, change := range map[string]func(*Instance){
		"goal stop":       func(j *Instance) { j.Goal = GoalStop },
		"restarting":      func(j *Instance) { j.State, j.Restarting = InPreStop, true },
		"no main":         func(j *Instance) { *j.At(Main) = Proc{} },
		"being ended":     func(j *Instance) { j.Overdue = Health },
		"not ready":       func(j *Instance) { j.State = Spawned },
		"being respawned": func(j *Instance) { j.State = Stopping },
	} {
		j := up()
		if change(j); j.IsUp() {
			t.Errorf("%s: it is up", what)
		}
	}
	j := up()
	if j.State = InPostStart; !up().IsUp() || !j.IsUp() {
		t.Error("it is not up")
	}
}

func TestEventsNameWhatEndedMain(t *testing.T) {
	signals := Signals{{Name: "TERM", Number: 15}}
	for _, tt := range []struct {
		overdue Slot
		starved bool
		checkup Checkup
		want    string
	}{
		{NoSlot, false, Checkup{Status: 3, Late: true}, "PROCESS=main EXIT_SIGNAL=TERM"},
		{Main, false, Checkup{}, "PROCESS=main EXIT_SIGNAL=TERM TIMEOUT=expect"},
		{Main, true, Checkup{}, "PROCESS=main EXIT_SIGNAL=TERM TIMEOUT=watchdog"},
		{Health, false, Checkup{Status: 3}, "PROCESS=health EXIT_STATUS=3"},
		{Health, false, Checkup{Status: Killed(15), Late: true}, "PROCESS=health EXIT_SIGNAL=TERM TIMEOUT=health"},
	} {
		j := &Instance{Class: NewClass("s"), Goal: GoalStart, State: Running, Overdue: tt.overdue, Starved: tt.starved, Checkup: tt.checkup}
		if v := j.Ended(Main, Killed(15), time.Minute, true); !v.Failed {
			t.Errorf("overdue %s: main has not failed", tt.overdue)
		}
		j.Fail(Main, Killed(15))
		if got := strings.Join(j.EventEnv(true, signals), " "); got != "JOB=s INSTANCE= RESULT=failed "+tt.want {
			t.Errorf("overdue %s: %s, want %s", tt.overdue, got, tt.want)
		}
	}
}

func TestMainThatIsEndedHasDiedHoweverItEnds(t *testing.T) {
	for _, slot := range []Slot{Main, Health} {
		j := dying("respawn service", Running, GoalStart)
		j.Overdue, j.Class.NormalExit = slot, []Status{0}
		if v := j.Ended(Main, 0, time.Minute, true); v != respawn {
			t.Errorf("overdue %s: %+v", slot, v)
		}
	}
}

func TestKilledEndsWithMainAndItsCheck(t *testing.T) {
	j := dying("service", InKilled, GoalStop)
	*j.At(Main), *j.At(Health) = Proc{Token: 1, PID: 1}, Proc{Token: 2, PID: 2}
	if v := j.Ended(Main, 0, 0, true); v != nothing {
		t.Errorf("the check lives: %+v", v)
	}
	if v := j.Ended(Health, 0, 0, true); v != nothing {
		t.Errorf("main lives: %+v", v)
	}
	*j.At(Main) = Proc{}
	if v := j.Ended(Health, 0, 0, true); v != advance {
		t.Errorf("both are gone: %+v", v)
	}
}
