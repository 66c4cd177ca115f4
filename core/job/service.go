package job

import "time"

// Phase is what main says that it is doing (EXTENSIONS §4).
type Phase uint8

// The phases of sd_notify(3).
const (
	NoPhase Phase = iota
	Reloading
	EndingItself
)

var phaseNames = [...]string{"", "reloading", "stopping"}

func (p Phase) String() string { return phaseNames[p] }

// Report is what main said by the sd_notify protocol; it ends with main.
type Report struct {
	Text     string        // of STATUS=
	Watchdog time.Duration // of WATCHDOG_USEC=; 0: that of the class, negative: none
	Fed      time.Duration // when WATCHDOG=1 came last
	Due      time.Duration // when that is looked at; 0 without a watchdog
	First    int           // process that was main before MAINPID=, while it lives; else 0
	Phase    Phase
}

// Checkup is how the health of main is watched (EXTENSIONS §6).
type Checkup struct {
	Due      time.Duration // of the next check, or end of the time of one that runs; 0 without
	Failures int           // in a row
	Late     bool          // the last check did not end in time
	Status   Status        // of the last check
}

// NamedFile is a descriptor that init keeps, by its reference.
type NamedFile struct {
	Name string // as sd_listen_fds_with_names(3) tells it
	File int
}

// WatchdogTime returns how long main may be silent; 0 is for ever.
func (j *Instance) WatchdogTime() time.Duration {
	if j.Report.Watchdog != 0 {
		return max(0, j.Report.Watchdog)
	}
	return time.Duration(j.Class.Watchdog) * time.Second
}

// IsUp reports whether main is ready and meant to go on running.
func (j *Instance) IsUp() bool {
	return j.Goal == GoalStart && !j.Restarting && j.mainAlive() && j.Overdue == NoSlot &&
		(j.State == InPostStart || j.State == Running)
}

// blame returns what an event names as failed when main has.
func (j *Instance) blame(status Status) (Slot, Status) {
	if j.Overdue == Health {
		return Health, j.Checkup.Status
	}
	return Main, status
}

// overdueBy returns what the limit is called that ended the process of the
// failed slot, or nothing.
func (j *Instance) overdueBy() string {
	switch {
	case j.Overdue != j.FailedSlot, j.Overdue == Health && !j.Checkup.Late:
		return ""
	case j.Starved:
		return "watchdog"
	}
	name, _ := j.Class.TimeLimit(j.Overdue)
	return name
}
