package job

import (
	"slices"
	"testing"

	"onset/core/env"
)

var signals = Signals{{"HUP", 1}, {"ABRT", 6}, {"IOT", 6}, {"SEGV", 11}}

func TestEventEnvOrder(t *testing.T) {
	class := exporting("net/web", "B", "A", "UNSET")
	of := func(failed bool, slot Slot, status Status) *Instance {
		return &Instance{Class: class, Name: "one", Env: env.Table{"A=1", "B=2", "C=3"}, Failed: failed, FailedSlot: slot, FailedStatus: status, Overdue: NoSlot}
	}
	late := func(slot Slot, status Status) *Instance {
		j := of(true, slot, status)
		j.Overdue = slot
		return j
	}
	ok := of(false, NoSlot, NoStatus)
	tests := []struct {
		name   string
		j      *Instance
		ending bool
		want   []string // between INSTANCE and the exports
	}{
		{"starting and started carry no result", ok, false, nil},
		{"a good end", ok, true, []string{"RESULT=ok"}},
		{"an exit status", of(true, Main, 3), true, []string{"RESULT=failed", "PROCESS=main", "EXIT_STATUS=3"}},
		{"an exit status of 0", of(true, Main, 0), true, []string{"RESULT=failed", "PROCESS=main", "EXIT_STATUS=0"}},
		{"the highest exit status", of(true, PreStart, 255), true, []string{"RESULT=failed", "PROCESS=pre-start", "EXIT_STATUS=255"}},
		{"a signal", of(true, PostStop, Killed(11)), true, []string{"RESULT=failed", "PROCESS=post-stop", "EXIT_SIGNAL=SEGV"}},
		{"a signal with two names", of(true, Main, Killed(6)), true, []string{"RESULT=failed", "PROCESS=main", "EXIT_SIGNAL=ABRT"}},
		{"a signal without name", of(true, Main, Killed(35)), true, []string{"RESULT=failed", "PROCESS=main", "EXIT_SIGNAL=35"}},
		{"a process that never ran", of(true, Security, NoStatus), true, []string{"RESULT=failed", "PROCESS=security"}},
		{"a time limit", late(Main, Killed(11)), true, []string{"RESULT=failed", "PROCESS=main", "EXIT_SIGNAL=SEGV", "TIMEOUT=expect"}},
		{"a time limit of a hook", late(PostStop, 0), true, []string{"RESULT=failed", "PROCESS=post-stop", "EXIT_STATUS=0", "TIMEOUT=stop"}},
		{"too many respawns", of(true, NoSlot, 0), true, []string{"RESULT=failed", "PROCESS=respawn"}},
		{"a failure is not told before the end", of(true, Main, 3), false, nil},
	}
	for _, tt := range tests {
		want := append(append([]string{"JOB=net/web", "INSTANCE=one"}, tt.want...), "B=2", "A=1")
		if got := tt.j.EventEnv(tt.ending, signals); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", tt.name, got, want)
		}
	}
}

func TestExportsDoNotReplaceStandardVariables(t *testing.T) {
	j := &Instance{
		Class:  exporting("j", "JOB", "INSTANCE", "RESULT", "PROCESS", "EXIT_STATUS", "EXIT_SIGNAL", "X", "X"),
		Env:    env.Table{"JOB=a", "INSTANCE=b", "RESULT=c", "PROCESS=d", "EXIT_STATUS=e", "EXIT_SIGNAL=f", "X=", "XX=1"},
		Failed: true, FailedSlot: Main, FailedStatus: 3, Overdue: NoSlot,
	}
	tests := []struct {
		name   string
		failed bool
		ending bool
		want   []string
	}{
		{"what the event has itself stays", true, true,
			[]string{"JOB=j", "INSTANCE=", "RESULT=failed", "PROCESS=main", "EXIT_STATUS=3", "EXIT_SIGNAL=f", "X="}},
		{"of a good end only its variables are standard", false, true,
			[]string{"JOB=j", "INSTANCE=", "RESULT=ok", "PROCESS=d", "EXIT_STATUS=e", "EXIT_SIGNAL=f", "X="}},
		{"and of a beginning", false, false,
			[]string{"JOB=j", "INSTANCE=", "RESULT=c", "PROCESS=d", "EXIT_STATUS=e", "EXIT_SIGNAL=f", "X="}},
	}
	for _, tt := range tests {
		j.Failed = tt.failed
		if got := j.EventEnv(tt.ending, signals); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestProcessEnvOrder(t *testing.T) {
	j := &Instance{
		Class:   NewClass("j"),
		Name:    "i",
		Env:     env.Table{"PATH=/bin", "UPSTART_JOB=liar", "A=1"},
		StopEnv: env.Table{"A=2", "UPSTART_STOP_EVENTS=down", "UPSTART_INSTANCE=liar"},
	}
	start := []string{"PATH=/bin", "UPSTART_JOB=j", "A=1", "UPSTART_INSTANCE=i"}
	stop := []string{"PATH=/bin", "UPSTART_JOB=j", "A=2", "UPSTART_STOP_EVENTS=down", "UPSTART_INSTANCE=i"}
	for slot := range Slot(NumSlots) {
		want := start
		if slot == PreStop || slot == PostStop {
			want = stop
		}
		if got := j.ProcessEnv(slot, ""); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", slot, got, want)
		}
		want = append(slices.Clone(want), "UPSTART_SESSION=addr")
		if got := j.ProcessEnv(slot, "addr"); !slices.Equal(got, want) {
			t.Errorf("%s in a session: %v, want %v", slot, got, want)
		}
	}
	if !slices.Equal(j.Env, []string{"PATH=/bin", "UPSTART_JOB=liar", "A=1"}) {
		t.Errorf("the environment of the instance has become %v", j.Env)
	}
}

func TestBeginCycle(t *testing.T) {
	j := &Instance{
		Env: env.Table{"A=1"}, StartEnv: env.Table{"A=2"}, StopEnv: env.Table{"S=1"}, Files: []NamedFile{{"a", 4}}, StartFiles: []NamedFile{{"b", 5}},
		Restarting: true, Failed: true, FailedSlot: Main, FailedStatus: 3, RespawnCount: 2,
		Overdue: Main, RunSince: 9, Delay: 4,
	}
	if dropped := j.BeginCycle(); !slices.Equal(dropped, []NamedFile{{"a", 4}}) {
		t.Errorf("drops the descriptors %v", dropped)
	}
	if !slices.Equal(j.Env, []string{"A=2"}) || !slices.Equal(j.Files, []NamedFile{{"b", 5}}) || j.StartEnv != nil || j.StartFiles != nil {
		t.Errorf("goes on with %v and %v, then %v and %v", j.Env, j.Files, j.StartEnv, j.StartFiles)
	}
	if j.StopEnv != nil || j.Restarting || j.Failed || j.FailedSlot != NoSlot || j.FailedStatus != NoStatus || j.Overdue != NoSlot || j.RunSince != 0 {
		t.Errorf("the last cycle is not forgotten: %+v", j)
	}
	if j.RespawnCount != 2 || j.Delay != 4 {
		t.Error("the respawns of the instance are forgotten")
	}
	if dropped := j.BeginCycle(); dropped != nil || !slices.Equal(j.Env, []string{"A=2"}) || !slices.Equal(j.Files, []NamedFile{{"b", 5}}) {
		t.Errorf("a cycle without a new environment goes on with %v and %v", j.Env, j.Files)
	}
}

func TestOnlyTheFirstFailureOfACycleCounts(t *testing.T) {
	j := instance(nil, nil)
	if !j.Fail(Main, 3) || j.Fail(PostStop, 1) {
		t.Error("the first failure is one, the second is none")
	}
	if j.FailedSlot != Main || j.FailedStatus != 3 {
		t.Errorf("failed as %s with %d", j.FailedSlot, j.FailedStatus)
	}
	j.BeginCycle()
	if !j.Fail(NoSlot, 0) {
		t.Error("a new cycle can fail")
	}
}

func TestInstanceString(t *testing.T) {
	j := &Instance{Class: NewClass("tty")}
	if got := j.String(); got != "tty" {
		t.Errorf("a singleton is shown as %q", got)
	}
	j.Name = "1"
	if got := j.String(); got != "tty (1)" {
		t.Errorf("an instance is shown as %q", got)
	}
}

func TestBusyAndSlotOf(t *testing.T) {
	j := instance(nil, nil)
	if j.Busy() {
		t.Error("busy without a process")
	}
	if j.Sweeping = []uint64{3}; !j.Busy() {
		t.Error("not busy while what is left is being ended")
	}
	j.Sweeping = nil
	*j.At(PostStop) = Proc{Token: 1, RetryAt: 1}
	if !j.Busy() {
		t.Error("not busy with a process to be tried again")
	}
	*j.At(Main) = Proc{Token: 2, PID: 7}
	if got := j.SlotOf(7); got != Main {
		t.Errorf("process 7 is %s", got)
	}
	if got := j.SlotOf(8); got != NoSlot {
		t.Errorf("process 8 is %s", got)
	}
}

func exporting(name string, vars ...string) *Class {
	c := NewClass(name)
	c.Export = vars
	return c
}
