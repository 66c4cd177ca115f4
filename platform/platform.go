// Package platform is the contract between the manager and a kernel: what the
// manager needs done, in interfaces of a few methods. A back end a kernel
// implements them, platform/posix holds what back ends share, and
// platform/manager puts them together under core/loop.
//
// Concurrency: everything here is called on the manager's one loop goroutine,
// which is locked to the main thread because ptrace and wait belong to a
// thread. The exception is Poller.Wake.
package platform

import (
	"time"

	"onset/core/control"
	"onset/core/engine"
	"onset/core/job"
)

// Ready says what a descriptor is ready for; Hangup comes unasked.
type Ready uint8

// The ways of being ready.
const (
	Readable Ready = 1 << iota
	Writable
	Hangup
)

// Poller waits for descriptors (epoll, kqueue). Level-triggered.
type Poller interface {
	// Add calls ready whenever fd is ready for any of want.
	Add(fd int, want Ready, ready func(Ready)) error
	// Set changes what is waited for; 0 keeps only Hangup.
	Set(fd int, want Ready) error
	// Remove forgets fd, which must still be open.
	Remove(fd int)
	// Wait calls the functions of ready descriptors, once each; it returns
	// after that, at the timeout (negative: none), when woken, and may return
	// before any of that.
	Wait(timeout time.Duration) error
	// Wake makes a Wait return, now or next. Any goroutine may call it.
	Wake()
}

// Streams are the descriptors a new process gets besides the console: they
// stay the caller's.
type Streams struct {
	Log   int   // terminal for 1 and 2; -1 without console log
	Files []int // from descriptor 3 on
	// Sign is where main says that it is ready: the writing end of a pipe for
	// expect fd, a socket for expect listen (see Listens). 0 is none.
	Sign int
}

// Started is a process that exists.
type Started struct {
	PID int
	// Executed is true if the program already runs. Otherwise Executed or
	// ExecFailed comes from Processes.Collect later.
	Executed bool
}

// Found is what became of a Spawn.
type Found struct {
	// PID is 0 if no process was made, or if it is gone and its pid with it.
	PID int
	// Started says that there was a process. If it is dead, its end is told
	// by who reaped it.
	Started bool
}

// SpawnError is a spawn that made no process.
type SpawnError struct {
	Reason    string // step and error as in UPSTART §4.4
	Temporary bool   // may pass: no memory, no process, no descriptor
}

func (e *SpawnError) Error() string { return e.Reason }

// Process is one of the processes of a spawn.
type Process struct {
	PID     int
	Parent  int           // 0: none of the spawn
	Command string        // its command line, or its name in brackets
	Started time.Duration // after the boot
}

// Processes starts, signals, traces and collects processes.
type Processes interface {
	// Spawn starts the process of a spec. token is put where Find finds it.
	Spawn(token uint64, s *job.Spec, io Streams) (Started, error)
	// Find looks for what a Spawn made whose answer a manager that died
	// did not note. known tells the processes of other slots. What it finds
	// is taken over as by Adopt.
	Find(token uint64, s *job.Spec, known func(pid int) bool) Found
	// Adopt takes over a process of a manager before, dead or alive, that
	// is not known to be dead. Executed comes from Collect if it runs its
	// program, also if that was told before. expect is that of main; with
	// unready it is traced again as Spawn does it. All are adopted before the
	// first Collect.
	Adopt(token uint64, pid int, expect job.ExpectKind, unready bool)
	// Reaped calls yield with what the death of an adopted process means,
	// which another process reaped and tells with the code and status of
	// waitid. The death of any other process means nothing.
	Reaped(pid, code, status int, yield func(engine.Msg))
	// Kill signals a process, its group or all that its spawn made, as
	// far as the kernel tracks that: KILL reaches what is being forked, any
	// other signal each process once. pid may be 0 with engine.Tree. No such
	// process is no error.
	Kill(token uint64, pid int, sig job.Signal, scope engine.Scope) error
	// Await has Collect tell Emptied once nothing lives of a spawn. That
	// comes by itself after each Exited whose Left is not 0, never before
	// the Exited of a process of the spawn; a manager asks for what one
	// before it still waited for.
	Await(token uint64)
	// Supervise has the end of a process told that a spawn made, though it
	// may be the child of another; its status is job.NoStatus then.
	Supervise(token uint64, pid int)
	// TokenOf returns the token of the spawn that a process comes from, as
	// far as the kernel tells; 0 if it is gone or comes from none.
	TokenOf(pid int) uint64
	// Tree returns the living processes of a spawn, each after its parent; pid
	// is the one that its slot has.
	Tree(token uint64, pid int) []Process
	// Usage returns what all processes of a spawn use, or nil if nobody
	// counts it.
	Usage(token uint64) *control.Usage
	// Detach ends the tracing of a process, alive or just ended, and of all
	// that it has made.
	Detach(pid int)
	// Collect calls yield with what became of processes since the last
	// call: Executed and ExecFailed before the Exited of the same process.
	// It never blocks. The end of a process is taken from the kernel by the
	// next call, when the journal has it; more says that this call is due
	// at once, as there may be more to tell.
	Collect(yield func(engine.Msg)) (more bool)
	// Counts returns how many processes were started with what the kernel
	// offers, and how many through the exec stage.
	Counts() (fast, staged int)
}
