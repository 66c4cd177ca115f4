package coretest

import (
	"fmt"
	"slices"
	"strings"

	"onset/core/control"
	"onset/core/engine"
	"onset/core/job"
	"onset/platform/sim"
)

// printer writes down effects as a script shows them.
type printer struct {
	r     *runner
	lines []string

	shown map[string]bool // what the show and hide commands chose
	least engine.Priority // of log messages; behind Fatal shows none
	goals map[string]string
	state map[string]string
	path  string // the instance whose way is the last line; empty if none is

	spawned map[string]*job.Spec // last spawn by job, instance and slot
}

// Things a script can show or hide.
const (
	showStates    = "states"    // ways of jobs
	showEvents    = "events"    // events that are finished
	showSpawns    = "spawns"    // spawned processes
	showKills     = "kills"     // signals to processes
	showTraces    = "traces"    // detach
	showReplies   = "replies"   // to calls
	showJobs      = "jobs"      // JobAdded, JobRemoved, Failed, Restarted
	showInstances = "instances" // InstanceAdded, InstanceRemoved
	showReleases  = "releases"  // of processes
)

var showable = []string{showStates, showEvents, showSpawns, showKills, showTraces, showReplies, showJobs, showInstances, showReleases}

func newPrinter(r *runner) printer {
	p := printer{r: r, shown: map[string]bool{}, least: engine.Warn,
		goals: map[string]string{}, state: map[string]string{}, spawned: map[string]*job.Spec{}}
	for _, s := range showable[:len(showable)-2] {
		p.shown[s] = true
	}
	return p
}

// take returns what was written since it was last called.
func (p *printer) take() []string {
	lines := p.lines
	p.lines, p.path = nil, ""
	return lines
}

func (p *printer) say(what, format string, args ...any) {
	if what != "" && !p.shown[what] {
		return
	}
	p.path = ""
	p.lines = append(p.lines, strings.Split(fmt.Sprintf(format, args...), "\n")...)
}

// effect observes one effect of the engine.
func (p *printer) effect(e engine.Effect, results []engine.Msg) {
	switch e := e.(type) {
	case engine.Log:
		if e.Priority >= p.least {
			p.say("", "%s: %s", e.Priority, e.Text)
		}
	case engine.Spawn:
		p.spawn(e, results[0])
	case engine.Kill:
		name, _ := sim.Signals.Name(e.Signal)
		if e.PID == 0 {
			p.say(showKills, "kill what %d left %s", p.r.world.First(e.Token).PID, name)
			return
		}
		p.say(showKills, "kill %d %s%s", e.PID, name, map[engine.Scope]string{engine.Process: " alone", engine.Tree: " and tree"}[e.Scope])
	case engine.Detach:
		p.say(showTraces, "detach %d", e.PID)
	case engine.Release:
		p.say(showReleases, "release %d %d", e.Token, e.PID)
	case engine.Respond:
		p.say(showReplies, "reply %s %s", p.r.names[e.Conn], replyText(e.Reply))
	case engine.Publish:
		p.signal(e.Signal)
	case engine.ConnectBus:
		p.say("", "connect bus %s", e.Address)
	case engine.UpdateActivation:
		p.say("", "update activation %s", strings.Join(e.Env, " "))
	default:
		p.say("", "%s", strings.ToLower(strings.TrimSuffix(sim.Describe(e), " {}")))
	}
}

func (p *printer) spawn(e engine.Spawn, result engine.Msg) {
	name := slotName(e.Spec)
	p.spawned[name] = e.Spec
	switch m := result.(type) {
	case engine.Spawned:
		p.say(showSpawns, "spawn %s %d", name, m.PID)
	case engine.SpawnFailed:
		p.say(showSpawns, "spawn %s failed: %s", name, m.Reason)
	}
}

// slotName names a process: JOB/SLOT or JOB:INSTANCE/SLOT.
func slotName(s *job.Spec) string {
	name := s.Job
	if s.Instance != "" {
		name += ":" + s.Instance
	}
	return name + "/" + s.Slot.String()
}

func replyText(r control.Reply) string {
	if r.Err != nil {
		return "error " + r.Err.Name[strings.LastIndexByte(r.Err.Name, '.')+1:] + ": " + r.Err.Message
	}
	if len(r.Values) == 0 {
		return "ok"
	}
	var parts []string
	for _, v := range r.Values {
		parts = append(parts, valueText(v))
	}
	return strings.Join(parts, " ")
}

func valueText(v any) string {
	switch v := v.(type) {
	case []string:
		return strings.Join(v, "\n  ")
	case []control.ObjectPath:
		paths := slices.Clone(v)
		slices.Sort(paths)
		return strings.Trim(fmt.Sprint(paths), "[]")
	case []control.FactInfo:
		var s string
		for _, f := range v {
			s += "\n  " + strings.Join(append([]string{f.Name}, f.Env...), " ") + " by " + f.Owner
		}
		return "facts" + s
	case []control.Property:
		var s string
		for _, prop := range v {
			s += fmt.Sprintf("\n  %s %v", prop.Name, prop.Value)
		}
		return "properties" + s
	}
	return fmt.Sprint(v)
}

func (p *printer) signal(s control.Signal) {
	name := jobName(s.Subject)
	switch s.ID {
	case control.SignalGoalChanged:
		before := p.state[name]
		if before == "" {
			before = "waiting"
		}
		p.goals[name] = s.Text
		p.state[name] = before
		p.path = ""
		p.way(name, before)
	case control.SignalStateChanged:
		p.state[name] = s.Text
		p.way(name, s.Text)
	case control.SignalEventEmitted:
		p.say(showEvents, "event %s", strings.Join(append([]string{s.Text}, s.Env...), " "))
	case control.SignalInstanceAdded, control.SignalInstanceRemoved:
		p.say(showInstances, "%s %s", signalName(s), name)
		delete(p.goals, name)
		delete(p.state, name)
	case control.SignalFailed:
		p.say(showJobs, "%s failed %d", name, s.Status)
	case control.SignalRestarted:
		p.say(showJobs, "restarted")
	default:
		p.say(showJobs, "%s %s", signalName(s), name)
	}
}

// way adds a state to the way of an instance.
func (p *printer) way(name, state string) {
	if !p.shown[showStates] {
		return
	}
	if p.path == name {
		p.lines[len(p.lines)-1] += " " + state
		return
	}
	p.say(showStates, "%s %s/%s", name, p.goals[name], state)
	p.path = name
}

func jobName(o control.Object) string {
	name := o.Class
	if o.Session != "" {
		name = o.Session + "|" + name
	}
	if o.Instance != "" {
		name += ":" + o.Instance
	}
	return name
}

// signalName turns JobAdded into "job added".
func signalName(s control.Signal) string {
	words := strings.NewReplacer("Added", " added", "Removed", " removed").Replace(s.Spec().Name)
	return strings.ToLower(words)
}
