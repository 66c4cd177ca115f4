package timers

import (
	"time"

	"golang.org/x/sys/unix"
)

// moment is a point in time on both clocks.
type moment struct {
	wall time.Time     // may be set
	run  time.Duration // since the machine booted; never set
}

// offset is what wall is ahead of run.
func (m moment) offset() time.Duration { return time.Duration(m.wall.UnixNano()) - m.run }

// wallAt returns what the wall clock shows at a time of the other clock, if
// nobody sets it.
func (m moment) wallAt(run time.Duration) time.Time { return m.wall.Add(run - m.run) }

// runAt is the inverse of wallAt.
func (m moment) runAt(wall time.Time) time.Duration { return m.run + wall.Sub(m.wall) }

// read reads a clock of the kernel, of which none that is asked for is missing.
func read(id int32) time.Duration {
	var t unix.Timespec
	unix.ClockGettime(id, &t)
	return time.Duration(t.Nano())
}

// readBoth reads the clock on the wall and another as if at once: again where
// much time went by meanwhile.
func readBoth(other int32) (m moment) {
	for range 5 {
		m.run, m.wall = read(other), time.Unix(0, int64(read(unix.CLOCK_REALTIME)))
		if read(other)-m.run < time.Millisecond {
			break
		}
	}
	return m
}

// clock is the time, and an alarm.
type clock interface {
	now() moment
	// set has the alarm ring then, or at once if that is past.
	set(run time.Duration)
	// rings has something when the alarm rang or the wall clock may have been
	// set.
	rings() <-chan struct{}
	close()
}
