package keeper

import (
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"onset/platform/posix"
)

// Options of a keeper.
type Options struct {
	Path string   // of the manager's program
	Args []string // of the manager, the name first
	Env  []string // of the manager and the shell

	// Self are path and arguments by which the keeper executes itself.
	Self []string

	// Shell is run on Console when no manager can be kept up; without one
	// there is a new attempt every minute. In a Container, Run returns then.
	Shell     []string
	Console   string
	Container bool
	// ShellFirst has it run before the first manager, too.
	ShellFirst bool

	// SlotSize and LogSize are the bytes there are for a snapshot, twice,
	// and for the input log. Only what is written takes memory.
	SlotSize, LogSize int

	// Watchdog is the device that the manager can have fed; none if empty.
	Watchdog string

	room int                 // in the ring; all of it if 0
	hook func(*keeper, byte) // of a test: a message of a kind is being handled
}

// Defaults and limits. Times are in nanoseconds.
const (
	defaultSize = 64 << 20
	heapLimit   = 32 << 20
	minute      = int64(60e9)
	second      = int64(1e9)

	maxFaults   = 3   // by the manager's own fault in a minute
	maxDeaths   = 10  // of any kind without an input handled
	perTurn     = 256 // messages heard before anything else has its turn
	ownFDs      = 32  // kept for other things than the store
	exitFailed  = 1
	exitPanic   = 2 // what a Go program exits with when it panics
	stateEnv    = "ONSET_KEEPER_STATE="
	attachEnv   = "ONSET_KEEPER="
	maxLineText = 200
)

// keeper is what the loop needs besides its state, all of which can be made
// again from that.
type keeper struct {
	*state
	o       Options
	stateFD int
	wire    wire
	polled  [2]unix.PollFd // the pipe from the signals, the manager

	signals chan os.Signal
	pending atomic.Uint64 // signals heard, by bit
	wakeR   int
	wakeW   int

	child childInfo
	line  [maxLineText + 24]byte
	buf   [64]byte
	done  bool
	code  int
}

// Run is the life of process 1. It claims all signals before anything else,
// and returns the exit status only when the manager asks for it or, in a
// container, cannot be kept up.
func Run(o Options) int {
	k := &keeper{o: o, signals: make(chan os.Signal, 128)}
	claim(k.signals)
	k.o.Env = append(without(o.Env, attachEnv, stateEnv), attachEnv+strconv.Itoa(managerSocket))
	debug.SetPanicOnFault(true)
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(heapLimit)
	if err := k.open(); err != nil {
		k.say("cannot start: "+err.Error(), -1)
		return k.noState()
	}
	go k.pump()
	for !k.done {
		k.safely()
	}
	return k.code
}

// claim asks for every signal but those that Go itself uses (URG) or that
// cannot be had. A signal nobody asked for would end the process.
func claim(c chan<- os.Signal) {
	for n := syscall.Signal(1); n <= 64; n++ {
		if n != unix.SIGKILL && n != unix.SIGSTOP && n != unix.SIGURG {
			signal.Notify(c, n)
		}
	}
}

// open makes the state, or takes over that of the keeper before.
func (k *keeper) open() (err error) {
	if k.o.SlotSize == 0 {
		k.o.SlotSize = defaultSize
	}
	if k.o.LogSize == 0 {
		k.o.LogSize = defaultSize
	}
	var pipe [2]int
	if err = unix.Pipe2(pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return err
	}
	k.wakeR, k.wakeW = pipe[0], pipe[1]
	if k.takeOver() {
		return nil
	}
	if k.stateFD, err = posix.Memory("onset-keeper", nil); err != nil {
		return err
	}
	if k.state, err = mapState(k.stateFD); err != nil {
		return err
	}
	k.Room = MaxEvents
	if k.o.room > 0 {
		k.Room = uint32(k.o.room)
	}
	k.Limit = storeLimit()
	memory, err := newMemory(k.o.SlotSize, k.o.LogSize)
	if k.Memory = int32(memory); err != nil {
		return err
	}
	if k.o.ShellFirst {
		k.Shell = int32(k.startShell())
	}
	return nil
}

// storeLimit returns how many descriptors can be stored.
func storeLimit() uint32 {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil || lim.Cur < 2*ownFDs {
		return ownFDs
	}
	return uint32(min(uint64(lim.Cur)-ownFDs, MaxStored))
}

// noState is what is left to do without any memory for a state: the shell if
// there may be one, then another attempt.
func (k *keeper) noState() int {
	if k.o.Container {
		return exitFailed
	}
	k.state = new(state)
	k.Room = MaxEvents
	for {
		k.Shell = int32(k.startShell())
		for more := true; more; more = k.Shell != 0 {
			k.reap()
			k.Head = k.Tail
			time.Sleep(time.Second)
		}
		k.reexec()
	}
}

// pump is the goroutine that hears signals.
func (k *keeper) pump() {
	var wake [1]byte
	for s := range k.signals {
		k.pending.Or(1 << (s.(syscall.Signal) - 1))
		unix.Write(k.wakeW, wake[:])
	}
}

// safely runs the loop until it is done. After a panic the keeper executes
// itself; where that fails, the loop goes on.
func (k *keeper) safely() {
	defer func() {
		if v := recover(); v != nil {
			text := "panic"
			if err, ok := v.(error); ok {
				text = "panic: " + err.Error()
			}
			k.say(text, -1)
			unix.Write(2, debug.Stack())
			time.Sleep(time.Second / 10) // so that one that always comes leaves time for others
			k.reexec()
		}
	}()
	for !k.done {
		k.turn(k.wait())
	}
}

// turn is the body of the loop.
func (k *keeper) turn(timeout int) {
	k.poll(timeout)
	k.takeSignals()
	k.hear(perTurn)
	k.queueSignals() // before the dead, who could take all the room
	k.reap()
	k.tell()
	k.feed()
	k.keepUp()
}

// wait returns how long, in ms, there is nothing to do by itself; -1 for ever.
func (k *keeper) wait() int {
	at := int64(0)
	if k.Manager == 0 && k.Shell == 0 && k.Held == 0 {
		at = max(k.Retry, 1)
	}
	if k.Watchdog != 0 {
		if next := k.Fed + int64(k.WatchdogMs)*1e6; at == 0 || next < at {
			at = next
		}
	}
	if at == 0 {
		return -1
	}
	return int(max(0, (at-monotonic()+999_999)/1e6))
}

func (k *keeper) poll(timeout int) {
	k.polled[0] = unix.PollFd{Fd: int32(k.wakeR), Events: unix.POLLIN}
	k.polled[1] = unix.PollFd{Fd: -1}
	if k.Socket != 0 {
		k.polled[1] = unix.PollFd{Fd: k.Socket, Events: unix.POLLIN}
		if k.toTell() {
			k.polled[1].Events |= unix.POLLOUT
		}
	}
	unix.Poll(k.polled[:], timeout)
}

// takeSignals moves the signals heard to the state.
func (k *keeper) takeSignals() {
	if k.polled[0].Revents != 0 {
		for {
			if n, _ := unix.Read(k.wakeR, k.buf[:]); n < len(k.buf) {
				break
			}
		}
	}
	const own = 1<<(unix.SIGCHLD-1) | 1<<(unix.SIGPIPE-1)
	if bits := k.pending.Load(); bits != 0 {
		bits = k.pending.Swap(0) &^ own
		k.hold(bits)
		k.Signals |= bits
	}
}

// reap puts the deaths of children into the ring, as far as there is room.
func (k *keeper) reap() {
	for {
		if k.Reaping != 0 {
			k.child.wait(int(k.Reaping), true)
			k.Reaping = 0
		}
		switch {
		case !k.full() && k.child.wait(0, false):
		case k.full() && k.Manager != 0 && k.child.wait(int(k.Manager), false):
		case k.full() && k.Shell != 0 && k.child.wait(int(k.Shell), false):
		default:
			return
		}
		e := event{PID: k.child.pid(), Code: k.child.code(), Status: k.child.status()}
		switch e.PID {
		case k.Manager:
			k.managerDied(e)
		case k.Shell:
			k.Shell, k.Deaths, k.Faults = 0, 0, [2]int64{}
		default:
			k.push(e)
		}
		k.Reaping = e.PID
	}
}

// feed keeps the watchdog quiet.
func (k *keeper) feed() {
	if k.Watchdog == 0 {
		return
	}
	if now := monotonic(); now-k.Fed >= int64(k.WatchdogMs)*1e6 {
		k.Fed = now
		k.buf[0] = 0
		unix.Write(int(k.Watchdog), k.buf[:1])
	}
}

// setWatchdog has the watchdog fed every so many ms; 0 ends it.
func (k *keeper) setWatchdog(ms int32) {
	if k.Watchdog != 0 && ms <= 0 {
		k.buf[0] = 'V' // tells the driver that the end is meant
		unix.Write(int(k.Watchdog), k.buf[:1])
		unix.Close(int(k.Watchdog))
		k.Watchdog = 0
	}
	if k.Watchdog == 0 && ms > 0 && k.o.Watchdog != "" {
		fd, err := unix.Open(k.o.Watchdog, unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			k.say("cannot open the watchdog: error", int64(err.(unix.Errno)))
			return
		}
		k.Watchdog, k.Fed = int32(fd), monotonic()-int64(ms)*1e6
	}
	k.WatchdogMs = ms
}

// say writes a line to standard error, unless that would block, with a number
// behind the text unless it is negative.
func (k *keeper) say(text string, n int64) {
	b := append(k.line[:0], "init: "...)
	b = append(b, text[:min(len(text), maxLineText-6)]...)
	if n >= 0 {
		b = strconv.AppendInt(append(b, ' '), n, 10)
	}
	k.polled[0] = unix.PollFd{Fd: 2, Events: unix.POLLOUT}
	if unix.Poll(k.polled[:1], 0); k.polled[0].Revents&unix.POLLOUT != 0 {
		unix.Write(2, append(b, '\n'))
	}
	k.polled[0] = unix.PollFd{}
}

// monotonic returns a time in ns that goes on over an execution.
func monotonic() int64 {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano()
}
