package posix

import (
	"os"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/platform"
)

// Child is a process of a job that was started or taken over and not collected
// yet.
type Child struct {
	Stage   *Report // of the exec stage; nil once the program runs
	Failed  bool    // told by ExecFailed
	Token   uint64  // of its spawn
	Unsure  bool    // taken over when it was dead: whether it ran its program is not told
	Follows bool    // another may go on in its place (job.Expect.Follows)
	Second  bool    // not the only one of its token that was or is main
	Session int     // that it was in when it was taken over, if not its own
	Next    int     // child that was started next
}

// Ledger has the children of this init, and what is to be told of them.
type Ledger struct {
	Poller   platform.Poller
	Warn     func(string)
	Notice   func(token uint64, text string)
	Children map[int]*Child
	happened []engine.Msg
}

// NewLedger returns one without children. warn and notice may be nil.
func NewLedger(p platform.Poller, warn func(string), notice func(token uint64, text string)) Ledger {
	if warn == nil {
		warn = func(string) {}
	}
	if notice == nil {
		notice = func(uint64, string) {}
	}
	return Ledger{Poller: p, Warn: warn, Notice: notice, Children: map[int]*Child{}}
}

// Tell notes what Flush hands out, in this order.
func (l *Ledger) Tell(m engine.Msg) { l.happened = append(l.happened, m) }

// Flush hands out what was told.
func (l *Ledger) Flush(yield func(engine.Msg)) {
	for _, m := range l.happened {
		yield(m)
	}
	l.happened = l.happened[:0]
}

// Stage forks an exec stage and hears of it. One that is tracked goes on after
// track.
func (l *Ledger) Stage(tracked bool, fork func(*Birth) (pid int, err error), track func(pid int)) (pid int, err error) {
	birth, err := NewBirth(tracked)
	if err != nil {
		return 0, err
	}
	defer birth.Open()
	pid, err = fork(birth)
	birth.Born()
	if err == nil {
		err = l.Watch(pid, birth.Report)
	}
	if err != nil {
		unix.Close(birth.Report)
		return 0, err
	}
	if tracked {
		track(pid)
	}
	return pid, nil
}

// Watch enters a child whose exec stage reports on fd. One that cannot be
// heard of is ended and not told of.
func (l *Ledger) Watch(pid, fd int) error {
	c := &Child{}
	l.Children[pid] = c
	err := l.Attend(pid, fd)
	if err != nil {
		c.Failed = true
		unix.Kill(pid, unix.SIGKILL)
	}
	return err
}

// Attend waits for what the exec stage of a child reports.
func (l *Ledger) Attend(pid, fd int) error {
	err := l.Poller.Add(fd, platform.Readable, func(platform.Ready) { l.Confirm(pid) })
	if err == nil {
		c := l.Children[pid]
		c.Stage = &Report{FD: fd, Notice: func(text string) { l.Notice(c.Token, text) }}
	}
	return Underlying(err)
}

// Confirm tells what the exec stage of a process reported, if it is over.
func (l *Ledger) Confirm(pid int) {
	c := l.Children[pid]
	if c == nil || c.Stage == nil {
		return
	}
	fault, done := c.Stage.Read(l.Warn)
	if fault == nil && !done {
		return
	}
	l.Poller.Remove(c.Stage.FD)
	unix.Close(c.Stage.FD)
	c.Stage = nil
	if fault != nil {
		c.Failed = true
		l.Tell(engine.ExecFailed{PID: pid, Reason: fault.Error()})
		return
	}
	l.Tell(engine.Executed{PID: pid})
}

// Emptied tells that nothing lives any more of a spawn, unless the end of a
// process of it is still to be told and says so.
func (l *Ledger) Emptied(token uint64) {
	for _, c := range l.Children {
		if c.Token == token {
			return
		}
	}
	l.Tell(engine.Emptied{Token: token})
}

// Enter enters a process besides those of its token.
func (l *Ledger) Enter(token uint64, pid int) {
	if l.Children[pid] == nil {
		l.Children[pid] = &Child{Token: token}
	}
	for _, c := range l.Children {
		c.Second = c.Second || c.Token == token
	}
}

// Tokens are those of which there are children.
func (l *Ledger) Tokens() map[uint64]bool {
	own := map[uint64]bool{}
	for _, c := range l.Children {
		own[c.Token] = true
	}
	return own
}

// Inherits reports whether this process or its keeper learns of the end of a
// process with that parent; 0 is none.
func Inherits(parent int) bool {
	return parent != 0 && (parent == os.Getpid() || parent == os.Getppid())
}
