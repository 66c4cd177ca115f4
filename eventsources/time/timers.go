// Package timers starts jobs at times (EXTENSIONS §8).
//
// Conditions: `start on time` with one of EVERY=, CRON=, AT= and AFTER=, and
// `while time-window` with FROM=, TO= and DAYS=; see docs/SOURCES.md for the
// rest of them.
//
// Events: time, with the variables of the operand as written, then SCHEDULED=
// and ACTUAL= (RFC 3339).
//
// Facts: time-window, with the variables of the operand, in these hours; timer
// JOB= TIMER= NEXT= LAST= for each timer of each job.
//
// Equal operands are one timer with one event. All timers are in one heap, by
// a clock that is never set; times on the wall clock are placed there anew
// whenever that is set, or the zone is another.
//
// A run is written down before its event is emitted, so none comes twice; one
// that was written down when the process was killed may be lost.
package timers

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"onset/core/control"
	"onset/eventsources"
)

const (
	eventName  = "time"
	windowName = "time-window"
)

// minute is how often the zone of the system and the folders are looked at.
const minute = time.Minute

// Source is the source of time.
type Source struct {
	// Durable and Volatile are folders for what outlives the machine and what
	// need not. Empty, they are the system's, or the session's in UPSTART_SESSION.
	Durable, Volatile string
}

// Name implements eventsources.Source.
func (Source) Name() string { return "time" }

// Concerns implements eventsources.Source.
func (Source) Concerns(c eventsources.Condition) bool {
	return !c.Fact && c.Operand.Name == eventName || c.Fact && c.Operand.Name == windowName
}

// Run implements eventsources.Source.
func (s Source) Run(ctx context.Context, init eventsources.Init) error {
	clock, err := newClock()
	if err != nil {
		return err
	}
	defer clock.close()
	return s.runWith(ctx, init, clock)
}

func (s Source) runWith(ctx context.Context, init eventsources.Init, clock clock) error {
	r := newRun(init, clock, s.stores(), thisMachine(os.Getenv("UPSTART_SESSION")))
	defer r.close()
	ctx, cancel := context.WithCancel(ctx)
	var going sync.WaitGroup
	defer going.Wait() // for what the next run would not know of
	defer cancel()
	r.spawn = going.Go
	init.Watch(ctx, r.heard)
	for {
		list, changed := init.Conditions()
		if err := r.reconcile(list); err != nil {
			return err
		}
		for same := true; same; {
			if err := r.turn(ctx); err != nil {
				return err
			}
			select {
			case <-clock.rings():
			case <-r.some:
			case <-changed:
				same = false
			case <-ctx.Done():
				if list, _ := init.Conditions(); len(list) == 0 {
					r.settle(nil, nil, clock.now()) // else the process ends
				}
				return nil
			}
		}
	}
}

// stores are the files, of which the volatile one belongs to one init: a user
// may have several sessions.
func (s Source) stores() [2]*store {
	name := "timers"
	durable, volatile := durableFolder, volatileFolder
	if session := os.Getenv("UPSTART_SESSION"); session != "" {
		durable, volatile = userFolders()
		name += "." + sessionName(session)
	}
	durable, volatile = cmp.Or(s.Durable, durable), cmp.Or(s.Volatile, volatile)
	return [2]*store{
		{path: filepath.Join(volatile, name), entries: map[string]*entry{}},
		{path: filepath.Join(durable, "timers"), entries: map[string]*entry{}, durable: true},
	}
}

// userFolders are those of a user (XDG Base Directory Specification). What is
// there of another boot is known by its header, so one can be the other.
func userFolders() (durable, volatile string) {
	durable, volatile = os.Getenv("XDG_STATE_HOME"), os.Getenv("XDG_RUNTIME_DIR")
	if home := os.Getenv("HOME"); !filepath.IsAbs(durable) && filepath.IsAbs(home) {
		durable = filepath.Join(home, ".local", "state")
	}
	if !filepath.IsAbs(volatile) {
		volatile = durable
	}
	if !filepath.IsAbs(durable) {
		durable = volatile
	}
	return filepath.Join(durable, "onset"), filepath.Join(volatile, "onset")
}

// sessionName is the end of a session's address: a process id on Linux.
func sessionName(address string) string {
	name, _, _ := strings.Cut(path.Base(address), ",")
	return strings.TrimSuffix(name, ".socket")
}

// thisMachine looks at what it is on. Init emits startup when it was started;
// each start of it, as in a container, is a boot.
func thisMachine(session string) machine {
	pid := 1
	if session != "" {
		pid, _ = strconv.Atoi(sessionName(session))
	}
	m := machine{zone: "/etc/localtime", startup: func() (time.Duration, bool) { return startOf(pid) }}
	began, _ := startOf(pid)
	if m.boot = bootID(); m.boot != "" {
		m.boot += " " + began.String()
	}
	for _, name := range []string{"/etc/machine-id", "/etc/hostid"} {
		if id, err := os.ReadFile(name); err == nil && len(id) > 0 {
			m.id = string(id)
			return m
		}
	}
	m.id, _ = os.Hostname()
	return m
}

// emitAndWait emits an event; that a job it started has failed is not said
// here, since init does.
func emitAndWait(ctx context.Context, init eventsources.Init, e eventsources.Event, wait bool) {
	emit := init.Emit
	if wait {
		emit = init.EmitWait
	}
	err := emit(ctx, e)
	if answer, ok := errors.AsType[*control.Error](err); ok && answer.Name != control.ErrEventFailed {
		init.Logf("cannot emit %q %v: %v", e.Name, e.Env, err)
	}
}
