package keeper

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func withPanic(o *Options) {
	o.hook = func(_ *keeper, kind byte) {
		if kind == msgWatchdog {
			var nowhere *Options
			nowhere.Args = nil
		}
	}
}

// reexecManager has the keeper panic and execute itself, again and again.
func reexecManager() {
	c := attach()
	must(c.Alive())
	if c.Life == 2 {
		tell("stored %d", len(c.Stored))
		tell("ignored %x", ignored())
		var pids []string
		for len(pids) < 20 {
			c.block()
			must(c.Receive(func(e Event) { pids = append(pids, fmt.Sprint(e.PID)) }))
		}
		slices.Sort(pids)
		tell("deaths %s", strings.Join(slices.Compact(pids), " "))
		must(c.Exit(0))
		select {}
	}
	must(c.Store("a", file("a")))
	tell("ready")
	for n := 0; ; {
		c.block()
		must(c.Receive(func(e Event) {
			must(c.Ack(e.Seq))
			if e.Signal == unix.SIGINT {
				suicide()
			}
			if n++; n%2 == 0 {
				must(c.Watchdog(time.Second))
			} else {
				must(c.Reexec())
			}
			fork(nothing...)
			must(c.greet()) // by the next keeper
			tell("round %d", n)
		}))
	}
}

func TestKeeperExecutesItself(t *testing.T) {
	f := boot(t, "reexec")
	f.until("ready")
	fds := func() int { return descriptors(t, f.cmd.Process.Pid) }
	before := 0
	for n := 1; n <= 20; n++ {
		f.signal(unix.SIGHUP)
		f.until(fmt.Sprintf("round %d", n))
		if n == 2 {
			before = fds()
		}
	}
	f.signal(unix.SIGINT)
	if got := f.until("stored "); got != "1" {
		t.Errorf("%s descriptors stored, want 1", got)
	}
	if got := f.until("ignored "); got != "0" {
		t.Errorf("the manager ignores signals %s", got)
	}
	if got := len(strings.Fields(f.until("deaths "))); got != 20 {
		t.Errorf("%d deaths, want 20", got)
	}
	if after := fds(); before != 0 && after > before+2 {
		t.Errorf("%d open descriptors, %d before", after, before)
	}
	if code := f.end().ExitCode(); code != 0 {
		t.Errorf("exit status %d, want 0\n%s", code, f.log())
	}
	if n := strings.Count(f.log(), "init: panic: "); n != 10 {
		t.Errorf("%d panics, want 10\n%s", n, f.log())
	}
}
