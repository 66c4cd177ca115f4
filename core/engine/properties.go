package engine

import (
	"slices"
	"time"

	"onset/core/cause"
	"onset/core/control"
	"onset/core/expr"
	"onset/core/job"
)

// answerProperty handles the requests on properties; get returns the value of
// one property of the target.
func (e *Engine) answerProperty(r *request, get func(name string) any) *control.Reply {
	switch r.Method {
	case control.PropertyGet:
		return values(get(r.Name))
	case control.PropertySet: // log_priority: the only one that can be set
		e.s.LogPriority = Priority(slices.Index(control.LogPriorities[:], r.Value))
		return ok
	}
	props := []control.Property{}
	for _, p := range control.PropertiesOf(r.Target.Kind, r.Interface) {
		props = append(props, control.Property{Name: p.Name, Value: get(p.Name)})
	}
	return values(props)
}

func (e *Engine) managerProperty(name string) any {
	if name == "version" {
		return e.s.Options.versionText()
	}
	return e.s.LogPriority.String()
}

// versionText names the program unless that is what the version begins with.
func (o *Options) versionText() string {
	if o.Program == "upstart" {
		return o.Version
	}
	return o.Program + " (" + o.Version + ")"
}

func (c *Class) property(name string) any {
	d := c.Def
	switch name {
	case "name":
		return d.Name
	case "description":
		return d.Description
	case "author":
		return d.Author
	case "version":
		return d.Version
	case "usage":
		return d.Usage
	case "start_on":
		return rpn(d.StartOn)
	case "stop_on":
		return rpn(d.StopOn)
	case "start_on_expanded":
		return rpn(c.StartOn)
	case "stop_on_expanded":
		return rpn(c.StopOn)
	case "while":
		return rpn(d.While)
	case "emits":
		return strs(d.Emits)
	default:
		return strs(d.Provides)
	}
}

func rpn(t expr.Tree) [][]string {
	if t == nil {
		return [][]string{}
	}
	return t.RPN()
}

func strs(list []string) []string { return append([]string{}, list...) }

// property reads the clock for moments to come.
func (j *Instance) property(name string, now cause.Clock) any {
	switch name {
	case "name":
		return j.Name
	case "goal":
		return j.Goal.String()
	case "state":
		return j.State.String()
	case "respawn_at":
		if !j.isDelayed() {
			return ""
		}
		due := now.Wall + int64(j.Due-now.Mono)
		return time.Unix(0, due).UTC().Format(time.RFC3339)
	case "phase":
		if what := j.awaited(); what != "" {
			return what
		}
		return j.Report.Phase.String()
	case "status_text":
		return j.Report.Text
	case "oom_kills":
		return int32(j.OOMKills)
	}
	procs := []control.ProcessInfo{}
	for slot, p := range j.Live {
		if p.PID != 0 {
			procs = append(procs, control.ProcessInfo{Name: job.Slot(slot).String(), PID: p.PID})
		}
	}
	return procs
}
