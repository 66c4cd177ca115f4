package timers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

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
	t        *testing.T
	clock    *fakeClock
	rec      *sourcetest.Recorder
	run      *run
	dir      string
	boots    int
	zoneFile string
	local    *time.Location
	jobs     []eventsources.Condition
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
	p.run = newRun(p.rec, p.clock, source.stores(), machine{"m", fmt.Sprint("boot ", p.boots), p.zoneFile, func() (time.Duration, bool) { return 90 * time.Second, true }})
	if p.zoneFile == "" {
		p.run.local = p.local
	}
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
	case "needs": // data of a zone
		zone(p.t, rest)
	case "zone":
		p.local = zone(p.t, rest)
	default:
		p.t.Fatalf("unknown line %q", line)
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
	n := 10_000
	if testing.Short() {
		n = 1000
	}
	for i := range n {
		args := fmt.Sprintf("j%d CRON=\"%d * * * *\" NAME=n%d", i, i%60, i)
		if i%2 == 0 {
			args = fmt.Sprintf("j%d EVERY=1h NAME=n%d", i, i)
		}
		p.jobs = append(p.jobs, operand(args))
	}
	p.configure()
	p.do("pass 1h")
	if c.events != n || c.facts != n {
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

// TestZoneOfTheMachine changes it while a timer waits.
func TestZoneOfTheMachine(t *testing.T) {
	if os.Getenv("TZ") != "" {
		t.Setenv("TZ", "")
	}
	p := newPlayed(t, time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC))
	p.zoneFile = filepath.Join(p.dir, "localtime")
	use := func(zone string) {
		t.Helper()
		file := filepath.Join("/usr/share/zoneinfo", zone)
		if _, err := os.Stat(file); err != nil {
			t.Skipf("there is no data of time zones here: %v", err)
		}
		os.Remove(p.zoneFile)
		if err := os.Symlink(file, p.zoneFile); err != nil {
			t.Fatal(err)
		}
	}
	use("Europe/Berlin")
	p.do("kill 0")
	p.do(`job c CRON="30 10 * * *"`)
	p.do(`job t CRON="30 10 * * *" NAME=t TZ=Asia/Tokyo`)
	p.said()
	p.do("pass 80m")
	p.expect()
	use("Europe/London")
	p.do("pass 69m")
	p.expect()
	p.do("pass 1m")
	p.expect("2026-11-20T10:30:00Z CRON=30 10 * * *")
	p.do("pass 1d")
	p.expect("2026-11-21T10:30:00+09:00 CRON=30 10 * * * NAME=t TZ=Asia/Tokyo", "2026-11-21T10:30:00Z CRON=30 10 * * *")
}

// TestRest wants what comes due while no job has a timer to be left out.
func TestRest(t *testing.T) {
	p := newPlayed(t, time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC))
	p.kill()
	source := faked{Source{Durable: filepath.Join(p.dir, "durable"), Volatile: filepath.Join(p.dir, "volatile")}, p.clock}
	jobs := []eventsources.Condition{operand("a EVERY=10m")}
	runFor := func(last []eventsources.Condition, until func() bool) {
		t.Helper()
		ctx, cancel := context.WithCancel(context.Background())
		p.rec.SetConditions(jobs)
		done := make(chan error, 1)
		go func() { done <- source.Run(ctx, p.rec) }()
		for end := time.Now().Add(sourcetest.Patience); !until(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("waited in vain")
			}
		}
		p.rec.SetConditions(last)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	facts := func() bool { return len(p.rec.Facts()) == 1 }
	for _, last := range [][]eventsources.Condition{jobs, nil} { // the process ends; the source rests
		p.rec.Hold(nil)
		runFor(last, facts)
		p.expect()
		p.clock.pass(15 * time.Minute)
		p.rec.Hold(nil)
		if last != nil {
			runFor(jobs, func() bool { return len(p.said()) == 1 })
			continue
		}
		runFor(jobs, facts)
		p.expect()
	}
}

func TestFullQueueIsToldOnce(t *testing.T) {
	p := newPlayed(t, time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC))
	p.do("job a EVERY=1s OVERLAP=queue")
	p.do("hold")
	p.do("pass 3m")
	p.expect("log EVERY=1s OVERLAP=queue: 100 runs wait already; others are left out")
	p.do("finish")
	if n := len(p.said()); n != 101 {
		t.Errorf("%d runs", n)
	}
}

// remembering is an init that knows what happened to jobs.
type remembering struct {
	*sourcetest.Recorder
	changes map[string]string // a job's, as Why has them
}

func (r remembering) Why(job string) (string, error) {
	if text, ok := r.changes[job]; ok {
		return text, nil
	}
	return "", errors.New("unknown job")
}

// TestEventsBeforeTheSource wants delays after events of jobs that were before
// the source was there, if they are not long over.
func TestEventsBeforeTheSource(t *testing.T) {
	p := newPlayed(t, time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC))
	p.run.init = remembering{p.rec, map[string]string{
		"db": `[{"time":"2026-11-20T07:59:55.5Z","action":"ready","instance":"b"},{"time":"2026-11-20T07:59:50Z","action":"ready","instance":"a","causes":[]},
			{"time":"2026-11-20T07:40:00Z","action":"rest","instance":"a"}]`,
		"odd": "{",
	}}
	p.jobs = nil
	for _, after := range []string{"started db", "started db INSTANCE=a", "started JOB=db a", "stopped db", "starting db", "started other", "started odd", "started db X=y", "started d*", "other db"} {
		p.jobs = append(p.jobs, operand(`j AFTER="`+after+`" DELAY=30s`))
	}
	p.configure()
	p.expect()
	p.do("pass 1h")
	p.expect("2026-11-20T08:00:20Z AFTER=started JOB=db a DELAY=30s", "2026-11-20T08:00:20Z AFTER=started db INSTANCE=a DELAY=30s", "2026-11-20T08:00:25.5Z AFTER=started db DELAY=30s")
	p.do("event started JOB=db INSTANCE=b")
	p.do("pass 1h")
	p.expect("2026-11-20T09:00:30Z AFTER=started db DELAY=30s")
	p.jobs = append(p.jobs, operand(`k AFTER="stopped db" DELAY=2h`))
	p.jobs = append(p.jobs, operand(`k AFTER="stopped db" DELAY=139m30s`))
	p.configure()
	p.expect("2026-11-20T09:59:30Z AFTER=stopped db DELAY=139m30s late 30s")
}
