// Package job holds what a job is and the decisions about one: its class as
// the job file defines it, its instances, and the lifecycle they go through
// (UPSTART §2).
//
// An instance has a goal (stop, start, or for a moment respawn) and a state.
// The state moves along one table, Next, and never along any other way:
//
//	waiting → starting → security → pre-start → spawned → post-start → running
//	waiting ← post-stop ← killed ← stopping ← pre-stop ←─────────────────┘
//
// Each of security, pre-start, main, post-start, pre-stop and post-stop may
// have a process. The …ing states in front of them are passed through in one
// go; starting and stopping wait for an event of their own; the others wait
// for their process. Changing the goal turns the machine round when the
// current wait ends; it interrupts nothing.
//
// The package decides and records; it starts nothing and tells nobody. That
// is the engine's part.
package job

import "fmt"

// Goal is where an instance is meant to go.
type Goal uint8

// The goals. GoalRespawn lasts from the death of main until the post-start or
// pre-stop process running beside it has ended.
const (
	GoalStop Goal = iota
	GoalStart
	GoalRespawn
)

var goalNames = [...]string{"stop", "start", "respawn"}

func (g Goal) String() string { return goalNames[g] }

// State is where an instance is.
type State uint8

// The states, in the order of UPSTART §2.1.
const (
	Waiting State = iota
	Starting
	SecuritySpawning
	InSecurity
	PreStarting
	InPreStart
	Spawning
	Spawned
	PostStarting
	InPostStart
	Running
	PreStopping
	InPreStop
	Stopping
	InKilled
	PostStopping
	InPostStop
	NumStates = iota
)

var stateNames = [NumStates]string{"waiting", "starting", "security-spawning", "security", "pre-starting",
	"pre-start", "spawning", "spawned", "post-starting", "post-start", "running", "pre-stopping", "pre-stop",
	"stopping", "killed", "post-stopping", "post-stop"}

func (s State) String() string { return stateNames[s] }

// next is the table of UPSTART §2.2: for each state where goal start and goal
// stop lead. Next adds what depends on more than that.
var next = [NumStates][2]State{
	Waiting:          {GoalStart: Starting, GoalStop: Waiting},
	Starting:         {GoalStart: SecuritySpawning, GoalStop: Stopping},
	SecuritySpawning: {GoalStart: InSecurity, GoalStop: Stopping},
	InSecurity:       {GoalStart: PreStarting, GoalStop: Stopping},
	PreStarting:      {GoalStart: InPreStart, GoalStop: Stopping},
	InPreStart:       {GoalStart: Spawning, GoalStop: Stopping},
	Spawning:         {GoalStart: Spawned, GoalStop: Stopping},
	Spawned:          {GoalStart: PostStarting, GoalStop: Stopping},
	PostStarting:     {GoalStart: InPostStart, GoalStop: Stopping},
	InPostStart:      {GoalStart: Running, GoalStop: Stopping},
	Running:          {GoalStart: Stopping, GoalStop: Stopping},
	PreStopping:      {GoalStart: InPreStop, GoalStop: InPreStop},
	InPreStop:        {GoalStart: Running, GoalStop: Stopping},
	Stopping:         {GoalStart: InKilled, GoalStop: InKilled},
	InKilled:         {GoalStart: PostStopping, GoalStop: PostStopping},
	PostStopping:     {GoalStart: InPostStop, GoalStop: InPostStop},
	InPostStop:       {GoalStart: Starting, GoalStop: Waiting},
}

// Next returns the state that follows the current one under the current
// goal. On the way to it a respawn goal turns into start (UPSTART §2.2).
func (j *Instance) Next() State {
	switch {
	case j.Goal == GoalRespawn:
		if j.State != InPostStart && j.State != InPreStop {
			panic(fmt.Sprintf("internal error: %s respawning in %s", j, j.State))
		}
		return Stopping
	case j.State == Running && j.Goal == GoalStop && j.mainAlive():
		return PreStopping
	case j.State == InPreStop && j.Restarting:
		return Stopping // DECISIONS 1
	case j.needsMain() && j.Class.Process.Of(Main).Defined() && !j.mainAlive():
		return Stopping // DECISIONS 2: never running without its process
	}
	return next[j.State][j.Goal]
}

// needsMain reports whether the next state would rely on a living main.
func (j *Instance) needsMain() bool {
	return j.Goal == GoalStart && (j.State == Spawned || j.State == InPostStart || j.State == InPreStop)
}

func (j *Instance) mainAlive() bool { return j.Proc(Main).PID > 0 }

// HookSlot returns the process that a state waits for.
func (s State) HookSlot() (Slot, bool) {
	switch s {
	case InSecurity:
		return Security, true
	case InPreStart:
		return PreStart, true
	case InPostStart:
		return PostStart, true
	case InPreStop:
		return PreStop, true
	case InPostStop:
		return PostStop, true
	}
	return NoSlot, false
}
