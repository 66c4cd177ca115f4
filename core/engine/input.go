package engine

import (
	"onset/core/cause"
	"onset/core/control"
	"onset/core/job"
)

// Input is one thing that happened, with the moment it was noticed.
type Input struct {
	cause.Clock
	Msg Msg
}

// Msg is what happened. The set is closed; each type is one kind of input.
type Msg interface{ input() }

type (
	// Loaded is the complete configuration, read at start-up or because
	// a LoadConfig effect asked for it. Files not in it are gone.
	Loaded struct{ Sources []Source }

	// SourceLoaded is the configuration of a chroot session, read because
	// a LoadSource effect asked for it.
	SourceLoaded struct{ Source Source }

	// FileChanged is a file that was written or moved into place below a
	// source.
	FileChanged struct {
		Source string // path of the source
		File   File
	}

	// FileRemoved is a file that is gone.
	FileRemoved struct{ Source, Path string }

	// SourceRemoved is a watched directory that is gone; it is noticed
	// again at the next full load.
	SourceRemoved struct{ Source string }

	// Tick says that the deadline of the engine has passed.
	Tick struct{}

	// Spawned is the result of a Spawn effect: a process exists. It is not
	// executing its program yet.
	Spawned struct {
		Token uint64
		PID   int
	}

	// SpawnFailed is the other result of a Spawn effect: there is no
	// process. It is tried again when that may help.
	SpawnFailed struct {
		Token     uint64
		Reason    string
		Temporary bool
	}

	// Executed says that a spawned process runs its program now.
	Executed struct{ PID int }

	// ExecFailed says that a spawned process could not be set up; its end
	// is not reported again.
	ExecFailed struct {
		PID    int
		Reason string // step and error, as in UPSTART §4.4
	}

	// Exited is the end of a child, whether of a job or an orphan.
	Exited struct {
		PID    int
		Status job.Status
		// Heir is the process of the same spawn that goes on when it and
		// all between them have ended; 0 if there is none. It is looked for
		// only of a main whose readiness protocol allows that (Expect.Follows).
		Heir  int
		Forks int  // that lead from PID to Heir; 0 if it was not seen
		Left  int  // processes of the same spawn that live on, as far as the kernel tracks them
		OOM   bool // the kernel killed a process of the spawn for want of memory
	}

	// Emptied says that nothing lives any more of a spawn whose process
	// ended with others left.
	Emptied struct{ Token uint64 }

	// Ready is the sign of readiness of expect listen, fd and dbus
	// (EXTENSIONS §4).
	Ready struct{ Token uint64 }

	// Notified is a message of the sd_notify protocol from a process of a
	// spawn: KEY=VALUE lines, and descriptor references.
	Notified struct {
		Token uint64
		PID   int // of the sender
		Lines []string
		Files []int
	}

	// Stopped and Continued are job control stops of a child.
	Stopped struct {
		PID    int
		Signal job.Signal
	}
	Continued struct {
		PID    int
		Signal job.Signal
	}

	// Replaced says that a traced process executed another program, and
	// that main and all between them have ended.
	Replaced struct{ PID int }

	// Called is a request over the control API.
	Called struct {
		Caller control.Caller
		Call   control.Call
	}

	// Hungup says that a connection is gone with all its pending calls.
	Hungup struct{ Conn uint64 }

	// Done is the result of an effect that carries a call: ConnectBus or
	// FlushLogs. Error is empty on success.
	Done struct {
		Call  uint64
		Error string
	}

	// Told is a request from the kernel or from outside the control API.
	Told struct{ What Request }
)

// Request is what init was told by signal, or noticed about its kernel.
type Request uint8

// The requests (UPSTART §3.3, §8.4).
const (
	Reload             Request = iota // SIGHUP
	ReExec                            // SIGTERM to a system init
	Shutdown                          // SIGTERM to a session init
	ControlAltDelete                  // the key combination
	KeyboardRequest                   // the kernel's keyboard signal
	PowerStatusChanged                // power failing or back
	ReconnectBus                      // SIGUSR1
	SubreaperFailed                   // orphans will not come to this init
	Restarted                         // this is the image after a re-exec
	PowerButton                       // pressed
	HaltMachine                       // runlevel 0, and stay off
	RebootMachine                     // runlevel 6
	SingleUser                        // runlevel 1
)

func (Loaded) input()        {}
func (SourceLoaded) input()  {}
func (FileChanged) input()   {}
func (FileRemoved) input()   {}
func (SourceRemoved) input() {}
func (Tick) input()          {}
func (Spawned) input()       {}
func (SpawnFailed) input()   {}
func (Executed) input()      {}
func (ExecFailed) input()    {}
func (Exited) input()        {}
func (Emptied) input()       {}
func (Ready) input()         {}
func (Notified) input()      {}
func (Stopped) input()       {}
func (Continued) input()     {}
func (Replaced) input()      {}
func (Called) input()        {}
func (Hungup) input()        {}
func (Done) input()          {}
func (Told) input()          {}

// SourceKind is what a configuration source is.
type SourceKind uint8

// The kinds of UPSTART §1.1.
const (
	JobDir   SourceKind = iota // a tree of job files
	InitConf                   // init.conf, whose stanza table is empty
)

// Source is one configuration source as it was read; earlier sources win.
type Source struct {
	Path    string
	Kind    SourceKind
	Session string // chroot root; empty for the host
	Files   []File // in the order they were found
	Error   string // the source could not be read; empty also if it is missing
}

// File is one file below a source. Path is absolute; a file that could not
// be read has Error set.
type File struct {
	Path  string
	Text  string
	Error string
}
