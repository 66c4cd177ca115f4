package eventsources_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"onset/eventsources"
	"onset/eventsources/sourcetest"
)

// source is a source that concerns operands with its name as a prefix.
type source struct {
	name string
	run  func(ctx context.Context, init eventsources.Init) error
}

func (s *source) Name() string { return s.name }

func (s *source) Concerns(c eventsources.Condition) bool {
	return strings.HasPrefix(c.Operand.Name, s.name)
}

func (s *source) Run(ctx context.Context, init eventsources.Init) error { return s.run(ctx, init) }

// log collects lines.
type log struct {
	mu    sync.Mutex
	lines []string
}

func (l *log) Logf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

func (l *log) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.lines, func(line string) bool { return strings.Contains(line, text) })
}

// started is a host that runs until the test ends.
type started struct {
	log
	running atomic.Pointer[[]string]
	end     context.CancelFunc
	done    chan error
}

func start(t *testing.T, init *sourcetest.Init, grace time.Duration, named []string, sources ...eventsources.Source) *started {
	s := &started{done: make(chan error, 1)}
	h := &eventsources.Host{Address: init.Address, Sources: sources, Named: named, Logf: s.Logf,
		Running: func(names []string) { s.running.Store(&names) }}
	h.SetTimes(grace, time.Millisecond, long)
	var ctx context.Context
	ctx, s.end = context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		s.done <- h.Run(ctx)
		close(ended)
	}()
	t.Cleanup(func() {
		s.end()
		<-ended
	})
	return s
}

// names returns those that were told to run; nil before.
func (s *started) names() []string {
	if list := s.running.Load(); list != nil {
		return *list
	}
	return nil
}

const long = time.Hour

func on(operands ...string) [][]string {
	rpn := [][]string{operands}
	return rpn
}

func is(want ...string) func(_, facts []string) bool {
	return func(_, facts []string) bool { return slices.Equal(facts, want) }
}

func emitted(want ...string) func(events, _ []string) bool {
	return func(events, _ []string) bool { return slices.Equal(events, want) }
}

func fact(name string, env ...string) eventsources.Fact {
	return eventsources.Fact{Name: name, Env: env}
}

// holding is a source that holds facts until it is stopped.
func holding(name string, facts ...eventsources.Fact) *source {
	return &source{name, func(ctx context.Context, init eventsources.Init) error {
		if err := init.Hold(facts); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	}}
}

func TestSourceRunsWhileAConditionConcernsIt(t *testing.T) {
	for name, conditions := range map[string]map[string][][]string{
		"start on": {"start_on_expanded": {{"x-added", "A=1"}, {"y"}, {"/OR"}}},
		"stop on":  {"stop_on_expanded": on("x-gone")},
		"while":    {"while": on("x")},
	} {
		t.Run(name, func(t *testing.T) {
			init := sourcetest.NewInit(t)
			start(t, init, long, nil, holding("x", fact("x", "A=1")), holding("other", fact("other")))
			init.SetJob("job", conditions)
			init.Await("the fact", is("x A=1"))
			init.SetJob("second", conditions)
			init.RemoveJob("job")
			init.SetJob("second", nil)
			init.Await("no fact", is())
			init.SetJob("second", conditions)
			init.Await("the fact again", is("x A=1"))
		})
	}
}

// TestReadyWhenAllIsTold wants nobody to be told that sources run before init
// knows what each found, or it has failed.
func TestReadyWhenAllIsTold(t *testing.T) {
	init := sourcetest.NewInit(t)
	for _, name := range []string{"a", "b", "c"} {
		init.SetJob(name, map[string][][]string{"while": on(name)})
	}
	told, failed := make(chan struct{}), make(chan struct{})
	var s *started
	again := false // a run of c
	s = start(t, init, long, nil, holding("a", fact("a", "N=1")),
		&source{"b", func(ctx context.Context, init eventsources.Init) error {
			<-told
			if s.names() != nil {
				t.Error("ready before b has told")
			}
			init.Assert(fact("b", "N=1"))
			init.Ready()
			<-ctx.Done()
			return nil
		}},
		&source{"c", func(context.Context, eventsources.Init) error {
			if <-failed; !again && s.names() != nil {
				t.Error("ready before c has failed")
			}
			again = true
			return errors.New("broken")
		}})
	init.Await("a fact", is("a N=1"))
	close(told)
	init.Await("the facts", is("a N=1", "b N=1"))
	resume := init.Pause()
	close(failed)
	init.AwaitHeld(1) // it asks whether init has heard all
	if s.names() != nil {
		t.Error("ready before init has answered")
	}
	resume()
	init.Await("the names", func(_, _ []string) bool { return slices.Equal(s.names(), []string{"a", "b", "c"}) })
	if s.has("does not know") {
		t.Errorf("log: %q", s.lines)
	}
}

// TestReadyInSpiteOfOne has a source that never tells what is so.
func TestReadyInSpiteOfOne(t *testing.T) {
	init := sourcetest.NewInit(t)
	init.SetJob("job", map[string][][]string{"while": on("x")})
	var l log
	names := make(chan []string, 1)
	h := &eventsources.Host{Address: init.Address, Logf: l.Logf, Running: func(list []string) { names <- list },
		Sources: []eventsources.Source{&source{"x", func(ctx context.Context, init eventsources.Init) error {
			<-ctx.Done()
			return nil
		}}}}
	h.SetPrelude(10 * time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- h.Run(ctx) }()
	if got := <-names; !slices.Equal(got, []string{"x"}) || !l.has("x: after 10ms init does not know yet what is so") {
		t.Errorf("%q, log: %q", got, l.lines)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// hearing is a source that tells what it hears of.
func hearing() *source {
	return &source{"x", func(ctx context.Context, in eventsources.Init) error {
		heard := make(chan eventsources.Signal, 9)
		in.Watch(ctx, func(s eventsources.Signal) { heard <- s })
		in.Emit(ctx, eventsources.Event{Name: "watching"})
		for {
			select {
			case s := <-heard:
				in.Emit(ctx, eventsources.Event{Name: fmt.Sprintf("heard %d %s%s %q", s.Kind, s.Path, s.Name, s.Env)})
			case <-ctx.Done():
				return nil
			}
		}
	}}
}

func TestSignalsReachTheSource(t *testing.T) {
	init := sourcetest.NewInit(t)
	start(t, init, long, []string{"x"}, hearing())
	init.Await("the source", func(events, _ []string) bool { return slices.Contains(events, "watching") })
	init.EventEmitted("a", "N=1")
	init.InstanceRemoved("job")
	init.Await("what it heard", func(events, _ []string) bool {
		return strings.HasSuffix(strings.Join(events, "\n"), `heard 1 a ["N=1"]`+"\n"+`heard 3 /com/ubuntu/Upstart/jobs/job []`)
	})
}

// TestConnectedComesFirst has init tell of something on a connection on which it
// has not answered yet.
func TestConnectedComesFirst(t *testing.T) {
	init := sourcetest.NewInit(t)
	start(t, init, long, []string{"x"}, hearing())
	init.Await("the source", emitted("watching"))
	resume := init.Pause()
	init.Drop()
	init.AwaitHeld(1)
	init.EventEmitted("a")
	resume()
	init.Await("both in order", func(events, _ []string) bool {
		return slices.Equal(once(events), []string{"watching", `heard 0  []`, `heard 1 a []`})
	})
}

// TestEventsWithFiles has events whose file the source closes at once.
func TestEventsWithFiles(t *testing.T) {
	init := sourcetest.NewInit(t)
	start(t, init, long, []string{"x"}, &source{"x", func(ctx context.Context, in eventsources.Init) error {
		for range 3 {
			file, err := os.Open(os.DevNull)
			if err != nil {
				return err
			}
			in.Emit(ctx, eventsources.Event{Name: "x", File: file})
			file.Close()
			in.Emit(ctx, eventsources.Event{Name: "x"})
		}
		<-ctx.Done()
		return nil
	}})
	init.Await("all", emitted("x +file", "x", "x +file", "x", "x +file", "x"))
}

// TestFactsWithFiles has a fact whose file is another one later, and a connection
// that is lost after the source closed it.
func TestFactsWithFiles(t *testing.T) {
	init := sourcetest.NewInit(t)
	next := make(chan bool)
	closeNext := sync.OnceFunc(func() { close(next) })
	defer closeNext() // for the source to end
	s := start(t, init, long, []string{"x"}, &source{"x", func(ctx context.Context, in eventsources.Init) error {
		in.Emit(ctx, eventsources.Event{Name: "runs"})
		for n := 0; <-next; n++ {
			file, err := os.Open(os.DevNull)
			if err != nil {
				return err
			}
			f := fact("x", "A=1")
			f.File = file
			in.Assert(f)
			in.Assert(f)
			in.Emit(ctx, eventsources.Event{Name: fmt.Sprint("asserted", n)})
			file.Close()
		}
		in.Retract(fact("x", "A=1"))
		<-ctx.Done()
		return nil
	}})
	init.Await("the source", emitted("runs"))
	before := openFiles(t)
	for n := range 3 {
		next <- true
		init.Await("the fact", is("x A=1 +file"))
		init.Await("the event", func(all, _ []string) bool { return slices.Contains(all, fmt.Sprint("asserted", n)) })
		init.Drop()
	}
	closeNext()
	init.Await("no fact", is())
	init.Await("all files closed", func([]string, []string) bool { return openFiles(t) <= before })
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.lines) > 0 {
		t.Errorf("log: %q", s.lines)
	}
}

// openFiles is how many descriptors this process has.
func openFiles(t *testing.T) int {
	list, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestNamedSourcesRunAlone(t *testing.T) {
	init := sourcetest.NewInit(t)
	start(t, init, long, []string{"x"}, holding("x", fact("x", "A=1")), holding("other", fact("other", "A=1")))
	init.SetJob("job", map[string][][]string{"while": on("other")})
	init.Await("the fact", is("x A=1"))
}

func TestNamedSourceThatCannotBe(t *testing.T) {
	init := sourcetest.NewInit(t)
	none := &source{"x", func(context.Context, eventsources.Init) error {
		return fmt.Errorf("no such device: %w", eventsources.ErrUnsupported)
	}}
	if err := <-start(t, init, long, []string{"x"}, none).done; !errors.Is(err, eventsources.ErrUnsupported) {
		t.Errorf("unsupported: %v", err)
	}
	if err := <-start(t, init, long, []string{"z"}, none).done; err == nil || !strings.Contains(err.Error(), `"z"`) {
		t.Errorf("unknown: %v", err)
	}
}

func TestSourceOfAnotherSystemRests(t *testing.T) {
	init := sourcetest.NewInit(t)
	none := &source{"none", func(context.Context, eventsources.Init) error { return eventsources.ErrUnsupported }}
	init.SetJob("a", map[string][][]string{"while": on("none")})
	init.SetJob("b", map[string][][]string{"while": on("x")})
	s := start(t, init, long, nil, none, holding("x", fact("x", "A=1")))
	for end := time.Now().Add(sourcetest.Patience); !slices.Equal(s.names(), []string{"x"}); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%q run", s.names())
		}
	}
	if s.has("again in") {
		t.Errorf("it was tried again: %q", s.lines)
	}
}

func TestConditionsReachTheSource(t *testing.T) {
	init := sourcetest.NewInit(t)
	tell := &source{"x", func(ctx context.Context, init eventsources.Init) error {
		for {
			list, changed := init.Conditions()
			var facts []eventsources.Fact
			for _, c := range list {
				facts = append(facts, fact("seen", fmt.Sprint(c.Fact), c.Operand.String()))
			}
			if err := init.Hold(facts); err != nil {
				return err
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return nil
			}
		}
	}}
	start(t, init, long, nil, tell)
	init.SetJob("a", map[string][][]string{"start_on_expanded": on("x", "PORT=80"), "while": on("y")})
	init.Await("the condition", is("seen false x PORT=80"))
	init.SetJob("a", map[string][][]string{"start_on_expanded": on("x", "PORT=81"), "while": on("x")})
	init.Await("the new ones", is("seen false x PORT=81", "seen true x"))
}

// TestFactsOutliveARun has a source fail, by an error or a panic, whose next
// run asserts one of its two facts again.
func TestFactsOutliveARun(t *testing.T) {
	for name, fail := range map[string]func() error{
		"error":  func() error { return errors.New("lost it") },
		"return": func() error { return nil },
		"panic":  func() error { panic("lost it") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			init := sourcetest.NewInit(t)
			runs, broken, flapped := 0, make(chan struct{}), make(chan bool, 1)
			closeBroken := sync.OnceFunc(func() { close(broken) })
			defer closeBroken() // for the source to end
			s := start(t, init, eventsources.Grace, []string{"x"}, &source{"x", func(ctx context.Context, in eventsources.Init) error {
				if runs++; runs == 1 {
					in.Hold([]eventsources.Fact{fact("x", "A=1"), fact("x", "A=2")})
					<-broken
					return fail()
				}
				init.Await("what the failed run had", func(_, facts []string) bool {
					flapped <- !slices.Contains(facts, "x A=1")
					return true
				})
				in.Assert(fact("x", "A=1"))
				<-ctx.Done()
				return nil
			}})
			init.Await("both facts", is("x A=1", "x A=2"))
			closeBroken()
			init.Await("the end of one", is("x A=1"))
			if <-flapped {
				t.Error("the fact did not hold while the source was away")
			}
			if !s.has("again in") {
				t.Error("nothing in the log")
			}
		})
	}
}

func TestTwoSourcesHoldTheSameFact(t *testing.T) {
	init := sourcetest.NewInit(t)
	same := fact("same", "A=1")
	start(t, init, long, nil, holding("x", same), holding("y", same, fact("more", "A=1")))
	init.SetJob("x", map[string][][]string{"while": on("x")})
	init.Await("the fact", is("same A=1"))
	init.SetJob("y", map[string][][]string{"while": on("y")})
	init.Await("both sources", is("same A=1", "more A=1"))
	init.RemoveJob("y")
	init.Await("one source", is("same A=1"))
	init.RemoveJob("x")
	init.Await("no source", is())
}

// TestConnectionIsLost has a source emit and assert all the time while its
// connection is cut.
func TestConnectionIsLost(t *testing.T) {
	init := sourcetest.NewInit(t)
	next := make(chan int)
	closeNext := sync.OnceFunc(func() { close(next) })
	defer closeNext() // for the source to end
	start(t, init, long, []string{"x"}, &source{"x", func(ctx context.Context, in eventsources.Init) error {
		for n := range next {
			if err := in.Assert(fact("x", fmt.Sprint("N=", n))); err != nil {
				return err
			}
			if err := in.Emit(ctx, eventsources.Event{Name: "x", Env: []string{fmt.Sprint("N=", n)}}); err != nil {
				return err
			}
		}
		<-ctx.Done()
		return nil
	}})
	var facts []string
	for n := range 30 {
		if next <- n; n%3 == 0 {
			init.Drop()
		}
		facts = append(facts, fmt.Sprint("x N=", n))
	}
	closeNext()
	init.Await("all facts", func(events, now []string) bool {
		for _, f := range facts {
			if !slices.Contains(now, f) {
				return false
			}
		}
		return len(now) == len(facts) && slices.Equal(once(events), facts)
	})
}

// once leaves out what is there already: several events that init took may come
// again, in their order, where its answers were lost.
func once(items []string) (list []string) {
	for _, item := range items {
		if !slices.Contains(list, item) {
			list = append(list, item)
		}
	}
	return list
}

// TestInitIsSlow wants a source to wait for init once a window of events is on
// its way, none of them lost, and the host to end all the same.
func TestInitIsSlow(t *testing.T) {
	init := sourcetest.NewInit(t)
	var taken atomic.Int32
	full := make(chan error)
	s := start(t, init, long, []string{"x"}, &source{"x", func(ctx context.Context, in eventsources.Init) error {
		in.Emit(ctx, eventsources.Event{Name: "x"})
		init.Await("the first event", emitted("x"))
		resume := init.Pause()
		for ; taken.Load() < eventsources.Window; taken.Add(1) {
			if err := in.Emit(ctx, eventsources.Event{Name: "x"}); err != nil {
				full <- err
				return err
			}
		}
		brief, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		full <- in.Emit(brief, eventsources.Event{Name: "x"})
		resume()
		<-ctx.Done()
		return nil
	}})
	if err := <-full; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v after %d events", err, taken.Load())
	}
	init.Await("all of them", func(events, _ []string) bool { return len(events) == 1+eventsources.Window })
	init.Pause()
	if s.end(); <-s.done != nil {
		t.Error("the host failed")
	}
}

// TestEndWhileInitIsAsked wants the host to end though init never answers a
// question of a source.
func TestEndWhileInitIsAsked(t *testing.T) {
	init := sourcetest.NewInit(t)
	s := start(t, init, long, []string{"x"}, &source{"x", func(ctx context.Context, in eventsources.Init) error {
		init.Pause()
		if text, err := in.(eventsources.Historian).Why("job"); err == nil {
			t.Errorf("init said %q", text)
		}
		return nil
	}})
	init.AwaitHeld(1)
	if s.end(); <-s.done != nil {
		t.Error("the host failed")
	}
}

// TestRefusals wants a fact that init refused to be asserted when it is asserted
// again, and one line for many refusals.
func TestRefusals(t *testing.T) {
	init := sourcetest.NewInit(t)
	init.Refuse(true)
	allowed, answered := make(chan bool), make(chan bool, 1)
	closeAllowed := sync.OnceFunc(func() { close(allowed) })
	defer closeAllowed() // for the source to end
	s := start(t, init, long, []string{"x"}, &source{"x", func(ctx context.Context, in eventsources.Init) error {
		for n := range 100 {
			in.Assert(fact("x", fmt.Sprint("N=", n)))
		}
		in.EmitWait(ctx, eventsources.Event{Name: "asserted"}) // answered after the refusals
		answered <- true
		<-allowed
		in.Assert(fact("x", "N=7"))
		<-ctx.Done()
		return nil
	}})
	init.Await("all refusals", emitted("asserted"))
	<-answered
	init.Refuse(false)
	closeAllowed()
	init.Await("the fact", is("x N=7"))
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.lines, []string{"x: init refused the fact x: AccessDenied"}) {
		t.Errorf("log: %q", s.lines)
	}
}

// TestDeafInit has an init that does not even answer a greeting.
func TestDeafInit(t *testing.T) {
	address := t.TempDir() + "/init"
	l, err := net.Listen("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	h := &eventsources.Host{Address: "unix:path=" + address, Logf: t.Logf}
	done := make(chan error)
	go func() { done <- h.Run(ctx) }()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestLostWhileJobsAreRead cuts connections that have not brought the jobs yet.
func TestLostWhileJobsAreRead(t *testing.T) {
	init := sourcetest.NewInit(t)
	for n := range 100 {
		init.SetJob(fmt.Sprint("job", n), map[string][][]string{"while": on("x", fmt.Sprint("N=", n))})
	}
	resume := init.Pause()
	start(t, init, long, nil, holding("x", fact("x", "A=1")))
	for n := range 3 {
		init.AwaitHeld(n + 1)
		init.Drop()
	}
	resume()
	init.Await("the fact", is("x A=1"))
}

func TestNoInit(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	h := &eventsources.Host{Address: "unix:path=" + t.TempDir() + "/none", Logf: t.Logf}
	if err := h.Run(ctx); err != nil {
		t.Errorf("stopped while it waits for init: %v", err)
	}
}

// TestInitIsGone wants the host to end by itself when init does not come.
func TestInitIsGone(t *testing.T) {
	h := &eventsources.Host{Address: "unix:path=" + t.TempDir() + "/none", Logf: t.Logf}
	h.SetTimes(long, long, 300*time.Millisecond)
	if err := h.Run(context.Background()); !errors.Is(err, eventsources.ErrNoInit) {
		t.Errorf("%v", err)
	}
}

// counted is a source that counts what it is asked.
type counted struct {
	source
	asked atomic.Int32
}

func (c *counted) Concerns(condition eventsources.Condition) bool {
	c.asked.Add(1)
	return c.source.Concerns(condition)
}

// TestManyConditions has more jobs than fit into a window of calls, and as many
// come while it runs; every other condition is nothing to the source.
func TestManyConditions(t *testing.T) {
	const jobs, each = 500, 10
	init := sourcetest.NewInit(t)
	add := func(from int) {
		for n := range jobs {
			var rpn [][]string
			for i := range each {
				if rpn = append(rpn, []string{"xy"[i%2 : i%2+1], fmt.Sprint("N=", from+n)}); i > 0 {
					rpn = append(rpn, []string{"/OR"})
				}
			}
			init.SetJob(fmt.Sprint("job", from+n), map[string][][]string{"start_on_expanded": rpn})
		}
	}
	add(0)
	const half = jobs * each / 2
	c := &counted{source: source{"x", func(ctx context.Context, in eventsources.Init) error {
		for {
			list, changed := in.Conditions()
			if len(list)%half == 0 {
				in.Emit(ctx, eventsources.Event{Name: fmt.Sprint(len(list))})
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return nil
			}
		}
	}}}
	start(t, init, long, nil, c)
	init.Await("all conditions", emitted(fmt.Sprint(half)))
	add(jobs)
	init.Await("as many more", func(events, _ []string) bool { return slices.Contains(events, fmt.Sprint(2*half)) })
	if n := c.asked.Load(); n != 4*half {
		t.Errorf("asked %d times about %d conditions", n, 4*half)
	}
}
