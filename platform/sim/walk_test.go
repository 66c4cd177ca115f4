package sim_test

import (
	"bytes"
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"onset/core/control"
	"onset/core/engine"
	"onset/core/env"
	"onset/core/snapshot"
	"onset/platform/sim"
)

// A walk is a list of actions in a world, each chosen by a seed of its own,
// so that leaving one out does not change what the others mean. After each
// the invariants are checked; at its end the world is let come to rest, all
// classes are taken away, and nothing may be left.

const (
	defaultSeeds = 10_000
	walkLength   = 40
	walkBudget   = 50_000 // inputs and effects
)

var oneSeed = flag.Uint64("seed", 0, "walk this seed only, and tell each action")

func TestRandomWalks(t *testing.T) {
	if *oneSeed != 0 {
		walkOne(t, *oneSeed)
		return
	}
	seeds := uint64(defaultSeeds)
	if text := os.Getenv("ONSET_SEEDS"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seeds = n
	} else if testing.Short() {
		seeds /= 20
	}
	var next, endless, crashes atomic.Uint64
	var failed sync.Map
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for seed := next.Add(1); seed <= seeds; seed = next.Add(1) {
				w := walk(seed, actionsOf(seed), false)
				if w.failure != "" {
					failed.Store(seed, w.failure)
					return
				}
				crashes.Add(uint64(w.manager.Crashes))
				if w.exhausted() {
					endless.Add(1)
				}
			}
		})
	}
	wg.Wait()
	failed.Range(func(seed, failure any) bool {
		walkOne(t, seed.(uint64))
		return false
	})
	t.Logf("%d seeds, %d crashes, %d walks of jobs that start each other for ever", seeds, crashes.Load(), endless.Load())
	if endless.Load()*50 > seeds {
		t.Error("too many walks are cut short")
	}
}

// walkOne walks a seed and, if it fails, shrinks the list of actions.
func walkOne(t *testing.T, seed uint64) {
	actions := actionsOf(seed)
	w := walk(seed, actions, false)
	if w.failure == "" {
		w = walk(seed, actions, true)
		t.Logf("seed %d is good:\n%s", seed, strings.Join(w.told, "\n"))
		return
	}
	actions = shrink(actions, func(rest []uint64) bool {
		return kindOf(walk(seed, rest, false).failure) == kindOf(w.failure)
	})
	w = walk(seed, actions, true)
	t.Errorf("seed %d: %s\n%d actions are left of it:\n%s\nagain: go test ./platform/sim -run RandomWalks -seed %d",
		seed, w.failure, len(actions), strings.Join(w.told, "\n"), seed)
}

// kindOf is the part of a failure that a shrunk walk must share.
func kindOf(failure string) string {
	kind, _, _ := strings.Cut(failure, ":")
	return kind
}

func actionsOf(seed uint64) []uint64 {
	rng := rand.New(rand.NewPCG(seed, 1))
	actions := make([]uint64, walkLength)
	for i := range actions {
		actions[i] = rng.Uint64()
	}
	return actions
}

// shrink leaves out as many actions as it can while fails holds.
func shrink(actions []uint64, fails func([]uint64) bool) []uint64 {
	for size := len(actions) / 2; size > 0; {
		smaller := false
		for i := 0; i+size <= len(actions); {
			rest := slices.Delete(slices.Clone(actions), i, i+size)
			if fails(rest) {
				actions, smaller = rest, true
			} else {
				i += size
			}
		}
		if !smaller || size > len(actions) {
			size /= 2
		}
	}
	return actions
}

// walker is one walk.
type walker struct {
	world    *sim.World
	manager  *sim.Manager
	rng      *rand.Rand // of the present action
	conns    []uint64
	lastFile int
	endless  bool // jobs start each other for ever
	failure  string
	telling  bool
	told     []string        // actions and effects, when telling
	strict   map[uint64]bool // spawns of jobs with kill mode tree
	effects  map[int]uint64  // sums of the steps by input; those a crash came before are not in it
}

// walk does the actions of a walk and lets the world come to rest.
func walk(seed uint64, actions []uint64, telling bool) (w *walker) {
	w = &walker{world: sim.New(seed), telling: telling, effects: map[int]uint64{}, strict: map[uint64]bool{}}
	defer func() {
		if r := recover(); r != nil {
			buf := make([]byte, 4096)
			w.fail("panic: %v\n%s", r, buf[:runtime.Stack(buf, false)])
		}
	}()
	w.boot(seed)
	for _, a := range actions {
		w.act(a)
		if w.check(); w.failure != "" || w.exhausted() {
			return w
		}
	}
	w.calm()
	if w.failure == "" && !w.exhausted() {
		w.checkReplay()
	}
	return w
}

func (w *walker) exhausted() bool {
	w.endless = w.endless || w.manager.Exhausted()
	return w.endless
}

func (w *walker) fail(format string, args ...any) {
	if w.failure == "" {
		w.failure = fmt.Sprintf(format, args...)
	}
}

func (w *walker) tell(format string, args ...any) {
	if w.telling {
		w.told = append(w.told, fmt.Sprintf(format, args...))
	}
}

func (w *walker) boot(seed uint64) {
	w.rng = rand.New(rand.NewPCG(seed, 2))
	w.world.Jitter = 50 * millisecond
	w.world.NoGroups, w.world.Forgets = w.one(5), w.one(2)
	w.world.Observe = w.observe
	for i := range 3 + w.rng.IntN(4) {
		name, text := fmt.Sprintf("/etc/init/j%d.conf", i), w.class()
		if i == 0 {
			name = "/srv/etc/init/j0.conf"
		}
		w.tell("file %s: %q", name, text)
		w.world.WriteFile(name, text)
	}
	w.world.AddSource(engine.Source{Path: "/etc/init"})
	w.world.AddSource(engine.Source{Path: "/lib/init"})
	o := engine.Options{PID: 1, Program: "init", Version: "upstart 1.13.2", Signals: sim.Signals,
		Env: env.Table{"PATH=/bin", "TERM=linux"}, StartupEvent: "startup", AppArmor: true, NotifySocket: "/n", LogPriority: engine.Info}
	o.ChrootSessions, o.NoLog = w.one(3), w.one(4)
	if w.one(3) {
		o.Mode, o.PID, o.UID, o.Address = engine.Session, 500, 1000, "unix:abstract=/s"
	}
	w.manager = sim.Boot(w.world, o)
	w.manager.Budget = walkBudget
	w.manager.Stepped = w.stepped
	w.conns = []uint64{w.world.Connect(), w.world.Connect()}
	w.manager.Pass(0)
}

func (w *walker) stepped(in engine.Input, effects []engine.Effect) {
	w.effects[len(w.manager.Inputs())-1] = sum(describeStep(in, effects))
	if w.telling {
		w.tell("    %s", brief(in, effects))
	}
}

func sum(text string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(text))
	return h.Sum64()
}

// brief is describeStep for readers.
func brief(in engine.Input, effects []engine.Effect) string {
	s := describeStep(in, nil)
	for _, e := range effects {
		switch e := e.(type) {
		case engine.Log:
			if e.Priority <= engine.Info {
				continue
			}
		case engine.Publish:
			s += fmt.Sprintf("\n      %s %s %s %v", e.Signal.Spec().Name, e.Signal.Subject.Path(), e.Signal.Text, e.Signal.Env)
			continue
		case engine.Spawn:
			s += fmt.Sprintf("\n      Spawn %d %s %s/%s %q", e.Token, e.Spec.Job, e.Spec.Instance, e.Spec.Slot, e.Spec.Process.Text)
			continue
		}
		s += "\n      " + sim.Describe(e)
	}
	return s
}

func describeStep(in engine.Input, effects []engine.Effect) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %T", in.Mono, in.Msg)
	switch m := in.Msg.(type) {
	case engine.Called:
		fmt.Fprintf(&b, " %s %+v", m.Call.Method.Spec().Name, m.Call)
	case engine.Loaded:
	default:
		fmt.Fprintf(&b, " %+v", m)
	}
	for _, e := range effects {
		b.WriteString("\n      ")
		b.WriteString(sim.Describe(e))
	}
	return b.String()
}

// checkReplay steps new engines through the inputs of the walk: they must do
// the same, also one that is restored from its state after each step.
func (w *walker) checkReplay() {
	o := w.manager.Options
	fresh, restored := engine.New(o), engine.New(o)
	table := newStateTable()
	for i, in := range w.manager.Inputs() {
		effects := fresh.Step(in)
		for _, e := range effects {
			if err := table.follow(e); err != "" {
				w.fail("state table: %s", err)
			}
		}
		again := describeStep(in, effects)
		if want, ok := w.effects[i]; ok && sum(again) != want {
			w.fail("same inputs twice: input %d, again it is\n%s", i, again)
			return
		}
		if got := describeStep(in, restored.Step(in)); got != again {
			w.fail("restored engine: input %d\n--- first\n%s\n--- restored\n%s", i, again, got)
			return
		}
		saved := snapshot.Encode(restored.State())
		if !bytes.Equal(saved, snapshot.Encode(fresh.State())) {
			w.fail("restored state: input %d\n%s", i, again)
			return
		}
		s, err := snapshot.Decode(saved)
		if err != nil {
			w.fail("snapshot: input %d: %v\n%s", i, err, again)
			return
		}
		restored = engine.Restore(s)
	}
}

// stateTable knows the table of UPSTART §2.2 and where each instance is.
type stateTable struct {
	state map[string]string
	goal  map[string]string
}

func newStateTable() *stateTable { return &stateTable{map[string]string{}, map[string]string{}} }

// successors lists where a state leads with goal start and goal stop, and
// with what Onset adds: a restart that waited for pre-stop (DECISIONS 1), and
// a main that is gone before it was ready (DECISIONS 2).
var successors = map[string][2]string{
	"waiting":           {"starting", ""},
	"starting":          {"security-spawning", "stopping"},
	"security-spawning": {"security", "stopping"},
	"security":          {"pre-starting", "stopping"},
	"pre-starting":      {"pre-start", "stopping"},
	"pre-start":         {"spawning", "stopping"},
	"spawning":          {"spawned", "stopping"},
	"spawned":           {"post-starting stopping", "stopping"},
	"post-starting":     {"post-start", "stopping"},
	"post-start":        {"running stopping", "stopping"},
	"running":           {"stopping", "pre-stopping stopping"},
	"pre-stopping":      {"pre-stop", "pre-stop"},
	"pre-stop":          {"running stopping", "stopping"},
	"stopping":          {"killed", "killed"},
	"killed":            {"post-stopping", "post-stopping"},
	"post-stopping":     {"post-stop", "post-stop"},
	"post-stop":         {"starting", "waiting"},
}

// follow takes an effect and says what is wrong with it.
func (t *stateTable) follow(e engine.Effect) string {
	p, ok := e.(engine.Publish)
	if !ok {
		return ""
	}
	s := p.Signal
	path := string(s.Subject.Path())
	switch s.ID {
	case control.SignalInstanceAdded:
		t.state[path], t.goal[path] = "waiting", "stop"
	case control.SignalInstanceRemoved:
		delete(t.state, path)
	case control.SignalGoalChanged:
		t.goal[path] = s.Text
	case control.SignalStateChanged:
		from := t.state[path]
		t.state[path] = s.Text
		goals := successors[from]
		allowed := goals[0]
		switch t.goal[path] {
		case "stop":
			allowed = goals[1]
		case "respawn": // becomes start before the state changes
			allowed = ""
		}
		if !slices.Contains(strings.Fields(allowed), s.Text) {
			return fmt.Sprintf("%s goes from %s/%s to %s", path, t.goal[path], from, s.Text)
		}
	}
	return ""
}
