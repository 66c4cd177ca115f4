package keeper

import (
	"encoding/binary"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const stormLives = 60

// stormManager starts children and collects what it is told of, until it is
// killed 50 ms after it told of the first. The last of them is left alone.
func stormManager() {
	c := attach()
	must(c.Alive())
	tell("life %d", c.Life)
	var own childInfo
	for n := 0; ; n++ {
		if c.Life < stormLives {
			code := (c.Life + n) % 200
			pid := fork("/bin/sh", "-c", fmt.Sprintf("sleep 0.0%d; exit %d", n*3%10, code))
			tell("spawned %d %d", pid, code)
			if n == 0 {
				go func() { time.Sleep(50 * time.Millisecond); suicide() }()
			}
		}
		p := []unix.PollFd{{Fd: int32(c.FD()), Events: unix.POLLIN}}
		unix.Poll(p, 5)
		must(c.Receive(func(e Event) {
			if e.Signal == unix.SIGTERM {
				must(c.Exit(0))
			}
			if e.Signal != 0 {
				return
			}
			tell("status %d %d", e.PID, e.Status)
			must(c.Ack(e.Seq))
			tell("done %d", e.PID)
		}))
		for own.wait(0, false) {
			pid := int(own.pid())
			tell("status %d %d", pid, own.status())
			own.wait(pid, true)
			tell("done %d", pid)
		}
	}
}

func TestNoStatusIsLostWhenManagersAreKilled(t *testing.T) {
	f := boot(t, "storm")
	want, got, done := map[int]int{}, map[int]int{}, map[int]bool{}
	life, told, twice := 0, 0, 0
	for life < stormLives || len(got) < told {
		line := f.next()
		if line == "" {
			t.Fatalf("the keeper ended: %v\n%s", f.end(), f.log())
		}
		var what string
		var pid, code int
		switch fmt.Sscan(line, &what, &pid, &code); what {
		case "life":
			life = pid
		case "spawned":
			want[pid], told = code, told+1
		case "done":
			done[pid] = true
		case "status":
			if _, ok := want[pid]; !ok {
				continue // killed before it could say that it started this one
			}
			if _, ok := got[pid]; ok {
				twice++
			}
			if got[pid] = code; done[pid] || code != want[pid] {
				t.Fatalf("process %d: status %d, want %d; done before: %v", pid, code, want[pid], done[pid])
			}
		default:
			t.Fatalf("the manager says %q", line)
		}
	}
	f.signal(unix.SIGTERM)
	if code := f.end().ExitCode(); code != 0 {
		t.Errorf("exit status %d, want 0\n%s", code, f.log())
	}
	t.Logf("%d managers killed, %d children, %d told twice before they were acknowledged", life-1, told, twice)
	if told < stormLives-1 {
		t.Errorf("only %d children", told)
	}
}

const boundedChildren = 50

// boundedManager leaves children to the keeper, whose ring takes 10 events.
func boundedManager() {
	c := attach()
	must(c.Alive())
	pid := func(i int) []byte { return c.Memory.Log[4*i:][:4] }
	left := func() (n int) {
		for i := range boundedChildren {
			if unix.Kill(int(binary.NativeEndian.Uint32(pid(i))), 0) == nil {
				n++
			}
		}
		return n
	}
	if c.Life == 1 {
		for i := range boundedChildren {
			binary.NativeEndian.PutUint32(pid(i), uint32(fork(nothing...)))
		}
		suicide()
	}
	var last uint64
	seen := 0
	hear := func(ack bool) {
		must(c.Receive(func(e Event) {
			seen++
			if last = e.Seq; ack {
				must(c.Ack(e.Seq))
			}
		}))
	}
	poll(func() bool { hear(false); return seen == 10 })
	tell("zombies %d", left())
	if c.Life == 2 {
		suicide() // with the ring full
	}
	must(c.Ack(last))
	poll(func() bool { hear(true); return seen == boundedChildren })
	poll(func() bool { return left() == 0 })
	tell("all %d", last)
	must(c.Exit(0))
	select {}
}

func TestFullRingLeavesZombies(t *testing.T) {
	f := boot(t, "bounded")
	for range 2 {
		if got := f.until("zombies "); got != "40" {
			t.Errorf("%s zombies, want 40", got)
		}
	}
	if got := f.until("all "); got != "49" {
		t.Errorf("last event %s, want 49", got)
	}
	f.end()
}

// inplaceManager executes itself when it gets a signal, without Ack.
func inplaceManager() {
	c := attach()
	must(c.Alive())
	p := c.Predecessor
	tell("life %d %v %v stored %d", c.Life, p.Died, p.Poisoned, len(c.Stored))
	must(c.Store("kept", file("x")))
	again := os.Getenv("AGAIN") != ""
	for {
		c.block()
		must(c.Receive(func(e Event) {
			tell("signal %d %d", e.Signal, e.Seq)
			if again {
				must(c.Exit(0))
				select {}
			}
			env := append(without(os.Environ(), roleEnv), c.Inherit(), roleEnv+"=manager", "AGAIN=1")
			self, err := os.Executable()
			must(err)
			must(syscall.Exec(self, []string{"manager"}, env))
		}))
	}
}

func TestManagerExecutesItself(t *testing.T) {
	f := boot(t, "inplace")
	if got := f.until("life "); got != "1 false false stored 0" {
		t.Errorf("life %s", got)
	}
	f.signal(unix.SIGHUP)
	for range 2 {
		if got := f.until("signal "); got != "1 0" {
			t.Errorf("signal %s, want 1 0", got)
		}
		if len(f.said) < 3 && f.until("life ") != "1 false false stored 1" {
			t.Errorf("said %q", f.said)
		}
	}
	if code := f.end().ExitCode(); code != 0 {
		t.Errorf("exit status %d, want 0\n%s", code, f.log())
	}
}
