package engine

import (
	"onset/core/control"
	"onset/core/job"
)

// Effect is something the engine wants done. Effects of one step are carried
// out in order; those that have a result bring it back as an input.
type Effect interface{ effect() }

type (
	// Log is a message of init.
	Log struct {
		Priority Priority
		Text     string
	}

	// Spawn starts a process. Results: Spawned or SpawnFailed with the
	// token, later Executed or ExecFailed with the pid.
	Spawn struct {
		Token uint64
		Spec  *job.Spec
	}

	// Kill signals a process, its group or its tree. A process that is gone
	// is no error.
	Kill struct {
		Token  uint64 // of the spawn it came from
		PID    int    // 0 if it is gone and the scope is Tree
		Signal job.Signal
		Scope  Scope
	}

	// AwaitName looks out for the owner of a name on the message bus, now
	// and on every bus joined later, until Release. Result: Ready.
	AwaitName struct {
		Token uint64
		Name  string
	}

	// Supervise makes a process of a spawn, which need not be a child, one
	// whose Exited is told. Where only its parent learns how it ended the
	// status is NoStatus. One that is gone already is told of, too.
	Supervise struct {
		Token uint64
		PID   int
	}

	// Detach stops tracing a process and all that came of the same spawn.
	Detach struct{ PID int }

	// Release says that a slot is done with its process: its log is
	// finished and its login record closed. PID is 0 when none ever ran.
	Release struct {
		Token uint64
		PID   int
	}

	// Respond answers a call. A connection that is gone is no error.
	Respond struct {
		Call, Conn uint64
		Reply      control.Reply
	}

	// Publish sends a signal to every connection.
	Publish struct{ Signal control.Signal }

	// DumpState answers a call with the state of the engine as JSON
	// (UPSTART Appendix A). The driver does it: it holds the engine.
	DumpState struct{ Call, Conn uint64 }

	// Inspect answers a call with the processes of these spawns and what
	// they use, as JSON (EXTENSIONS §4).
	Inspect struct {
		Call, Conn uint64
		Spawns     []SlotSpawn
	}

	// CloseFile closes a descriptor that came with an event or a Notified.
	CloseFile struct{ File int }

	// LoadConfig reads all sources again, and those of these chroot
	// sessions. Result: Loaded.
	LoadConfig struct{ Sessions []string }

	// LoadSource reads the configuration of a chroot session. Result:
	// SourceLoaded.
	LoadSource struct{ Session string }

	// ConnectBus connects to a message bus at an address; empty is the
	// system bus. Result: Done if Call is not 0.
	ConnectBus struct {
		Address string
		Call    uint64
	}

	// UpdateActivation tells the message bus about KEY=VALUE entries for
	// the services it starts.
	UpdateActivation struct{ Env []string }

	// FlushLogs writes what early jobs logged to disk. Result: Done.
	FlushLogs struct{ Call uint64 }

	// Reexec replaces the running image, keeping state.
	Reexec struct{}

	// Exit ends a session init.
	Exit struct{}
)

// SlotSpawn is a spawn whose processes live.
type SlotSpawn struct {
	Slot  string
	Token uint64
	PID   int // 0 if its first process has ended
}

// Priority of a log message, in the order of UPSTART §6.3.
type Priority uint8

// The priorities.
const (
	Debug Priority = iota
	Info
	Message
	Warn
	Error
	Fatal
)

var priorityNames = [...]string{"debug", "info", "message", "warn", "error", "fatal"}

func (p Priority) String() string { return priorityNames[p] }

// Scope is whom a Kill reaches.
type Scope uint8

// The scopes.
const (
	Group   Scope = iota // the process group; the process if it has none
	Process              // only the process
	Tree                 // every process of the spawn; the group where the kernel does not track them
)

func (Log) effect()              {}
func (Spawn) effect()            {}
func (Kill) effect()             {}
func (AwaitName) effect()        {}
func (Supervise) effect()        {}
func (Detach) effect()           {}
func (Release) effect()          {}
func (Respond) effect()          {}
func (Publish) effect()          {}
func (DumpState) effect()        {}
func (Inspect) effect()          {}
func (CloseFile) effect()        {}
func (LoadConfig) effect()       {}
func (LoadSource) effect()       {}
func (ConnectBus) effect()       {}
func (UpdateActivation) effect() {}
func (FlushLogs) effect()        {}
func (Reexec) effect()           {}
func (Exit) effect()             {}
