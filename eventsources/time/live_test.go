package timers

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"onset/eventsources"
	"onset/eventsources/sourcetest"
)

// folderMark in the environment makes the test binary a host of this source,
// with its files there.
const folderMark = "ONSET_TEST_TIMERS"

func TestMain(m *testing.M) {
	if dir := os.Getenv(folderMark); dir != "" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		host := eventsources.Host{Address: os.Getenv("UPSTART_SESSION"), Sources: []eventsources.Source{Source{Durable: dir + "/durable", Volatile: dir + "/volatile"}},
			Logf: func(format string, args ...any) { fmt.Printf(format+"\n", args...) }}
		if err := host.Run(ctx); err != nil {
			fmt.Println(err)
		}
		return
	}
	os.Exit(m.Run())
}

// faked is the source with a clock of a test.
type faked struct {
	Source
	clock *fakeClock
}

func (f faked) Run(ctx context.Context, init eventsources.Init) error {
	return f.runWith(ctx, init, f.clock)
}

// TestExamples runs the jobs of docs/SOURCES.md on a real init.
func TestExamples(t *testing.T) {
	jobs := sourcetest.Examples(t, "time")
	if len(jobs) != 3 {
		t.Fatalf("%d examples", len(jobs))
	}
	s := sourcetest.NewSession(t, jobs)
	clock := newFakeClock(time.Date(2026, 11, 20, 4, 0, 0, 0, time.Local)) // a Friday
	source := faked{Source{Durable: s.Path("durable"), Volatile: s.Path("volatile")}, clock}
	defer serve(t, s, source)()
	next := func(job string) string {
		for line := range strings.Lines(s.Initctl("facts")) {
			if fields := strings.SplitN(line, " NEXT=", 2); strings.HasPrefix(line, "timer JOB="+job+" ") && len(fields) == 2 {
				return strings.TrimSuffix(fields[1], " (source)\n")
			}
		}
		return ""
	}
	s.Await("the timer", func() bool { return next("backup") != "" })
	clock.pass(40 * time.Minute) // with the jitter
	want := "the backup of " + time.Date(2026, 11, 20, 4, 30, 0, 0, time.Local).Format(time.RFC3339) + "\n"
	s.Await("the backup", func() bool { return s.Log("backup") == want })
	clock.pass(5 * time.Hour)
	s.Await("the hours of the shop", func() bool { return strings.Contains(s.Initctl("status", "shop"), "start/running") })
	s.Await("what follows them to be due", func() bool { return next("greeting") != "" })
	clock.pass(30 * time.Second)
	s.Await("the greeting", func() bool { return s.Log("greeting") == "good morning\n" })
	clock.pass(9 * time.Hour)
	s.Await("the end of the hours", func() bool { return strings.Contains(s.Initctl("status", "shop"), "stop/waiting") })
	if !strings.Contains(next("backup"), "2026-11-23T04:3") {
		t.Errorf("next backup is at %s", next("backup"))
	}
}

// serve runs a source for a session until the function it returns is called,
// which returns the lines of its log.
func serve(t *testing.T, s *sourcetest.Session, source eventsources.Source) (end func() []string) {
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	var lines []string
	host := eventsources.Host{Address: s.Address, Sources: []eventsources.Source{source}, Logf: func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, fmt.Sprintf(format, args...))
	}}
	done := make(chan error, 1)
	go func() { done <- host.Run(ctx) }()
	return sync.OnceValue(func() []string {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		return lines
	})
}

// TestJobStartedBeforeTheSource wants a delay after it all the same, and
// nothing said of a job that fails, since init says it.
func TestJobStartedBeforeTheSource(t *testing.T) {
	s := sourcetest.NewSession(t, map[string]string{
		"db.conf":   "start on go\nexec sleep 1000000\n",
		"warm.conf": "start on time AFTER=\"started db\" DELAY=1s\ntask\nexec echo warm\n",
		"bad.conf":  "start on time EVERY=1s\ntask\nexec sh -c 'echo ran; exit 1'\n",
	})
	s.Initctl("emit", "go")
	end := serve(t, s, Source{Durable: s.Path("durable"), Volatile: s.Path("volatile")})
	defer end()
	s.Await("the delay", func() bool { return s.Log("warm") == "warm\n" })
	s.Await("the end of a job that fails", func() bool { return strings.Count(s.Log("bad"), "ran\n") >= 2 })
	if lines := end(); len(lines) > 0 {
		t.Errorf("log: %q", lines)
	}
}

// TestKilledSource kills the process at many moments. Nothing comes twice,
// intervals go on as they were, and a run that does not come was written down
// before the kill. ONSET_SOAK makes it a minute.
func TestKilledSource(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	seconds := 5
	if os.Getenv("ONSET_SOAK") != "" {
		seconds = 60
	}
	s := sourcetest.NewSession(t, map[string]string{
		"sources.conf": "start on go\nrespawn\nrespawn limit unlimited\nenv " + folderMark + "=PATH/timers\nexec " + self + "\n",
		"tick.conf":    "start on time EVERY=1s\ninstance $SCHEDULED\ntask\nexec sh -c 'echo $SCHEDULED >>PATH/ticks'\n",
	})
	lines := func(file string) []string {
		text, _ := os.ReadFile(s.Path(file))
		return strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' })
	}
	s.Initctl("emit", "go")
	s.Await("the first", func() bool { return len(lines("ticks")) > 0 })
	once := map[string]bool{}
	times := onceEachSecond(t, s, once, seconds)
	killOften(t, s, times[len(times)-1])
	s.Await("all to be written down", func() bool {
		text, _ := os.ReadFile(s.Path("timers", "durable", "timers"))
		state, err := decode(text)
		if err != nil {
			return false
		}
		ran := 0
		for key, e := range state.entries {
			if slices.ContainsFunc(times, func(at string) bool { return strings.Contains(key, at) }) {
				ran += e.ran
			}
		}
		return ran == len(times)
	})
	before := len(lines("ticks"))
	last := onceEachSecond(t, s, once, 1)[0]
	s.Await("what nobody kills", func() bool { return slices.Contains(lines("once"), last) })
	s.Await("some more", func() bool { return len(lines("ticks")) >= before+2 })
	for _, at := range lines("once") {
		if !once[at] {
			t.Errorf("%s came twice", at)
		}
		delete(once, at)
	}
	t.Logf("%d ran once, %d were lost to a kill; %d intervals", len(lines("once")), len(once), len(lines("ticks")))
	checkTicks(t, lines("ticks"))
}

// onceEachSecond adds a job for each of the next seconds, and returns the times.
// The source has to know of them before: if that takes too long there are
// others, later. All are noted in once.
func onceEachSecond(t *testing.T, s *sourcetest.Session, once map[string]bool, n int) (times []string) {
	for ahead := 2 * time.Second; ; ahead *= 2 {
		first := time.Now().Truncate(time.Second).Add(ahead)
		times = nil
		for i := range n {
			at := first.Add(time.Duration(i) * time.Second).UTC().Format(time.RFC3339)
			times, once[at] = append(times, at), true
			text := "start on time AT=" + at + " PERSISTENT=yes\ntask\nexec sh -c 'echo $AT >>" + s.Path("once") + "'\n"
			if err := os.WriteFile(s.Path("conf", fmt.Sprintf("at%d.conf", i)), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		s.Initctl("reload-configuration")
		s.Await("the source to know", func() bool {
			facts := s.Initctl("facts")
			return !slices.ContainsFunc(times, func(at string) bool { return !strings.Contains(facts, "AT="+at) })
		})
		if time.Now().Before(first) {
			return times
		}
	}
}

// killOften kills the source again and again, at least until a time.
func killOften(t *testing.T, s *sourcetest.Session, last string) {
	end, err := time.Parse(time.RFC3339, last)
	if err != nil {
		t.Fatal(err)
	}
	least := 20
	if testing.Short() {
		least = 3
	}
	for kills, pid := 0, 0; kills < least || time.Now().Before(end); kills++ {
		killed := pid
		s.Await("the source", func() (running bool) {
			status := strings.TrimSpace(s.Initctl("status", "sources"))
			pid, _ = strconv.Atoi(status[strings.LastIndexByte(status, ' ')+1:])
			return pid != 0 && pid != killed && strings.Contains(status, "start/running")
		})
		time.Sleep(time.Duration(kills*37%400) * time.Millisecond) // anywhere in its work
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
}

// checkTicks wants whole seconds between the times of EVERY=1s.
func checkTicks(t *testing.T, ticks []string) {
	var first time.Time
	seen := map[int64]bool{}
	for _, tick := range ticks {
		at, err := time.Parse(time.RFC3339Nano, tick)
		if err != nil {
			t.Fatal(err)
		}
		if first.IsZero() {
			first = at
		}
		since := at.Sub(first)
		n := int64(since.Round(time.Second) / time.Second)
		if off := since - time.Duration(n)*time.Second; seen[n] || off.Abs() > 100*time.Millisecond {
			t.Errorf("%s came again, or %v off", tick, off)
		}
		seen[n] = true
	}
}
