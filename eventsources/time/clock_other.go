//go:build !linux

package timers

import (
	"time"

	"golang.org/x/sys/unix"
)

// look is how often the wall clock is looked at where the kernel does not tell
// that it was set.
const look = time.Minute

// plainClock is CLOCK_MONOTONIC, which may not count suspended time.
type plainClock struct {
	timer *time.Timer
	rang  chan struct{}
}

func newClock() (clock, error) {
	c := &plainClock{rang: make(chan struct{}, 1)}
	c.timer = time.AfterFunc(look, func() {
		select {
		case c.rang <- struct{}{}:
		default:
		}
	})
	return c, nil
}

func (c *plainClock) now() moment { return readBoth(unix.CLOCK_MONOTONIC) }

func (c *plainClock) set(at time.Duration) { c.timer.Reset(min(at-c.now().run, look)) }

func (c *plainClock) rings() <-chan struct{} { return c.rang }

func (c *plainClock) close() { c.timer.Stop() }

// Folders of the system for what outlives the machine, and what need not
// (hier(7)).
const (
	durableFolder  = "/var/db/onset"
	volatileFolder = "/var/run/onset"
)

// bootID names this boot of the machine: nothing does here. What is kept for
// this boot is in a folder that is emptied at the next.
func bootID() string { return "" }

// startOf is when a process started: process 1 with the clock.
func startOf(pid int) (time.Duration, bool) { return 0, pid == 1 }
