package engine

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"onset/core/job"
)

// Bounds on what a job may have init keep for it.
const (
	maxStatusText = 1024 // bytes of STATUS=
	maxFileName   = 255  // bytes of FDNAME=, as sd_notify(3) has it
	maxStored     = 256  // descriptors of an instance, which all go to one process
	maxFiles      = 2048 // descriptors of all events and instances, of which a keeper holds 4096
	maxExtension  = 24 * time.Hour
)

// notice is a message of the sd_notify protocol, taken apart. Of lines that
// say the same thing the last counts.
type notice struct {
	state    string // READY, RELOADING or STOPPING
	text     *string
	main     int
	watchdog time.Duration // WATCHDOG_USEC; 0: not told, negative: none
	fed      bool
	trigger  bool
	extend   time.Duration
	store    bool
	remove   bool
	barrier  bool
	name     string // FDNAME
}

// readNotice overlooks lines it does not know, such as ERRNO= and FDPOLL=.
func readNotice(lines []string) (n notice) {
	for _, line := range lines {
		key, value, _ := strings.Cut(line, "=")
		switch {
		case key == "STATUS" && utf8.ValidString(value):
			value = printable(value)
			n.text = &value
		case key == "MAINPID":
			if pid, err := strconv.Atoi(value); err == nil {
				n.main = pid
			}
		case key == "WATCHDOG":
			n.fed, n.trigger = value == "1", value == "trigger"
		case key == "WATCHDOG_USEC":
			if d, ok := microseconds(value); ok {
				n.watchdog = cmp.Or(d, -1)
			}
		case key == "EXTEND_TIMEOUT_USEC":
			if d, ok := microseconds(value); ok {
				n.extend = min(d, maxExtension)
			}
		case key == "FDNAME":
			n.name = value
		case value != "1":
		case key == "READY", key == "RELOADING", key == "STOPPING":
			n.state = key
		case key == "FDSTORE":
			n.store = true
		case key == "FDSTOREREMOVE":
			n.remove = true
		case key == "BARRIER":
			n.barrier = true
		}
	}
	return n
}

// printable cuts a text to its bound, and takes what a terminal could obey
// out of it.
func printable(text string) string {
	if len(text) > maxStatusText {
		text = strings.ToValidUTF8(text[:maxStatusText], "")
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}

// microseconds reads a time; ok is false for one that is out of range.
func microseconds(s string) (d time.Duration, ok bool) {
	const most = math.MaxInt64 / int64(time.Microsecond) / 2
	n, err := strconv.ParseInt(s, 10, 64)
	return time.Duration(n) * time.Microsecond, err == nil && n >= 0 && n <= most
}

// notified handles a message of the sd_notify protocol (EXTENSIONS §4).
// Descriptors that are not stored are closed, which is all that BARRIER=1
// asks for: what was sent before it has been handled.
func (e *Engine) notified(m Notified) {
	r, ok := e.byToken[m.Token]
	if !ok || r.slot != job.Main || r.inst.Class.Expect.Kind != job.ExpectNotify {
		e.closeUnused(m.Files)
		return
	}
	j, n := r.inst, readNotice(m.Lines)
	if n.main > 0 {
		e.replaceMain(j, n.main)
	}
	if n.text != nil {
		j.Report.Text = *n.text
	}
	if n.extend > 0 {
		e.extend(j, n.extend)
	}
	e.fileNotice(j, &n, m.Files)
	if n.watchdog != 0 {
		j.Report.Watchdog = n.watchdog
	}
	e.changePhase(j, n.state)
	if n.fed || n.watchdog != 0 {
		e.feedWatchdog(j)
	}
	if n.trigger {
		e.starve(j, "asked for the end that a missed watchdog brings")
	}
}

// changePhase takes over what main says that it is doing.
func (e *Engine) changePhase(j *Instance, state string) {
	switch state {
	case "READY":
		j.Report.Phase = job.NoPhase
		if j.State == job.Spawned {
			e.ready(j)
			e.feedWatchdog(j)
		}
	case "RELOADING":
		j.Report.Phase = job.Reloading
	case "STOPPING":
		j.Report.Phase, j.Report.Due = job.EndingItself, 0
	}
}

// replaceMain makes the process main that MAINPID= names; the platform tells
// only of one that lives and is of the same spawn. The process that was
// spawned is remembered while it lives: it may be the parent of the new one,
// and then only it learns how that ends.
func (e *Engine) replaceMain(j *Instance, pid int) {
	p := j.At(job.Main)
	if _, taken := e.byPID[pid]; p.PID == 0 || taken && pid != j.Report.First {
		return
	}
	e.logf(Info, "%s main process (%d) became new process (%d)", j, p.PID, pid)
	switch j.Report.First {
	case 0:
		j.Report.First = p.PID
	case pid: // the first itself, whose end is told as ever
		j.Report.First = 0
		fallthrough
	default:
		delete(e.byPID, p.PID)
	}
	p.PID = pid
	e.byPID[pid] = procRef{j, job.Main}
	if j.Report.First != 0 {
		e.do(Supervise{p.Token, pid})
	}
}

// besideMain handles the end of one of two processes that are known as main,
// and reports whether main goes on in the other.
func (e *Engine) besideMain(j *Instance, m Exited) bool {
	first, p := j.Report.First, j.At(job.Main)
	switch {
	case first == 0:
		return false
	case m.PID == first:
		e.logf(Info, "%s first process (%d) %s", j, m.PID, e.statusText(m.Status))
	case m.Status == job.NoStatus: // the first process was told how
		e.logf(Info, "%s main process (%d) ended, process (%d) is main again", j, m.PID, first)
		p.PID = first
		if j.State == job.InKilled || j.Overdue != job.NoSlot { // it was to end, and this one need not have heard
			e.terminate(j, job.Main)
		}
	default:
		return false
	}
	delete(e.byPID, m.PID)
	j.Report.First = 0
	return true
}

// extend puts off the end of the time that main has to become ready, or to
// end.
func (e *Engine) extend(j *Instance, by time.Duration) {
	due := e.after(by)
	switch {
	case j.State == job.Spawned && j.Due != 0 && due > j.Due:
		e.setDue(j, by)
	case j.State == job.InKilled && j.KillDue != 0 && due > j.KillDue:
		e.killAt(j, due)
	}
}

// fileNotice stores or forgets descriptors.
func (e *Engine) fileNotice(j *Instance, n *notice, files []int) {
	named := isFileName(n.name)
	if n.remove && named {
		j.Stored = slices.DeleteFunc(j.Stored, func(f job.NamedFile) bool {
			if f.Name == n.name {
				e.dropFile(f.File)
			}
			return f.Name == n.name
		})
	}
	if n.store && !n.barrier {
		name := "stored"
		if named {
			name = n.name
		}
		e.storeFiles(j, name, files)
	}
	e.closeUnused(files)
}

// isFileName is the rule of sd_notify(3) for names of descriptors.
func isFileName(s string) bool {
	return s != "" && len(s) <= maxFileName &&
		!strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' || r == ':' })
}

// storeFiles keeps descriptors for the next main. One that init has already
// is told by the same reference again.
func (e *Engine) storeFiles(j *Instance, name string, files []int) {
	for _, f := range files {
		if slices.ContainsFunc(j.Stored, func(s job.NamedFile) bool { return s.File == f }) {
			continue
		}
		if len(j.Stored) >= maxStored || len(e.fileUses) >= maxFiles {
			e.logf(Info, "%s has no room for more descriptors", j)
			return
		}
		e.useFile(f)
		j.Stored = append(j.Stored, job.NamedFile{Name: name, File: f})
	}
}

// closeUnused closes descriptors that nobody keeps.
func (e *Engine) closeUnused(files []int) {
	for _, f := range files {
		if e.fileUses[f] == 0 {
			e.do(CloseFile{f})
		}
	}
}

// equip gives main what its readiness protocol needs.
func (e *Engine) equip(j *Instance, s *job.Spec) {
	if s.Expect.Kind == job.ExpectNotify && e.s.Options.NotifySocket != "" {
		s.Env = s.Env.Set("NOTIFY_SOCKET="+e.s.Options.NotifySocket, true)
		if w := j.Class.Watchdog; w > 0 {
			s.Env = s.Env.Set("WATCHDOG_USEC="+strconv.FormatInt(int64(w)*int64(time.Second/time.Microsecond), 10), true)
		}
	}
}
