package job

import (
	"slices"
	"strconv"
	"time"

	"onset/core/cause"
	"onset/core/env"
	"onset/core/event"
)

// ID identifies an instance for the life of an engine; 0 is no instance.
type ID = uint64

// Proc is the process of one slot.
type Proc struct {
	Token   uint64        // of the spawn; 0 without one
	PID     int           // 0 until it is known and after the end
	Tries   int           // spawns that failed for want of resources
	RetryAt time.Duration // when to try again; 0 if not waiting
}

// Waiter is somebody who is told the outcome of what an instance is doing
// (UPSTART §2.10): an event it blocks, or a pending call. Exactly one of
// Event and Call is set.
type Waiter struct {
	Event event.ID
	Call  *Call
}

// Call is a control request that is answered later.
type Call struct {
	ID, Conn uint64
	Verb     Verb
	Path     string // the reply of a job-level start or restart; else empty
}

// Verb is what a waiting call asked for; it chooses the error text.
type Verb uint8

// The verbs.
const (
	VerbStart Verb = iota
	VerbStop
	VerbRestart
)

// TraceState is how far the fork tracking of expect fork and daemon has come
// (UPSTART §2.8).
type TraceState uint8

// The trace states.
const (
	TraceNone TraceState = iota
	TraceNew
	TraceNewChild
	TraceNormal
)

// Instance is one live copy of a class.
type Instance struct {
	ID      ID
	Class   *Class
	Session string
	Name    string // expanded instance pattern; empty for a singleton

	// Small fields stand together.
	Goal       Goal
	State      State
	KillSlot   Slot
	TraceState TraceState
	Restarting bool // a restart waits for pre-stop (DECISIONS 1)
	Failed     bool
	FailedSlot Slot
	FailedOOM  bool // the kernel killed the process that failed for want of memory
	Overdue    Slot // whose process was ended by its time limit in this cycle
	Starved    bool // main is Overdue because its watchdog heard nothing
	Delayed    bool // the next cycle begins after Delay
	Assumed    bool // main was taken for ready, and is followed whenever
	Sweep      bool // a stop ends what is left, as main did not end by itself
	Force      bool // and at once

	Env        env.Table   // of the current cycle
	StopEnv    env.Table   // what pre-stop and post-stop see besides
	Files      []NamedFile // of the events that started it
	StartEnv   env.Table   // of the next cycle; nil keeps Env and Files
	StartFiles []NamedFile // of the next cycle

	StopHeld []event.ID // what each operand of stop on holds; 0 = FALSE

	Live    []Proc   // by slot, no further than the last ever used
	Blocker event.ID // own starting or stopping event
	Waiters []Waiter

	KillDue time.Duration // when to send KILL to KillSlot; 0 without a timer
	Due     time.Duration // end of the present state's time limit, or of the wait in starting; 0 without

	FailedStatus Status
	OOMKills     int // ends of processes that came of that, over all cycles

	RespawnSince time.Duration // start of the respawn window; 0 = none yet
	RespawnCount int

	RunSince time.Duration // when this cycle reached running; 0 if it has not
	Delay    time.Duration // before the last respawn; 0 starts anew

	Left     []uint64 // spawns of this and earlier cycles whose process ended and left others
	Sweeping []uint64 // such spawns that the state waits for the end of

	TraceForks int
	Settle     time.Duration // in spawned: when main is taken for ready; later: until when it is followed; 0 = never

	Report  Report
	Checkup Checkup
	SignDue time.Duration // when it is said what spawned waits for; 0 without, negative when it was
	Stored  []NamedFile   // kept until the instance rests

	// Dependents stop because a fact of this instance went away; its
	// stopping event waits for them (EXTENSIONS §1).
	Dependents []ID

	Cause *cause.Cause // of the last goal change
}

// String returns the name as messages and status lines show it.
func (j *Instance) String() string {
	if j.Name == "" {
		return j.Class.Name
	}
	return j.Class.Name + " (" + j.Name + ")"
}

// Remembered returns the spawns whose last process is to be told of.
func (j *Instance) Remembered() []uint64 { return slices.Concat(j.Left, j.Sweeping) }

// Busy reports whether any process of the instance is alive or about to be,
// or what others left is being ended.
func (j *Instance) Busy() bool {
	for _, p := range j.Live {
		if p.Token != 0 {
			return true
		}
	}
	return len(j.Sweeping) > 0
}

// Proc returns the process of a slot.
func (j *Instance) Proc(slot Slot) Proc {
	if int(slot) >= len(j.Live) {
		return Proc{}
	}
	return j.Live[slot]
}

// At returns the process of a slot to change it, before At is called again.
func (j *Instance) At(slot Slot) *Proc {
	if missing := int(slot) + 1 - len(j.Live); missing > 0 {
		j.Live = slices.Concat(j.Live, make([]Proc, missing))
	}
	return &j.Live[slot]
}

// SlotOf returns the slot whose process has that pid.
func (j *Instance) SlotOf(pid int) Slot {
	for s, p := range j.Live {
		if p.PID == pid {
			return Slot(s)
		}
	}
	return NoSlot
}

// BeginCycle is the entry action of starting: it adopts the next environment
// and forgets the last cycle's outcome. It returns the descriptors that the
// new cycle does not take over.
func (j *Instance) BeginCycle() (dropped []NamedFile) {
	if j.StartEnv != nil {
		dropped = j.Files
		j.Env, j.Files = j.StartEnv, j.StartFiles
		j.StartEnv, j.StartFiles = nil, nil
	}
	j.StopEnv = nil
	j.Restarting, j.Overdue, j.RunSince, j.Starved = false, NoSlot, 0, false
	j.Checkup = Checkup{}
	j.Sweep, j.Force = false, false
	j.Failed, j.FailedSlot, j.FailedStatus, j.FailedOOM = false, NoSlot, NoStatus, false
	return dropped
}

// Fail marks the first failure of a cycle and reports whether it was one.
func (j *Instance) Fail(slot Slot, status Status) bool {
	if j.Failed {
		return false
	}
	if slot == Main {
		slot, status = j.blame(status)
	}
	j.Failed, j.FailedSlot, j.FailedStatus = true, slot, status
	return true
}

// EventEnv returns the environment of one of the instance's job events, in
// the order of UPSTART §3.2.
func (j *Instance) EventEnv(ending bool, signals Signals) env.Table {
	n := 2
	if ending {
		n = 8
	}
	t := make(env.Table, 0, n+len(j.Class.Export))
	t = append(t, "JOB="+j.Class.Name, "INSTANCE="+j.Name)
	if ending {
		t = j.appendResult(t, signals)
	}
	for _, key := range j.Class.Export {
		if v, ok := j.Env.Lookup(key); ok {
			t = t.Set(key+"="+v, false)
		}
	}
	return t
}

func (j *Instance) appendResult(t env.Table, signals Signals) env.Table {
	if !j.Failed {
		return append(t, "RESULT=ok")
	}
	t = append(t, "RESULT=failed", "PROCESS="+j.FailedSlot.String())
	if j.FailedStatus == NoStatus || j.FailedSlot == NoSlot {
		return t
	}
	if sig, killed := j.FailedStatus.Signal(); !killed {
		t = append(t, "EXIT_STATUS="+strconv.Itoa(int(j.FailedStatus)))
	} else if name, ok := signals.Name(sig); ok {
		t = append(t, "EXIT_SIGNAL="+name)
	} else {
		t = append(t, "EXIT_SIGNAL="+strconv.Itoa(int(sig)))
	}
	if j.FailedOOM {
		t = append(t, "OOM=1")
	}
	if name := j.overdueBy(); name != "" {
		t = append(t, "TIMEOUT="+name)
	}
	return t
}

// ProcessEnv returns the environment a process in slot is started with
// (UPSTART §1.6.3 layer 5). Session is the private address of a session
// init, empty otherwise.
func (j *Instance) ProcessEnv(slot Slot, session string) env.Table {
	t := make(env.Table, len(j.Env), len(j.Env)+len(j.StopEnv)+3)
	copy(t, j.Env)
	if slot == PreStop || slot == PostStop {
		t = t.Merge(j.StopEnv)
	}
	t = t.Set("UPSTART_JOB="+j.Class.Name, true)
	t = t.Set("UPSTART_INSTANCE="+j.Name, true)
	if session != "" {
		t = t.Set("UPSTART_SESSION="+session, true)
	}
	return t
}
