package keeper

import (
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"onset/platform/posix"
)

// The stages of a greeting, in state.Greeting. From greetStore on it counts
// the descriptors that were told.
const (
	greetNone  = 0 // nobody has said hello: nothing is told
	greetDone  = 1 // events are told
	greetHead  = 2
	greetStore = 3
)

// keepUp starts a manager if there is none and there should be.
func (k *keeper) keepUp() {
	if k.Manager != 0 || k.Shell != 0 || k.Held != 0 || k.done || monotonic() < k.Retry {
		return
	}
	if k.hopeless() {
		k.emergency()
		return
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		k.Life, k.Fresh, k.Greeting = k.Life+1, 1, greetNone
		k.Socket = int32(pair[0])
		err = k.startManager(pair[1])
		unix.Close(pair[1])
	}
	if err != nil {
		k.say("cannot start the manager: "+err.Error(), -1)
		k.closeSocket()
		k.Deaths++
		k.Retry = monotonic() + second/10
	}
}

// startManager executes the program that is installed. If managers died of it
// every other one is of the keeper's own, which is known to run: a broken
// upgrade so costs no more than itself.
func (k *keeper) startManager(socket int) (err error) {
	paths := [...]string{k.o.Path, selfExe}
	if k.Deaths > 1 && k.Deaths%2 == 0 {
		paths = [...]string{selfExe, k.o.Path}
	}
	for _, path := range paths {
		var pid int
		pid, err = syscall.ForkExec(path, k.o.Args, &syscall.ProcAttr{Env: k.o.Env, Files: managerFiles(socket, int(k.Memory))})
		if err == nil {
			k.Manager = int32(pid)
			break
		}
	}
	return err
}

// managerSocket is the number of the manager's socket in the manager, where the
// memory follows. It is that high to have the table of descriptors made large before
// the manager has threads: later that takes the kernel 10 ms each time.
var managerSocket = min(512, posix.Descriptors()/2)

func managerFiles(socket, memory int) []uintptr {
	files := slices.Repeat([]uintptr{^uintptr(0)}, managerSocket+2)
	copy(files, []uintptr{0, 1, 2})
	files[managerSocket], files[managerSocket+1] = uintptr(socket), uintptr(memory)
	return files
}

func (k *keeper) closeSocket() {
	if k.Socket != 0 {
		unix.Close(int(k.Socket))
		k.Socket = 0
	}
}

// managerDied takes what the manager still said, and judges its death.
func (k *keeper) managerDied(e event) {
	for k.hear(perTurn) {
	}
	k.closeSocket()
	k.unsend()
	k.Manager, k.Greeting = 0, greetNone
	k.Code, k.Status = e.Code, e.Status
	k.Deaths++
	if ownFault(e) {
		now := monotonic()
		k.Poisoned = 1
		if k.Faults[1] != 0 && now-k.Faults[1] < minute {
			k.Deaths = maxDeaths
		}
		k.Faults = [2]int64{now, k.Faults[0]}
	}
	k.say("the manager ended by "+reason(e), int64(e.Status))
}

// ownFault reports whether a program that ended so is to blame itself.
func ownFault(e event) bool {
	if e.Code == cldExited {
		return e.Status == exitPanic
	}
	switch syscall.Signal(e.Status) {
	case unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGILL, unix.SIGABRT, unix.SIGTRAP, unix.SIGSYS:
		return true
	}
	return false
}

func reason(e event) string {
	if e.Code == cldExited {
		return "status"
	}
	return "signal"
}

// hopeless reports whether managers died too often.
func (k *keeper) hopeless() bool { return k.Deaths >= maxDeaths }

// emergency is what happens when no manager can be kept up. The shell's end
// is another chance for the manager; so is a minute without a shell.
func (k *keeper) emergency() {
	k.say("the manager cannot be kept up", -1)
	if k.o.Container {
		k.done, k.code = true, exitFailed
		return
	}
	if k.Shell = int32(k.startShell()); k.Shell == 0 {
		k.Deaths, k.Faults = 0, [2]int64{}
		k.Retry = monotonic() + minute
	}
}

// startShell returns the process number of a shell on the console, or 0.
func (k *keeper) startShell() int {
	if len(k.o.Shell) == 0 {
		return 0
	}
	fd, err := unix.Open(k.o.Console, unix.O_RDWR|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err == nil {
		defer unix.Close(fd)
		unix.SetNonblock(fd, false)
		attr := &syscall.ProcAttr{
			Env:   without(k.o.Env, attachEnv),
			Files: []uintptr{uintptr(fd), uintptr(fd), uintptr(fd)},
			Sys:   &syscall.SysProcAttr{Setsid: true, Setctty: true},
		}
		var pid int
		if pid, err = syscall.ForkExec(k.o.Shell[0], k.o.Shell, attr); err == nil {
			return pid
		}
		attr.Sys.Setctty = false // the console is no terminal, or another session's
		if pid, err = syscall.ForkExec(k.o.Shell[0], k.o.Shell, attr); err == nil {
			return pid
		}
	}
	k.say("cannot start a shell on the console: "+err.Error(), -1)
	return 0
}

// hear takes messages of the manager, n at most, and reports whether there
// may be more. A manager that closed its end can be told nothing: it is ended.
func (k *keeper) hear(n int) bool {
	for ; n > 0 && k.Socket != 0; n-- {
		fd, err := k.wire.receive(int(k.Socket))
		if err == unix.EAGAIN {
			return false
		}
		if err != nil {
			k.closeSocket()
			if k.Manager != 0 {
				unix.Kill(int(k.Manager), unix.SIGKILL)
			}
			return false
		}
		k.obey(&k.wire.in, fd)
	}
	return k.Socket != 0
}

// obey does what a message with a descriptor or -1 says.
func (k *keeper) obey(m *message, fd int) {
	if k.o.hook != nil {
		k.o.hook(k, byte(m.Kind))
	}
	if m.Kind == msgStore && fd >= 0 {
		if k.put(m.name(), fd) {
			return
		}
		k.say("no room to store a descriptor", -1)
	}
	closeFD(fd)
	switch m.Kind {
	case msgHello:
		k.Nonce, k.Greeting = m.Seq, greetHead
		k.unsend()
	case msgStore:
		if fd < 0 {
			k.say("a descriptor to store was lost", -1)
		}
	case msgDrop:
		k.drop(m.name())
	case msgAck:
		k.ack(m.Seq + 1)
	case msgRecovered:
		k.Poisoned = 0
	case msgAlive:
		k.Deaths = 0
	case msgReboot:
		if err := reboot(Reboot(m.A)); err != nil {
			k.say("cannot reboot: "+err.Error(), -1)
			k.done, k.code = k.o.Container, 0
		}
	case msgExit:
		k.done, k.code = true, int(m.A)
	case msgWatchdog:
		k.setWatchdog(m.A)
	case msgReexec:
		k.reexec()
	}
}

// toTell reports whether there is anything to tell the manager.
func (k *keeper) toTell() bool {
	return k.Greeting >= greetHead || k.Greeting == greetDone && k.Sent < k.Tail
}

// tell sends what there is to tell, as far as the socket takes it.
func (k *keeper) tell() {
	for k.Socket != 0 && k.toTell() {
		fd := k.compose(&k.wire.out)
		if err := k.wire.send(int(k.Socket), fd); err != nil {
			return // no room, or the end that hear will find
		}
		k.told()
	}
}

// compose writes the next message and returns the descriptor that belongs to
// it, or -1.
func (k *keeper) compose(m *message) (fd int) {
	*m = message{}
	switch i := k.Greeting - greetStore; {
	case k.Greeting == greetDone:
		e := k.slot(k.Sent)
		*m = message{Kind: msgEvent, Seq: k.Sent, A: e.PID, B: e.Code, C: e.Status}
	case k.Greeting == greetHead:
		*m = message{Kind: msgGreeting, Seq: k.Nonce, A: int32(k.Life), Len: k.Limit}
		if k.Poisoned != 0 {
			m.B |= greetPoisoned
		}
		if k.Fresh != 0 && k.Code != 0 {
			m.B, m.C, m.D = m.B|greetDied, k.Code, k.Status
		}
	case i < int32(k.Stored):
		m.Kind = msgStored
		m.setName(k.Store[i].name())
		return int(k.Store[i].FD)
	default:
		m.Kind, m.A = msgReady, int32(k.Tail-k.Sent)
	}
	return -1
}

// told notes that what compose wrote was sent.
func (k *keeper) told() {
	switch {
	case k.Greeting == greetDone:
		if e := k.slot(k.Sent); e.PID == 0 {
			k.Waiting &^= 1 << (e.Status - 1)
		}
		k.Sent++
	case k.wire.out.Kind == msgReady:
		k.Greeting, k.Fresh = greetDone, 0
	default:
		k.Greeting++
	}
}

// reexec has the keeper execute its program again; the next one goes on with
// the state. It returns only if that fails.
//
// Go unblocks HUP, INT and TERM before main can claim them, and is ended by
// one that comes in that fraction of a millisecond. It leaves the first two
// alone where they are ignored; so these are lost then instead.
func (k *keeper) reexec() {
	signal.Ignore(unix.SIGHUP, unix.SIGINT)
	time.Sleep(time.Millisecond) // until those that came before are in pending
	k.takeSignals()
	k.inherit(0)
	env := append(without(syscall.Environ(), stateEnv), stateEnv+strconv.Itoa(k.stateFD))
	if len(k.o.Self) > 1 {
		syscall.Exec(k.o.Self[0], k.o.Self[1:], env)
		syscall.Exec(selfExe, k.o.Self[1:], env)
	}
	claim(k.signals)
	k.inherit(unix.FD_CLOEXEC)
	k.say("cannot execute myself", -1)
}

// without returns an environment without the variables of these prefixes: of
// two of one name, programs take the first.
func without(env []string, prefixes ...string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(v, p) })
	})
}

// inherit sets the flags of all descriptors that outlive an execution.
func (k *keeper) inherit(flags int) {
	set := func(fd int32) {
		if fd > 0 {
			unix.FcntlInt(uintptr(fd), unix.F_SETFD, flags)
		}
	}
	set(int32(k.stateFD))
	set(k.Socket)
	set(k.Memory)
	set(k.Watchdog)
	for i := range k.Store[:k.Stored] {
		set(k.Store[i].FD)
	}
}

// takeOver goes on with the state of the keeper before, if there was one.
func (k *keeper) takeOver() bool {
	text, ok := syscall.Getenv(stateEnv[:len(stateEnv)-1])
	if !ok {
		return false
	}
	syscall.Unsetenv(stateEnv[:len(stateEnv)-1])
	fd, err := strconv.Atoi(text)
	if err != nil || fd < 3 {
		return false
	}
	if k.state, err = mapState(fd); err != nil || k.Memory == 0 {
		k.say("state not taken over", int64(fd))
		return false
	}
	k.stateFD = fd
	k.inherit(unix.FD_CLOEXEC)
	return true
}
