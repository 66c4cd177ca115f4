package keeper

import (
	"encoding/binary"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// apart: there is one process 1 only, so the keeper under test is an ordinary
// process that adopts orphans.
var apart = &syscall.SysProcAttr{Setpgid: true}

func (f *first) pid() int { return f.cmd.Process.Pid }

var ownSignals = []syscall.Signal{unix.SIGEMT, unix.SIGINFO}

// ignored returns the bits of signals 1 to 31 that this process ignores.
func ignored() (bits uint64) {
	const ignore = 1 // SIG_IGN
	for n := range 31 {
		var old struct { // struct sigaction of signal.h
			handler uintptr
			flags   int32
			mask    [4]uint32
		}
		_, _, errno := unix.Syscall(unix.SYS_SIGACTION, uintptr(n+1), 0, uintptr(unsafe.Pointer(&old)))
		if errno == 0 && old.handler == ignore {
			bits |= 1 << n
		}
	}
	return bits
}

// descriptors returns how many a process has open, by the list of struct
// kinfo_file (sys/user.h).
func descriptors(t *testing.T, pid int) (n int) {
	list, err := unix.SysctlRaw("kern.proc.filedesc", pid)
	if err != nil {
		t.Fatal(err)
	}
	for len(list) >= 12 {
		size := binary.NativeEndian.Uint32(list)
		if int32(binary.NativeEndian.Uint32(list[8:])) >= 0 {
			n++
		}
		list = list[size:]
	}
	return n
}

func init() { keepers["held"] = script{manager: heldManager} }

// heldManager dies when it hears of TSTP.
func heldManager() {
	c := attach()
	tell("life %d missed %d", c.Life, c.missed)
	for {
		c.block()
		must(c.Receive(func(e Event) {
			must(c.Ack(e.Seq))
			switch e.Signal {
			case unix.SIGTSTP:
				suicide()
			case unix.SIGHUP:
				must(c.Exit(0))
			}
		}))
	}
}

func TestNoManagerBetweenTSTPAndHUP(t *testing.T) {
	f := boot(t, "held")
	f.until("life 1")
	f.signal(unix.SIGTSTP)
	f.untilLog("the manager ended by signal 9")
	f.signal(unix.SIGHUP)
	if got := f.until("life 2 "); got != "missed 1" {
		t.Errorf("the next manager is started before HUP: %s", got)
	}
	f.end()
}

// untilLog waits for words of the keeper.
func (f *first) untilLog(words string) {
	f.t.Helper()
	for end := time.Now().Add(3 * time.Minute); !strings.Contains(f.log(), words); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			f.t.Fatalf("the keeper does not say %q:\n%s", words, f.log())
		}
	}
}
