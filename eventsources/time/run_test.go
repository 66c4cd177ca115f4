package timers

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"onset/core/expr"
	"onset/eventsources"
	"onset/eventsources/sourcetest"
)

// fakeClock is a clock that is moved by hand.
type fakeClock struct {
	mu    sync.Mutex
	at    moment
	alarm time.Duration
	rang  chan struct{}
}

func newFakeClock(at time.Time) *fakeClock {
	return &fakeClock{at: moment{at, 100 * time.Second}, rang: make(chan struct{}, 1)}
}

func (c *fakeClock) now() moment {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *fakeClock) set(run time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.alarm = run
}

func (c *fakeClock) rings() <-chan struct{} { return c.rang }
func (c *fakeClock) close()                 {}

// pass lets time pass, and rings.
func (c *fakeClock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at.wall, c.at.run = c.at.wall.Add(d), c.at.run+d
	select {
	case c.rang <- struct{}{}:
	default:
	}
}

// played is a run of the source with a clock and an init of the test.
type played struct {
	t     *testing.T
	clock *fakeClock
	rec   *sourcetest.Recorder
	run   *run
	dir   string
	boots int
	local *time.Location
	jobs  []eventsources.Condition
	// held are ends of events that were not told yet; holding: none is.
	held    []func()
	holding bool
}

func newPlayed(t *testing.T, at time.Time) *played {
	p := &played{t: t, dir: t.TempDir(), local: at.Location(), rec: &sourcetest.Recorder{}, clock: newFakeClock(at)}
	p.start()
	return p
}

// start begins a run of the source with what is in the folders.
func (p *played) start() {
	source := Source{Durable: filepath.Join(p.dir, "durable"), Volatile: filepath.Join(p.dir, "volatile")}
	p.run = newRun(p.rec, p.clock, source.stores(), machine{"m", fmt.Sprint("boot ", p.boots), func() (time.Duration, bool) { return 90 * time.Second, true }})
	p.run.local = p.local
	p.run.spawn = func(f func()) {
		if p.holding {
			p.held = append(p.held, f)
		} else {
			f()
		}
	}
	p.configure()
}

func (p *played) configure() {
	if err := p.run.reconcile(p.jobs); err != nil {
		p.t.Fatal(err)
	}
	p.turn()
}

func (p *played) turn() {
	if err := p.run.turn(context.Background()); err != nil {
		p.t.Fatal(err)
	}
	for len(p.run.some) > 0 {
		<-p.run.some
		p.turn()
	}
}

// advance lets time pass, with all alarms on the way.
func (p *played) advance(d time.Duration) {
	for end := p.clock.at.run + d; p.clock.at.run < end; p.turn() {
		p.clock.pass(max(min(p.clock.alarm, end)-p.clock.at.run, time.Microsecond))
	}
}

// kill ends the run without a word, as a signal does.
func (p *played) kill() {
	for _, s := range p.run.stores {
		s.close()
	}
}

// said returns what was said since it was asked last: events by when they were
// due and how late they were, and lines of the log.
func (p *played) said() (lines []string) {
	for _, line := range p.rec.Take() {
		rest, isEvent := strings.CutPrefix(line, "wait time ")
		if !isEvent {
			if strings.HasPrefix(line, "log ") {
				lines = append(lines, strings.ReplaceAll(line, p.dir, "DIR"))
			}
			continue
		}
		args, times, _ := strings.Cut(rest, " SCHEDULED=")
		scheduled, actual, _ := strings.Cut(times, " ACTUAL=")
		text := scheduled + " " + args
		if scheduled != actual {
			a, _ := time.Parse(time.RFC3339Nano, actual)
			s, _ := time.Parse(time.RFC3339Nano, scheduled)
			text += fmt.Sprintf(" late %v", a.Sub(s))
		}
		lines = append(lines, text)
	}
	return lines
}

// operand reads "JOB ARGS" or "while JOB ARGS".
func operand(text string) (c eventsources.Condition) {
	words, _ := splitWords(text)
	c.Operand.Name = eventName
	if words[0] == "while" {
		words, c.Fact, c.Operand.Name = words[1:], true, windowName
	}
	c.Job = "/com/ubuntu/Upstart/jobs/" + words[0]
	c.Operand.Args = words[1:]
	return c
}

// do does what a line of a script says.
func (p *played) do(line string) {
	verb, rest, _ := strings.Cut(line, " ")
	duration := func() time.Duration {
		text, back := strings.CutPrefix(rest, "-")
		d, err := parseDuration(text)
		if err != nil {
			p.t.Fatalf("%s: %v", line, err)
		}
		if back {
			d = -d
		}
		return d
	}
	switch verb {
	case "job":
		p.jobs = append(p.jobs, operand(rest))
		p.configure()
	case "no":
		p.jobs = slices.DeleteFunc(p.jobs, func(c eventsources.Condition) bool { return strings.HasSuffix(c.Job, "/"+rest) })
		p.configure()
	case "pass":
		p.advance(duration())
	case "set": // the wall clock, by that much
		p.clock.at.wall = p.clock.at.wall.Add(duration())
		p.turn()
	case "suspend": // the machine
		p.clock.pass(duration())
		p.turn()
	case "kill": // the source, for that long
		p.kill()
		p.clock.pass(duration())
		p.start()
	case "off": // the machine, for that long
		p.kill()
		p.boots++
		os.RemoveAll(filepath.Join(p.dir, "volatile"))
		p.clock.at = moment{p.clock.at.wall.Add(duration()), 95 * time.Second}
		p.start()
	case "event":
		words := strings.Fields(rest)
		p.run.heard(eventsources.Signal{Kind: eventsources.EventEmitted, Name: words[0], Env: words[1:]})
		p.turn()
	case "hold":
		p.holding = true
	case "finish":
		p.holding = false
		held := p.held
		p.held = nil
		for _, f := range held {
			f()
		}
		p.turn()
	case "zone":
		p.local = zone(p.t, rest)
	default:
		p.t.Fatalf("unknown line %q", line)
	}
}

// scripts: lines beginning with > are what was said.
var scripts = []struct{ why, from, script string }{
	{"intervals begin when the job is first seen", "2026-11-20T12:00:00Z", `
		job a EVERY=10m
		pass 25m
		> 2026-11-20T12:10:00Z EVERY=10m
		> 2026-11-20T12:20:00Z EVERY=10m
		pass 5m
		> 2026-11-20T12:30:00Z EVERY=10m`},
	{"equal operands of two jobs are one timer, in whatever order", "2026-11-20T12:00:00Z", `
		job a EVERY=10m COUNT=2
		pass 5m
		job b COUNT=2 EVERY=10m
		pass 30m
		> 2026-11-20T12:10:00Z EVERY=10m COUNT=2
		> 2026-11-20T12:20:00Z EVERY=10m COUNT=2`},
	{"one that goes and comes back goes on, without what it missed", "2026-11-20T12:00:00Z", `
		job a EVERY=10m
		job c CRON="5 * * * *"
		pass 12m
		> 2026-11-20T12:05:00Z CRON=5 * * * *
		> 2026-11-20T12:10:00Z EVERY=10m
		no a
		no c
		pass 1h
		job a EVERY=10m
		job c CRON="5 * * * *"
		pass 8m
		> 2026-11-20T13:20:00Z EVERY=10m`},
	{"suspend counts, and ends with one run", "2026-11-20T12:00:00Z", `
		job a EVERY=10m
		job c CRON="*/15 * * * *"
		suspend 34m
		> 2026-11-20T12:10:00Z EVERY=10m late 24m0s
		> 2026-11-20T12:15:00Z CRON=*/15 * * * * late 19m0s
		pass 11m
		> 2026-11-20T12:40:00Z EVERY=10m
		> 2026-11-20T12:45:00Z CRON=*/15 * * * *`},
	{"a night of suspend, too", "2026-11-20T20:00:00Z", `
		job c CRON="0 4 * * *"
		suspend 12h
		> 2026-11-21T04:00:00Z CRON=0 4 * * * late 4h0m0s
		pass 1d
		> 2026-11-22T04:00:00Z CRON=0 4 * * *`},
	{"a clock set forward by less than three hours is caught up once", "2026-11-20T12:00:00Z", `
		job c CRON="30 12 * * *"
		job h CRON="0 * * * *"
		job m EVERY=10m
		set 2h
		> 2026-11-20T12:30:00Z CRON=30 12 * * * late 1h30m0s
		pass 1h
		> 2026-11-20T14:10:00Z EVERY=10m
		> 2026-11-20T14:20:00Z EVERY=10m
		> 2026-11-20T14:30:00Z EVERY=10m
		> 2026-11-20T14:40:00Z EVERY=10m
		> 2026-11-20T14:50:00Z EVERY=10m
		> 2026-11-20T15:00:00Z CRON=0 * * * *
		> 2026-11-20T15:00:00Z EVERY=10m`},
	{"set forward by a day: not caught up, unless persistent", "2026-11-20T12:00:00Z", `
		job c CRON="30 12 * * *"
		job p CRON="30 12 * * *" PERSISTENT=yes
		set 1d
		> 2026-11-20T12:30:00Z CRON=30 12 * * * PERSISTENT=yes late 23h30m0s
		pass 1h
		> 2026-11-21T12:30:00Z CRON=30 12 * * * PERSISTENT=yes
		no c
		set 1d
		> 2026-11-22T12:30:00Z CRON=30 12 * * * PERSISTENT=yes late 30m0s`},
	{"set back by less than three hours: not again", "2026-11-20T12:00:00Z", `
		job c CRON="30 12 * * *"
		pass 31m
		> 2026-11-20T12:30:00Z CRON=30 12 * * *
		set -1h
		pass 1h
		pass 1d
		> 2026-11-21T12:30:00Z CRON=30 12 * * *`},
	{"but each minute goes on", "2026-11-20T12:00:30Z", `
		job c CRON="* * * * *"
		pass 1m
		> 2026-11-20T12:01:00Z CRON=* * * * *
		set -1h
		pass 2m
		> 2026-11-20T11:02:00Z CRON=* * * * *
		> 2026-11-20T11:03:00Z CRON=* * * * *
		set 30s
		> 2026-11-20T11:04:00Z CRON=* * * * *
		set -30s
		pass 2m
		> 2026-11-20T11:05:00Z CRON=* * * * *`},
	{"set back by a day: it is that day again", "2026-11-20T12:00:00Z", `
		job c CRON="30 12 * * *"
		pass 1h
		> 2026-11-20T12:30:00Z CRON=30 12 * * *
		set -1d
		pass 1d
		> 2026-11-20T12:30:00Z CRON=30 12 * * *`},
	{"a clock that is corrected in small steps", "2026-11-20T11:59:00Z", `
		job c CRON="0 * * * *"
		pass 59s
		set 1s
		> 2026-11-20T12:00:00Z CRON=0 * * * *
		set -2s
		pass 10s`},
	{"a machine without a clock of its own: what was not missed does not run", "2026-11-20T12:00:00Z", `
		job p CRON="0 4 * * *" PERSISTENT=yes
		pass 1d
		> 2026-11-21T04:00:00Z CRON=0 4 * * * PERSISTENT=yes
		off -20000d
		set 20000d
		pass 1d
		> 2026-11-22T04:00:00Z CRON=0 4 * * * PERSISTENT=yes`},
	{"and what was missed does", "2026-11-20T12:00:00Z", `
		job p CRON="0 4 * * *" PERSISTENT=yes
		job c CRON="0 5 * * *"
		pass 1d
		> 2026-11-21T04:00:00Z CRON=0 4 * * * PERSISTENT=yes
		> 2026-11-21T05:00:00Z CRON=0 5 * * *
		off -20000d
		set 20003d
		> 2026-11-22T04:00:00Z CRON=0 4 * * * PERSISTENT=yes late 56h0m0s
		pass 1d
		> 2026-11-25T04:00:00Z CRON=0 4 * * * PERSISTENT=yes
		> 2026-11-25T05:00:00Z CRON=0 5 * * *`},
	{"a machine that was off", "2026-11-20T12:00:00Z", `
		job p CRON="0 4 * * *" PERSISTENT=yes
		job c CRON="0 5 * * *"
		job e EVERY=1h PERSISTENT=yes
		job f EVERY=90m
		pass 2h
		> 2026-11-20T13:00:00Z EVERY=1h PERSISTENT=yes
		> 2026-11-20T13:30:00Z EVERY=90m
		> 2026-11-20T14:00:00Z EVERY=1h PERSISTENT=yes
		off 1d
		> 2026-11-20T15:00:00Z EVERY=1h PERSISTENT=yes late 23h0m0s
		> 2026-11-21T04:00:00Z CRON=0 4 * * * PERSISTENT=yes late 10h0m0s
		pass 90m
		> 2026-11-21T15:00:00Z EVERY=1h PERSISTENT=yes
		> 2026-11-21T15:30:00Z EVERY=90m`},
	{"off between two intervals", "2026-11-20T12:00:00Z", `
		job e EVERY=1h PERSISTENT=yes
		pass 10m
		off 20m
		pass 30m
		> 2026-11-20T13:00:00Z EVERY=1h PERSISTENT=yes`},
	{"a source that was killed loses nothing and runs nothing twice", "2026-11-20T11:59:50Z", `
		job a EVERY=10s
		job c CRON="* * * * *"
		pass 10s
		> 2026-11-20T12:00:00Z CRON=* * * * *
		> 2026-11-20T12:00:00Z EVERY=10s
		kill 1s
		pass 9s
		> 2026-11-20T12:00:10Z EVERY=10s
		kill 55s
		> 2026-11-20T12:00:20Z EVERY=10s late 45s
		> 2026-11-20T12:01:00Z CRON=* * * * * late 5s
		pass 5s
		> 2026-11-20T12:01:10Z EVERY=10s`},
	{"AT", "2026-11-20T12:00:00Z", `
		job a AT=2026-11-20T14:00:00+01:00
		job old AT=2026-11-20T11:59:59Z
		> log AT=2026-11-20T11:59:59Z of job old is past and will not run
		job missed AT=2026-11-20T11:59:58Z PERSISTENT=yes
		> 2026-11-20T11:59:58Z AT=2026-11-20T11:59:58Z PERSISTENT=yes late 2s
		pass 2h
		> 2026-11-20T13:00:00Z AT=2026-11-20T14:00:00+01:00
		kill 1s
		off 1h
		> log AT=2026-11-20T14:00:00+01:00 of job a is past and will not run
		> log AT=2026-11-20T11:59:59Z of job old is past and will not run
		set -1d
		pass 2d
		set 1d`},
	{"AT that comes while the machine is off", "2026-11-20T12:00:00Z", `
		job a AT=2026-11-20T13:00:00Z PERSISTENT=yes
		off 4h
		> 2026-11-20T13:00:00Z AT=2026-11-20T13:00:00Z PERSISTENT=yes late 3h0m0s
		off 1h`},
	{"AT that the clock jumps over", "2026-11-20T12:00:00Z", `
		job a AT=2026-11-20T13:00:00Z
		job b AT=2026-11-20T16:00:00Z
		set 2h
		> 2026-11-20T13:00:00Z AT=2026-11-20T13:00:00Z late 1h0m0s
		set 4h
		pass 1d`},
	{"AFTER an event, the last one", "2026-11-20T12:00:00Z", `
		job a AFTER="started 'foo' RESULT=o*" DELAY=30s
		event started JOB=bar RESULT=ok
		event started JOB=foo RESULT=bad
		event stopped JOB=foo RESULT=ok
		pass 1m
		event started JOB=foo RESULT=ok
		pass 10s
		event started JOB=foo RESULT=ok
		pass 1m
		> 2026-11-20T12:01:40Z AFTER=started 'foo' RESULT=o* DELAY=30s
		event started JOB=foo RESULT=ok
		pass 10s
		kill 1s
		pass 1m
		> 2026-11-20T12:02:40Z AFTER=started 'foo' RESULT=o* DELAY=30s
		event started JOB=foo RESULT=ok
		off 1m
		pass 1h`},
	{"without a delay", "2026-11-20T12:00:00Z", `
		job a AFTER=filesystem
		event filesystem
		> 2026-11-20T12:00:00Z AFTER=filesystem`},
	{"AFTER=startup counts from the start of init, each boot", "2026-11-20T12:00:00Z", `
		job a AFTER=startup DELAY=5m
		job past AFTER=startup DELAY=5s
		> 2026-11-20T11:59:55Z AFTER=startup DELAY=5s late 5s
		job p AFTER=startup DELAY=1h PERSISTENT=yes
		pass 1h
		> 2026-11-20T12:04:50Z AFTER=startup DELAY=5m
		> 2026-11-20T12:59:50Z AFTER=startup DELAY=1h PERSISTENT=yes
		kill 1s
		pass 1h
		off 1d
		> 2026-11-21T14:00:01Z AFTER=startup DELAY=5s
		pass 30m
		> 2026-11-21T14:04:56Z AFTER=startup DELAY=5m
		off 1h
		> 2026-11-21T15:30:01Z AFTER=startup DELAY=5s
		pass 2h
		> 2026-11-21T15:34:56Z AFTER=startup DELAY=5m
		> 2026-11-21T16:29:56Z AFTER=startup DELAY=1h PERSISTENT=yes`},
	{"COUNT is over kills, and over boots if persistent", "2026-11-20T12:00:00Z", `
		job a EVERY=1m COUNT=2
		job p EVERY=70s COUNT=3 PERSISTENT=yes
		pass 61s
		> 2026-11-20T12:01:00Z EVERY=1m COUNT=2
		kill 1s
		pass 5m
		> 2026-11-20T12:01:10Z EVERY=70s COUNT=3 PERSISTENT=yes
		> 2026-11-20T12:02:00Z EVERY=1m COUNT=2
		> 2026-11-20T12:02:20Z EVERY=70s COUNT=3 PERSISTENT=yes
		> 2026-11-20T12:03:30Z EVERY=70s COUNT=3 PERSISTENT=yes
		off 5m
		pass 5m
		> 2026-11-20T12:12:02Z EVERY=1m COUNT=2
		> 2026-11-20T12:13:02Z EVERY=1m COUNT=2`},
	{"a run that is not over: the next is left out", "2026-11-20T12:00:00Z", `
		job a EVERY=1m
		hold
		pass 150s
		finish
		> 2026-11-20T12:01:00Z EVERY=1m
		pass 1m
		> 2026-11-20T12:03:00Z EVERY=1m`},
	{"or waits", "2026-11-20T12:00:00Z", `
		job a EVERY=1m OVERLAP=queue
		hold
		pass 190s
		finish
		> 2026-11-20T12:01:00Z EVERY=1m OVERLAP=queue
		> 2026-11-20T12:02:00Z EVERY=1m OVERLAP=queue late 1m10s
		> 2026-11-20T12:03:00Z EVERY=1m OVERLAP=queue late 10s
		pass 1m
		> 2026-11-20T12:04:00Z EVERY=1m OVERLAP=queue`},
	{"one event where one says all that the other does", "2026-11-20T23:30:00Z", `
		job hourly CRON="0 * * * *"
		job daily CRON="0 0 * * *"
		pass 2h
		> 2026-11-21T00:00:00Z CRON=0 0 * * *
		> 2026-11-21T01:00:00Z CRON=0 * * * *`},
	{"one that says more at other times is told of", "2026-11-20T23:30:00Z", `
		job a EVERY=10m
		job b EVERY=10m COUNT=1
		> log EVERY=10m COUNT=1 of job b starts job a too, which has EVERY=10m: give each a NAME
		job c CRON="0 4 * * *"
		job d CRON="0 4 * * *" PERSISTENT=yes
		job e CRON="0 4 * * *" TZ=UTC
		> log CRON="0 4 * * *" TZ=UTC of job e starts job c too, which has CRON="0 4 * * *": give each a NAME`},
	{"what is wrong is told once, and the rest goes on", "2026-11-20T12:00:00Z", `
		job bad EVERY=soon
		> log job bad: time EVERY=soon: EVERY=soon: it is not a time as 90, 10m or 1h30m
		job good EVERY=1m
		pass 1m
		> 2026-11-20T12:01:00Z EVERY=1m`},
	{"the zone of the machine", "2026-03-28T12:00:00Z", `
		zone Europe/Berlin
		kill 1s
		job c CRON="30 2 * * *"
		pass 2d
		> 2026-03-29T03:00:00+02:00 CRON=30 2 * * *
		> 2026-03-30T02:30:00+02:00 CRON=30 2 * * *`},
	{"a zone of its own", "2026-11-20T12:00:00Z", `
		job c CRON=@daily TZ=Asia/Tokyo
		pass 1d
		> 2026-11-21T00:00:00+09:00 CRON=@daily TZ=Asia/Tokyo`},
}

func TestScripts(t *testing.T) {
	for _, c := range scripts {
		t.Run(c.why, func(t *testing.T) {
			from, err := time.Parse(time.RFC3339, c.from)
			if err != nil {
				t.Fatal(err)
			}
			p := newPlayed(t, from)
			var want []string
			check := func(after string) {
				if got := p.said(); !slices.Equal(got, want) {
					t.Fatalf("before %q\ngot  %s\nwant %s", after, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
				}
				want = nil
			}
			for line := range strings.SplitSeq(c.script, "\n") {
				line = strings.TrimSpace(line)
				if said, ok := strings.CutPrefix(line, "> "); ok {
					want = append(want, said)
				} else if line != "" {
					check(line)
					p.do(line)
				}
			}
			check("the end")
		})
	}
}

func TestFacts(t *testing.T) {
	p := newPlayed(t, time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC))
	facts := func(want ...string) {
		t.Helper()
		if got := p.rec.Facts(); !slices.Equal(got, want) {
			t.Errorf("got  %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
		}
	}
	p.jobs = []eventsources.Condition{operand(`b CRON="0 9 * * *"`), operand(`a CRON="0 9 * * *"`), operand("c AFTER=x"),
		operand("while w FROM=08:30 TO=10:00"), operand("while v FROM=08:30 TO=10:00"), operand("while u TO=08:30")}
	p.configure()
	facts("time-window TO=08:30", "timer JOB=c TIMER=AFTER=x", `timer JOB=a TIMER=CRON="0 9 * * *" NEXT=2026-11-20T09:00:00Z`,
		`timer JOB=b TIMER=CRON="0 9 * * *" NEXT=2026-11-20T09:00:00Z`)
	p.advance(30 * time.Minute)
	p.do("no b")
	facts("timer JOB=c TIMER=AFTER=x", `timer JOB=a TIMER=CRON="0 9 * * *" NEXT=2026-11-20T09:00:00Z`, "time-window FROM=08:30 TO=10:00")
	p.do("pass 30m")
	facts("timer JOB=c TIMER=AFTER=x", "time-window FROM=08:30 TO=10:00",
		`timer JOB=a TIMER=CRON="0 9 * * *" NEXT=2026-11-21T09:00:00Z LAST=2026-11-20T09:00:00Z`)
	p.do("set 1h")
	facts("timer JOB=c TIMER=AFTER=x", `timer JOB=a TIMER=CRON="0 9 * * *" NEXT=2026-11-21T09:00:00Z LAST=2026-11-20T09:00:00Z`)
	p.do("set -1h")
	p.do("no a")
	p.do("no c")
	p.do("no v")
	facts("time-window FROM=08:30 TO=10:00")
	p.do("no w")
	facts()
}

// TestJitter wants each run at a time of its own, which a source that is
// started anew keeps.
func TestJitter(t *testing.T) {
	at := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
	p, killed := newPlayed(t, at), newPlayed(t, at)
	for _, p := range []*played{p, killed} {
		p.do(`job a CRON="0 * * * *" JITTER=30m`)
	}
	p.do("pass 1d")
	for range 144 {
		killed.do("kill 1s")
		killed.do("pass 599s")
	}
	lines, others := p.said(), killed.said()
	different := map[string]bool{}
	for _, line := range lines {
		_, late, _ := strings.Cut(line, " late ")
		if d, err := time.ParseDuration(late); err != nil || d < 0 || d >= 30*time.Minute {
			t.Errorf("%s", line)
		}
		different[late] = true
	}
	// A run that is due while the source is dead is a second late at most.
	same := func(a, b string) bool { return strings.Split(a, " late ")[0] == strings.Split(b, " late ")[0] }
	if len(lines) != 23 || len(different) < 20 || !slices.EqualFunc(lines, others, same) {
		t.Errorf("%s\n\n%s", strings.Join(lines, "\n"), strings.Join(others, "\n"))
	}
}

// crowd is an init that counts.
type crowd struct {
	sourcetest.Recorder
	events, changes, facts int
}

func (c *crowd) Emit(context.Context, eventsources.Event) error     { c.events++; return nil }
func (c *crowd) EmitWait(context.Context, eventsources.Event) error { c.events++; return nil }
func (c *crowd) Assert(eventsources.Fact) error                     { c.changes++; return nil }
func (c *crowd) Retract(eventsources.Fact) error                    { c.changes++; return nil }
func (c *crowd) Hold(facts []eventsources.Fact) error               { c.facts = len(facts); return nil }

// TestTenThousand has as many timers as that on one machine.
func TestTenThousand(t *testing.T) {
	p := newPlayed(t, time.Date(2026, 11, 20, 8, 0, 30, 0, time.UTC))
	c := &crowd{}
	p.run.init = c
	for i := range 10_000 {
		args := fmt.Sprintf("j%d CRON=\"%d * * * *\" NAME=n%d", i, i%60, i)
		if i%2 == 0 {
			args = fmt.Sprintf("j%d EVERY=1h NAME=n%d", i, i)
		}
		p.jobs = append(p.jobs, operand(args))
	}
	p.configure()
	p.do("pass 1h")
	if c.events != 10_000 || c.facts != 10_000 {
		t.Errorf("%d events, %d facts", c.events, c.facts)
	}
}

func TestRingOfPatterns(t *testing.T) {
	var fires []*fire
	for _, args := range [][]string{{"AFTER=a*"}, {"AFTER=*a*"}, {"AFTER=a?"}, {"AFTER=ab"}, {"AFTER=b"}} {
		tm := &timer{args: args, spec: spec{zone: time.UTC}}
		fires = append(fires, &fire{tm, tm.event(time.Time{}, time.Time{}, time.UTC)})
	}
	for i, root := range parents(fires) {
		if !fires[i].timer.matches(fires[root].event) {
			t.Errorf("%v is started by %v", fires[i].timer.args, fires[root].event.Env)
		}
	}
}

func TestOperandsAreRefused(t *testing.T) {
	for _, args := range []string{"", "EVERY=0", "EVERY=", "EVERY=1.5h", "EVERY=-1m", "EVERY=1m 5", "EVERY=1y", "EVERY=999999999w", "EVERY=99999999999999999999",
		"EVERY=h", "EVERY=1m EVERY=2m", "EVERY=1m AT=2027-01-01T00:00:00Z", "COUNT=1", "EVERY=1m COUNT=0", "EVERY=1m COUNT=x", "EVERY=1m COUNT=-1",
		"EVERY=1m PERSISTENT=maybe", "EVERY=1m OVERLAP=run", "EVERY=1m DELAY=1s", "EVERY=1m TZ=UTC", "EVERY!=1m", "AT=tomorrow", "AT=2027-01-01",
		"AFTER=", "AFTER=time", "AFTER='\"a'", "EVERY=$X", "EVERY=1m WHAT=1", "CRON='* * *'", "AFTER='a [b]'", "CRON=@daily TZ=Mars/Olympus"} {
		words, err := splitWords(args)
		if err != nil {
			t.Fatal(err)
		}
		if s, err := parse(words, findZone); err == nil {
			t.Errorf("%q: %+v", args, s)
		}
	}
}

func TestEventsAreWrittenAsInJobFiles(t *testing.T) {
	for text, want := range map[string]string{
		`started foo`: "started|foo", ` a  b `: "a|b", `a "b c" 'd "e'`: `a|b c|d "e`, `a K="v w"x`: "a|K=v wx", `a b\ c \"`: `a|b c|"`, `a ""`: "a|",
	} {
		n, err := parseEvent(text)
		if got := strings.Join(append([]string{n.Name}, n.Args...), "|"); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"", " ", `a "b`, `""`} {
		if n, err := parseEvent(text); err == nil {
			t.Errorf("%q: %+v", text, n)
		}
	}
}

func FuzzOperand(f *testing.F) {
	for _, seed := range []string{`EVERY=10m COUNT=2`, `CRON="0 4 * * 1-5" TZ=Europe/Berlin`, `AT=2027-01-01T00:00:00Z`, `AFTER="started foo" DELAY=30s`,
		`CRON="*/7,L 5W feb-10 1#2 *" JITTER=5`, `FROM=09:00 TO=17:00 DAYS=fri-mon`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		args, err := splitWords(text)
		if err != nil {
			return
		}
		now := time.Date(2026, 10, 25, 0, 30, 0, 0, time.UTC)
		berlin := zone(t, "Europe/Berlin")
		if w, err := parseWindow(args, findZone); err == nil {
			if _, change := w.at(now, berlin); !change.IsZero() && !change.After(now) {
				t.Errorf("%q changes at %v", args, change)
			}
		}
		s, err := parse(args, findZone)
		if err != nil {
			return
		}
		tm := &timer{args: args, spec: s, entry: &entry{}, store: &store{}}
		if s.byWall() {
			if next := tm.wallAfter(now, berlin); !next.IsZero() && !next.After(now) {
				t.Errorf("%q: %v after %v", args, next, now)
			}
		}
		if !tm.matches(tm.event(now, now, berlin)) {
			t.Errorf("%q does not match its own event", args)
		}
		n := expr.Node{Name: eventName, Args: args}
		if again, err := splitWords(written(args)); err != nil || strings.Join(again, "\x00") != strings.Join(n.Args, "\x00") {
			t.Errorf("%q is written as %s: %q", args, written(args), again)
		}
	})
}
