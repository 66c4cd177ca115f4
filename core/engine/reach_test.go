package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"onset/core/cause"
	"onset/core/control"
	. "onset/core/engine"
	"onset/core/event"
	"onset/core/job"
)

// These tests go through every situation that one instance can get into, by
// whatever people, events and processes do in whatever order, and look in
// each for what must never be: an instance that waits for nothing, a job that
// runs without its process, a process or a caller that nobody knows. Two
// situations that differ only in numbers given out are one.

// The job is called s; gate holds up its starting and stopping events.
const gate = "start on starting s or stopping s\ntask\nexec hold"

var reachable = []struct{ name, conf string }{
	{"service with every hook", "start on up\nstop on down\napparmor load p\npre-start exec a\npost-start exec b\nexec c\npre-stop exec d\npost-stop exec e"},
	{"respawn service with expect stop", "stop on down\nrespawn\nrespawn limit 1 5\nexpect stop\npost-start exec b\nexec c"},
	{"respawn service with pre-stop", "start on up\nrespawn\nrespawn limit 1 5\nexec c\npre-stop exec d"},
	{"respawn service with expect daemon", "stop on down\nrespawn\nrespawn limit 1 5\nexpect daemon\nexec c\npost-stop exec e"},
	{"service that ends its tree", "stop on down\nkill mode tree\nexec c\npre-stop exec d\npost-stop exec e"},
	{"respawn service with a health check", "stop on down\nrespawn\nrespawn limit 1 5\nhealth exec h\nhealth failures 1\npost-start exec b\nexec c"},
	{"respawn task", "start on up\ntask\nrespawn\nrespawn limit 1 5\nnormal exit 2\nexec c\npre-stop exec d"},
	{"hooks without main", "start on up\nstop on down\npre-start exec a\npost-start exec b\npre-stop exec d\npost-stop exec e"},
}

func TestNoSituationIsWithoutAWayOut(t *testing.T) {
	for _, r := range reachable {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			seen := map[string]bool{}
			paths := [][]string{nil}
			for len(paths) > 0 && !(testing.Short() && len(seen) == 300) {
				path := paths[0]
				paths = paths[1:]
				k := arrive(t, r.conf, path)
				if key := k.situation(); seen[key] {
					continue
				} else {
					seen[key] = true
				}
				for _, act := range k.choices() {
					paths = append(paths, append(slices.Clone(path), act))
				}
				k.check()
				k.drain()
				if t.Failed() {
					t.Fatalf("after %s", strings.Join(path, ", "))
				}
			}
			t.Logf("%d situations", len(seen))
		})
	}
}

// kernel plays the world of one engine.
type kernel struct {
	t        *testing.T
	e        *Engine
	now      time.Duration
	procs    []*process // alive, by age
	heir     *process   // that may be followed
	left     []uint64   // spawns of which something lives, but not its first process
	lastPID  int
	lastCall uint64
	pending  map[uint64]bool // calls that are not answered
	failing  string          // how the next spawn fails: "", shortage or refusal
}

type process struct {
	name  string // job and slot
	token uint64
	pid   int
	ready bool // executes its program
	forks int
}

// arrive plays a path from the start.
func arrive(t *testing.T, conf string, path []string) *kernel {
	k := &kernel{t: t, pending: map[uint64]bool{}, now: time.Minute,
		e: New(Options{PID: 1, Signals: append(signals, job.SignalName{Name: "STOP", Number: 19}, job.SignalName{Name: "CONT", Number: 18}), AppArmor: true, LogPriority: Fatal})}
	k.send(Loaded{[]Source{{Path: "/etc/init", Files: []File{{Path: "/etc/init/s.conf", Text: conf}, {Path: "/etc/init/gate.conf", Text: gate}}}}})
	for _, act := range path {
		k.do(act)
	}
	return k
}

// send steps the engine and carries out its effects until they have no more
// results.
func (k *kernel) send(msgs ...Msg) {
	for len(msgs) > 0 {
		var results []Msg
		for _, effect := range k.e.Step(Input{Clock: cause.Clock{Mono: k.now}, Msg: msgs[0]}) {
			results = append(results, k.perform(effect)...)
		}
		msgs = append(results, msgs[1:]...)
	}
}

func (k *kernel) perform(effect Effect) []Msg {
	switch e := effect.(type) {
	case Spawn:
		if why := k.failing; why != "" {
			k.failing = ""
			return []Msg{SpawnFailed{Token: e.Token, Reason: why, Temporary: why == "shortage"}}
		}
		k.lastPID++
		p := &process{name: e.Spec.Job + "/" + e.Spec.Slot.String(), token: e.Token, pid: k.lastPID}
		k.procs = append(k.procs, p)
		if e.Spec.Job == "gate" {
			p.ready = true
			return []Msg{Spawned{p.token, p.pid}, Executed{p.pid}}
		}
		return []Msg{Spawned{p.token, p.pid}}
	case Release:
		if slices.ContainsFunc(k.procs, func(p *process) bool { return p.token == e.Token && p != k.heir }) {
			k.t.Errorf("spawn %d is released and its process alive", e.Token)
		}
	case Kill:
		lives := slices.ContainsFunc(k.procs, func(p *process) bool { return p.pid == e.PID })
		if !lives && !(e.PID == 0 && e.Scope == Tree && slices.Contains(k.left, e.Token)) {
			k.t.Errorf("signal %d for process %d of spawn %d, which is gone", e.Signal, e.PID, e.Token)
		}
	case Respond:
		if !k.pending[e.Call] {
			k.t.Errorf("call %d is answered twice", e.Call)
		}
		delete(k.pending, e.Call)
	}
	return nil
}

func (k *kernel) call(m control.Method, target control.Object, name string) {
	k.lastCall++
	k.pending[k.lastCall] = true
	k.send(Called{control.Caller{ID: k.lastCall, Conn: 1}, control.Call{Method: m, Target: target, Name: name, Wait: true}})
}

// requests are what people can ask for.
var requests = map[string]control.Method{"start": control.JobStart, "stop": control.JobStop, "restart": control.JobRestart,
	"instance-restart": control.InstanceRestart, "force": control.InstanceStopForce}

// choices returns what can happen now.
func (k *kernel) choices() []string {
	acts := []string{"start", "stop", "restart", "instance-restart", "force", "up", "down"}
	_, armed := k.e.Deadline()
	if armed {
		acts = append(acts, "time")
	}
	if k.failing == "" {
		acts = append(acts, "refusal")
	}
	if k.failing == "" && !armed { // one at a time
		acts = append(acts, "shortage")
	}
	if len(k.left) > 0 {
		acts = append(acts, "empty")
	}
	for _, p := range k.procs {
		switch {
		case p.name == "gate/main":
			acts = append(acts, "exit "+p.name)
			continue
		case p.name == "s/main" && !p.ready:
			acts = append(acts, "exec "+p.name, "noexec "+p.name)
			continue
		case p.name == "s/main":
			acts = append(acts, "STOP "+p.name)
			if c := k.instance("s").Class; p.forks < 2 && len(k.left) == 0 && (c.Expect.Forks() || c.KillMode != job.KillDefault || c.Process.Of(job.PreStop).Defined() && c.Respawn) {
				acts = append(acts, "fork "+p.name)
			}
		default:
			acts = append(acts, "noexec "+p.name)
		}
		acts = append(acts, "exit "+p.name, "fail "+p.name)
	}
	return acts
}

func (k *kernel) do(act string) {
	verb, name, _ := strings.Cut(act, " ")
	if m, ok := requests[verb]; ok {
		target := control.ClassObject("", "s")
		if strings.HasPrefix(verb, "instance") || verb == "force" {
			target = control.InstanceObject("", "s", "")
		}
		k.call(m, target, "")
		return
	}
	switch verb {
	case "up", "down":
		k.call(control.EmitEvent, control.Object{}, verb)
	case "shortage", "refusal":
		k.failing = verb
	case "empty":
		k.empty()
	case "time":
		k.now, _ = k.e.Deadline()
		k.send(Tick{})
	default:
		k.process(verb, name)
	}
}

// process lets something happen to the process of that name.
func (k *kernel) process(verb, name string) {
	i := slices.IndexFunc(k.procs, func(p *process) bool { return p.name == name })
	p := k.procs[i]
	gone := func(m Msg) {
		k.procs = slices.Delete(k.procs, i, i+1)
		k.send(m)
	}
	switch verb {
	case "exec":
		p.ready = true
		k.send(Executed{p.pid})
	case "STOP":
		k.send(Stopped{p.pid, 19})
	case "fork":
		k.fork(i, p)
	case "noexec":
		gone(ExecFailed{p.pid, "no"})
	case "exit":
		gone(Exited{PID: p.pid, Status: 0})
	case "fail":
		gone(Exited{PID: p.pid, Status: 1})
	}
}

// fork lets a process end and another of the same spawn go on.
func (k *kernel) fork(i int, p *process) {
	k.lastPID++
	m := Exited{PID: p.pid, Left: 1}
	if k.instance("s").Class.Expect.Forks() {
		m.Heir, m.Forks = k.lastPID, 1
	}
	child := &process{name: p.name, token: p.token, pid: k.lastPID, ready: true, forks: p.forks + 1}
	k.procs[i] = child
	k.heir = child
	k.left = append(k.left, p.token)
	k.send(m)
	k.heir = nil
	if slices.Contains(k.pids(), child.pid) { // it was followed
		k.left = slices.DeleteFunc(k.left, func(t uint64) bool { return t == p.token })
	} else {
		k.procs = slices.DeleteFunc(k.procs, func(q *process) bool { return q == child })
	}
}

// empty ends what an ended process had left.
func (k *kernel) empty() {
	token := k.left[0]
	k.left = k.left[1:]
	k.send(Emptied{token})
}

func (k *kernel) instances() (all []*Instance) {
	for _, c := range k.e.State().Classes {
		all = append(all, c.Instances...)
	}
	return all
}

func (k *kernel) instance(class string) *Instance {
	for _, j := range k.instances() {
		if j.Class.Name == class {
			return j
		}
	}
	return nil
}

func (k *kernel) pids() (pids []int) {
	for _, j := range k.instances() {
		for _, p := range j.Live {
			pids = append(pids, p.PID)
		}
	}
	return pids
}

// situation describes all that matters of the present.
func (k *kernel) situation() string {
	s := k.e.State()
	var b strings.Builder
	for _, p := range k.procs {
		fmt.Fprint(&b, p.name, p.ready, p.forks, " ")
	}
	fmt.Fprint(&b, k.failing, len(k.pending), len(k.left))
	for _, j := range k.instances() {
		fmt.Fprint(&b, "\n", j, j.Goal, j.State, j.Blocker != 0, j.Restarting, j.Failed, j.StartEnv != nil, j.StopEnv != nil,
			j.Overdue, j.Checkup.Due != 0, j.Checkup.Late, j.KillDue != 0, min(j.RespawnCount, 2), k.now-j.RespawnSince < 5*time.Second, j.TraceForks,
			j.Settle != 0, j.Settle > k.now, j.Assumed, len(j.Left), len(j.Sweeping), j.Sweep, j.Force)
		for _, p := range j.Live {
			fmt.Fprint(&b, " ", p.Token != 0, p.PID != 0, p.RetryAt != 0, p.Tries)
		}
		for _, w := range j.Waiters {
			if w.Call != nil {
				fmt.Fprint(&b, " call ", w.Call.Verb)
			} else {
				fmt.Fprint(&b, " event ", slices.IndexFunc(s.Events, func(ev *event.Event) bool { return ev.ID == w.Event }))
			}
		}
	}
	for _, ev := range s.Events {
		fmt.Fprint(&b, "\n", ev.Name, ev.Blockers, ev.Failed, len(ev.Waiters))
	}
	return b.String()
}

// check looks at what must hold whenever the engine rests.
func (k *kernel) check() {
	blockers := map[event.ID]int{}
	waiting := len(k.pending)
	for _, j := range k.instances() {
		k.checkInstance(j)
		for _, w := range j.Waiters {
			if w.Event != 0 {
				blockers[w.Event]++
			} else {
				waiting--
			}
		}
	}
	for _, ev := range k.e.State().Events {
		for _, w := range ev.Waiters {
			if w.Instance == 0 {
				waiting--
			}
		}
		if ev.Blockers == 0 || ev.Blockers != blockers[ev.ID] {
			k.t.Errorf("event %s has %d blockers, %d of them known", ev.Name, ev.Blockers, blockers[ev.ID])
		}
	}
	if waiting != 0 {
		k.t.Errorf("%d calls wait for nothing", waiting)
	}
	known := k.pids()
	for _, p := range k.procs {
		if !slices.Contains(known, p.pid) {
			k.t.Errorf("process %s is known to nobody", p.name)
		}
	}
}

// checkInstance looks for what an instance waits for.
func (k *kernel) checkInstance(j *Instance) {
	main, hasMain := j.Proc(job.Main), j.Class.Process.Of(job.Main).Defined()
	hook, inHook := j.State.HookSlot()
	ok := false
	switch {
	case len(j.Sweeping) > 0:
		ok = j.State == job.InKilled || j.State == job.InPostStop
	case inHook:
		ok = j.Proc(hook).Token != 0
	case j.State == job.Starting, j.State == job.Stopping:
		ok = j.Blocker != 0
	case j.State == job.Spawned:
		ok = main.Token != 0
	case j.State == job.InKilled:
		ok = main.PID != 0 || j.Proc(job.Health).PID != 0
	case j.State == job.Running:
		ok = j.Goal == job.GoalStart && (main.PID != 0 || !hasMain)
	}
	if !ok {
		k.t.Errorf("%s is %s/%s and waits for nothing: %+v", j, j.Goal, j.State, j.Live)
	}
	if j.Goal == job.GoalRespawn && (main.PID != 0 || j.State != job.InPostStart && j.State != job.InPreStop) {
		k.t.Errorf("%s is respawning in %s", j, j.State)
	}
	if j.KillDue != 0 && j.State != job.InKilled && len(j.Sweeping) == 0 && (main.PID == 0 || j.Overdue == job.NoSlot) {
		k.t.Errorf("%s is %s/%s and its main process about to be killed", j, j.Goal, j.State)
	}
	for _, f := range k.e.State().Facts {
		if f.Name == j.Class.Name && j.State != job.Running {
			k.t.Errorf("fact %s holds in %s/%s", f.Name, j.Goal, j.State)
		}
	}
}

// drain stops the job and ends all processes. Then nothing may be left.
func (k *kernel) drain() {
	k.failing = ""
	for range 40 {
		if j := k.instance("s"); j != nil && j.Goal != job.GoalStop {
			k.do("stop")
		}
		for len(k.procs) > 0 {
			k.process("exit", k.procs[0].name)
		}
		for len(k.left) > 0 {
			k.empty()
		}
		if _, ok := k.e.Deadline(); ok {
			k.do("time")
		}
	}
	s := k.e.State()
	for _, j := range k.instances() {
		k.t.Errorf("in the end %s is %s/%s", j, j.Goal, j.State)
	}
	if len(s.Events) > 0 || len(s.Facts) > 0 || len(k.pending) > 0 {
		k.t.Errorf("in the end there are %d events, %d facts and %d calls", len(s.Events), len(s.Facts), len(k.pending))
	}
}
