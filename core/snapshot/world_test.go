package snapshot

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"onset/core/cause"
	"onset/core/control"
	"onset/core/engine"
	"onset/core/env"
	"onset/core/job"
)

var options = engine.Options{
	Mode: engine.System, PID: 1, Program: "init", Version: "upstart 1.13.2",
	Signals: job.Signals{{Name: "HUP", Number: 1}, {Name: "KILL", Number: 9}, {Name: "TERM", Number: 15},
		{Name: "CONT", Number: 18}, {Name: "STOP", Number: 19}},
	Env: env.Table{"PATH=/bin", "TERM=linux"}, LogDir: "/var/log", StartupEvent: "startup",
	ChrootSessions: true, LogPriority: engine.Message, NotifySocket: "/run/onset/notify",
}

// texts are the job files of the world; each job has several.
var texts = map[string][]string{
	"one":     {"start on startup or go\nstop on end\nrespawn\nrespawn delay 1 4\nexec one\n", "start on go\nexec two\n", "start on (\n"},
	"two":     {"start on a and b\nstop on end N=$N or stopping one\ninstance $N\nexport N\npost-start exec up\nexec two\n"},
	"hooks":   {"start on started one\nstop on stopping one\npre-start script\n\techo\nend script\npre-stop exec x\npost-stop exec y\nexec z\nkill timeout 2\nstart timeout 1\nstop timeout 1\n"},
	"task":    {"start on starting two\ntask\nexec t\nlimit nofile 0 0\n", "start on starting two\ntask\nmanual\nexec t\n"},
	"demon":   {"expect daemon\nexpect timeout 2\nstart on up\nexec d\nprovides mail\n"},
	"facty":   {"while one and not quiet\nprovides facts\nexec f\n", "while demon\nexec f\n"},
	"per":     {"while dev\ninstance $NAME\nexec p\n"},
	"told":    {"start on go or up\nexpect notify\nwatchdog 2\nrespawn\nhealth exec h\nhealth interval 1\nhealth failures 2\nexec t\n"},
	"stopper": {"expect stop\nstart on go or up\nexec s\nenv X=1\nenv TERM\nnice -5\n"},
}

var overrides = []string{"manual\n", "env MORE=1\n", "bad stanza\n"}

// walk drives an engine with plausible inputs: every process answers, people
// ask, files change and time passes. The same seed walks the same way as long
// as the engine has the same effects.
type walk struct {
	rng     *rand.Rand
	clock   cause.Clock
	front   []engine.Msg // results of effects
	pid     int
	alive   []int
	call    uint64
	current map[string]string // files by path
}

func newWalk(seed uint64) *walk {
	w := &walk{rng: rand.New(rand.NewPCG(seed, 1)), pid: 100, current: map[string]string{
		"/etc/init/up.alias": "on lift or hoist\n"}}
	for name, t := range texts {
		w.current["/etc/init/"+name+".conf"] = t[0]
	}
	w.front = []engine.Msg{w.config()}
	return w
}

func (w *walk) config() engine.Loaded {
	src := engine.Source{Path: "/etc/init", Kind: engine.JobDir}
	for path, text := range w.current {
		src.Files = append(src.Files, engine.File{Path: path, Text: text})
	}
	slices.SortFunc(src.Files, func(a, b engine.File) int { return strings.Compare(a.Path, b.Path) })
	return engine.Loaded{Sources: []engine.Source{src}}
}

// next returns the next input for an engine.
func (w *walk) next(e *engine.Engine) engine.Input {
	w.clock.Mono += time.Duration(1+w.rng.IntN(5)) * time.Millisecond
	w.clock.Wall = 1_700_000_000_000_000_000 + int64(w.clock.Mono)
	if len(w.front) > 0 {
		m := w.front[0]
		w.front = w.front[1:]
		return engine.Input{Clock: w.clock, Msg: m}
	}
	m := w.random()
	if at, ok := e.Deadline(); ok && (at <= w.clock.Mono || w.rng.IntN(8) == 0) {
		w.clock.Mono = max(w.clock.Mono, at)
		m = engine.Tick{}
	}
	return engine.Input{Clock: w.clock, Msg: m}
}

func pick[T any](w *walk, all ...T) T { return all[w.rng.IntN(len(all))] }

func (w *walk) random() engine.Msg {
	switch n := w.rng.IntN(20); {
	case n < 7 && len(w.alive) > 0:
		return w.process()
	case n < 10:
		return w.file()
	case n < 11:
		return pick[engine.Msg](w, engine.Hungup{Conn: w.conn()}, engine.Told{What: engine.Reload},
			engine.Told{What: engine.ControlAltDelete}, engine.Told{What: engine.ReconnectBus})
	case n < 13:
		return w.notice()
	}
	w.call++
	return engine.Called{
		Caller: control.Caller{ID: w.call, Conn: w.conn(), UID: 0, PID: 7, Command: "initctl",
			Session: pick(w, "", "", "", "", "", "/jail")},
		Call: w.request()}
}

func (w *walk) conn() uint64 { return uint64(1 + w.rng.IntN(3)) }

func (w *walk) request() control.Call {
	name := pick(w, "one", "two", "hooks", "task", "demon", "facty", "per", "told", "stopper")
	class := control.ClassObject("", name)
	n := pick(w, "N=1", "N=2")
	wait := w.rng.IntN(2) == 0
	return pick(w,
		control.Call{Method: control.EmitEvent, Name: pick(w, "a", "b", "go", "end", "lift", "up"), Env: []string{n}, Wait: wait},
		control.Call{Method: control.EmitEvent, Name: pick(w, "a", "b", "go", "end"), Env: []string{n}, Wait: wait},
		control.Call{Method: control.EmitEventWithFile, Name: pick(w, "go", "a"), File: w.rng.IntN(100) + 1, Wait: wait},
		control.Call{Method: control.JobStart, Target: class, Env: []string{n}, Wait: wait},
		control.Call{Method: control.JobStop, Target: class, Env: []string{n}, Wait: wait},
		control.Call{Method: control.JobRestart, Target: class, Env: []string{n}, Wait: wait},
		control.Call{Method: control.SetFact, Name: pick(w, "quiet", "dev"), Env: []string{"NAME=" + n[2:]}},
		control.Call{Method: control.ClearFact, Name: pick(w, "quiet", "dev")},
		control.Call{Method: control.AssertFact, Name: "dev", Env: []string{"NAME=x"}},
		control.Call{Method: control.AssertFactWithFile, Name: pick(w, "dev", "a"), Env: []string{n}, File: w.rng.IntN(100) + 101},
		control.Call{Method: control.SetEnv, Env: []string{"V=" + n}, Replace: wait},
		control.Call{Method: control.Why, Job: []string{name}},
		control.Call{Method: control.ReloadConfiguration},
		control.Call{Method: control.NotifyDiskWriteable},
		control.Call{Method: control.NotifyDBusAddress, Value: "unix:path=/x"},
		control.Call{Method: control.InstanceStopForce, Target: control.InstanceObject("", name, "")},
	)
}

func (w *walk) process() engine.Msg {
	i := w.rng.IntN(len(w.alive))
	pid := w.alive[i]
	switch w.rng.IntN(6) {
	case 0:
		return engine.Stopped{PID: pid, Signal: 19}
	case 1:
		w.pid++
		w.alive[i] = w.pid
		return engine.Exited{PID: pid, Heir: w.pid, Forks: w.rng.IntN(3), Left: 1}
	case 2:
		return engine.Replaced{PID: pid}
	}
	w.alive = slices.Delete(w.alive, i, i+1)
	return engine.Exited{PID: pid, Status: pick(w, 0, 0, 3, job.Killed(15), job.NoStatus)}
}

// notice is a message of the sd_notify protocol, of a process that may not be
// there; or a sign of readiness.
func (w *walk) notice() engine.Msg {
	token := uint64(1 + w.rng.IntN(w.pid-99))
	if w.rng.IntN(4) == 0 {
		return engine.Ready{Token: token}
	}
	m := engine.Notified{Token: token, Lines: []string{pick(w, "READY=1", "READY=1", "STATUS=busy", "RELOADING=1",
		"STOPPING=1", "WATCHDOG=1", "WATCHDOG_USEC=900000", "MAINPID="+fmt.Sprint(w.pid+1), "EXTEND_TIMEOUT_USEC=70000", "FDSTOREREMOVE=1")}}
	if w.rng.IntN(3) == 0 {
		m.Lines = append(m.Lines, "FDSTORE=1", "FDNAME=x")
		m.Files = []int{200 + w.rng.IntN(100)}
	}
	if strings.HasPrefix(m.Lines[0], "MAINPID") {
		w.pid++
		w.alive = append(w.alive, w.pid)
	}
	return m
}

func (w *walk) file() engine.Msg {
	name := pick(w, "one", "task", "facty")
	path := "/etc/init/" + name + ".conf"
	switch w.rng.IntN(7) {
	case 5:
		path = "/etc/init/up.conf"
		w.current[path] = pick(w, "exec u\n", "start on\n")
	case 6:
		path = "/etc/init/up.override"
		w.current[path] = pick(w, "on lift\n", "env UP=1\n")
	case 0:
		if path = pick(w, path, path, "/etc/init/up.conf", "/etc/init/up.override"); w.current[path] == "" {
			return engine.Tick{}
		}
		delete(w.current, path)
		return engine.FileRemoved{Source: "/etc/init", Path: path}
	case 1:
		path = "/etc/init/" + name + ".override"
		w.current[path] = pick(w, overrides...)
	case 2:
		path = "/etc/init/up.alias"
		w.current[path] = pick(w, "on lift or hoist\n", "on lift and a\n")
	default:
		w.current[path] = pick(w, texts[name]...)
	}
	return engine.FileChanged{Source: "/etc/init", File: engine.File{Path: path, Text: w.current[path]}}
}

// did queues the results of effects.
func (w *walk) did(effects []engine.Effect) {
	for _, e := range effects {
		switch e := e.(type) {
		case engine.Spawn:
			w.front = append(w.front, w.spawn(e.Token)...)
		case engine.LoadConfig:
			w.front = append(w.front, w.config())
		case engine.LoadSource:
			w.front = append(w.front, engine.SourceLoaded{Source: engine.Source{Path: e.Session + "/etc/init", Session: e.Session,
				Files: []engine.File{{Path: e.Session + "/etc/init/one.conf", Text: texts["one"][0]}}}})
		case engine.ConnectBus:
			if e.Call != 0 {
				w.front = append(w.front, engine.Done{Call: e.Call, Error: "no bus"})
			}
		case engine.FlushLogs:
			w.front = append(w.front, engine.Done{Call: e.Call})
		}
	}
}

func (w *walk) spawn(token uint64) []engine.Msg {
	if w.rng.IntN(8) == 0 {
		return []engine.Msg{engine.SpawnFailed{Token: token, Reason: "no memory", Temporary: w.rng.IntN(2) == 0}}
	}
	w.pid++
	if w.rng.IntN(10) == 0 {
		return []engine.Msg{engine.Spawned{Token: token, PID: w.pid}, engine.ExecFailed{PID: w.pid, Reason: "unable to execute"}}
	}
	w.alive = append(w.alive, w.pid)
	return []engine.Msg{engine.Spawned{Token: token, PID: w.pid}, engine.Executed{PID: w.pid}}
}

// inputs returns the inputs of a walk of n steps.
func inputs(seed uint64, n int) []engine.Input { return inputsFor(options, seed, n) }

func inputsFor(o engine.Options, seed uint64, n int) []engine.Input {
	w := newWalk(seed)
	e := engine.New(o)
	var all []engine.Input
	for range n {
		in := w.next(e)
		all = append(all, in)
		w.did(e.Step(in))
	}
	return all
}

// text writes effects out in full, for comparing.
func text(effects []engine.Effect) string {
	var b strings.Builder
	for _, e := range effects {
		switch e := e.(type) {
		case engine.Spawn:
			fmt.Fprintf(&b, "Spawn %d %+v\n", e.Token, *e.Spec)
		case engine.Respond:
			fmt.Fprintf(&b, "Respond %d %d %v %v\n", e.Call, e.Conn, e.Reply.Values, e.Reply.Err)
		default:
			fmt.Fprintf(&b, "%T %+v\n", e, e)
		}
	}
	return b.String()
}

func mustDecode(t testing.TB, data []byte) *engine.State {
	t.Helper()
	s, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
