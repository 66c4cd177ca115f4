package main

import (
	"encoding/json"
	"errors"

	"onset/core/control"
)

// status is what is known of an instance, and the schema of status --json and
// list --json: an array of these. A class without instances has one with goal
// stop and state waiting.
type status struct {
	Job       string    `json:"job"`
	Instance  string    `json:"instance"` // empty for a singleton
	Goal      string    `json:"goal"`
	State     string    `json:"state"`
	Processes []process `json:"processes"` // main first
	RespawnAt string    `json:"respawn_at,omitempty"`
	Phase     string    `json:"phase,omitempty"`
	Text      string    `json:"status_text,omitempty"`
	OOMKills  int32     `json:"oom_kills,omitempty"`
	// Tree is told by status alone, if something runs.
	Tree *control.Tree `json:"tree,omitempty"`
}

type process struct {
	Name string `json:"name"`
	PID  int    `json:"pid"`
}

func stopped(job string) status {
	return status{Job: job, Goal: "stop", State: "waiting", Processes: []process{}}
}

func (s status) String() string {
	processes := make([]control.ProcessInfo, len(s.Processes))
	for i, p := range s.Processes {
		processes[i] = control.ProcessInfo(p)
	}
	return control.StatusLine(s.Job, s.Instance, s.Goal, s.State, s.RespawnAt, processes) + control.StatusNotes(s.Phase, s.Text, s.OOMKills)
}

// newStatus reads the properties of an instance.
func newStatus(path control.ObjectPath, p properties) status {
	s := status{Job: className(path), Instance: get[string](p, "name"),
		Goal: get[string](p, "goal"), State: get[string](p, "state"), Processes: []process{},
		RespawnAt: get[string](p, "respawn_at"), Phase: get[string](p, "phase"), Text: get[string](p, "status_text"),
		OOMKills: get[int32](p, "oom_kills")}
	for _, row := range get[[][]any](p, "processes") {
		if len(row) == 2 {
			name, _ := row[0].(string)
			pid, _ := row[1].(int32)
			s.Processes = append(s.Processes, process{name, int(pid)})
		}
	}
	return s
}

// className returns the job that a path of a class or an instance names.
func className(path control.ObjectPath) string {
	o, _ := control.ParsePath(string(path))
	return o.Class
}

// instanceStatus asks for one instance; one that is gone counts as stopped.
func (t *tool) instanceStatus(path control.ObjectPath) (status, error) {
	p, err := ask[properties](t, path, control.PropertyGetAll, control.InterfaceInstance)
	switch {
	case isError(err, control.ErrUnknownMethod):
		return stopped(className(path)), nil
	case err != nil:
		return status{}, err
	}
	return newStatus(path, p), nil
}

// printInstance prints the status after a command.
func (t *tool) printInstance(path control.ObjectPath) error {
	s, err := t.instanceStatus(path)
	if err == nil {
		t.print(s.String() + "\n")
	}
	return err
}

// printStatuses prints what status and list found.
func (t *tool) printStatuses(list []status) error {
	if t.opts.has("json") {
		return t.printJSON(list)
	}
	for _, s := range list {
		t.print(s.String() + "\n")
		if t.opts.has("tree") && s.Tree != nil {
			t.print(control.TreeText(s.Tree))
		}
	}
	return nil
}

func (t *tool) status(args []string) error {
	tg, err := t.targetName(args)
	if err != nil {
		return err
	}
	tg.path, err = t.job(tg.name)
	if abstract := err == nil && className(tg.path) != tg.name || isError(err, control.ErrUnknownJob); abstract && len(tg.env) == 0 {
		if providers, e := t.providers(tg.name); e == nil && len(providers) > 0 {
			return t.printStatuses(providers)
		}
	}
	if err != nil {
		return err
	}
	path, err := t.instancePath(tg)
	if isError(err, control.ErrUnknownInstance) && len(tg.env) == 0 {
		return t.printStatuses([]status{stopped(className(tg.path))})
	}
	if err != nil {
		return err
	}
	s, err := t.instanceStatus(path)
	if err == nil && s.State != "waiting" && (t.opts.has("tree") || t.opts.has("json")) {
		s.Tree, err = t.tree(path)
	}
	if err != nil {
		return err
	}
	return t.printStatuses([]status{s})
}

// tree asks for all processes of an instance: nil of an init that cannot tell
// (Upstart), or if it is gone.
func (t *tool) tree(path control.ObjectPath) (*control.Tree, error) {
	text, err := ask[string](t, path, control.InstanceGetTree)
	if isError(err, control.ErrUnknownMethod) {
		return nil, nil
	}
	tree := &control.Tree{}
	if err == nil {
		err = json.Unmarshal([]byte(text), tree)
	}
	return tree, err
}

// providers returns the status of the jobs that provide an abstract name
// (EXTENSIONS §3).
func (t *tool) providers(name string) ([]status, error) {
	classes, err := ask[[]control.ObjectPath](t, manager, control.GetProviders, name)
	if err != nil {
		return nil, err
	}
	return t.statuses(classes)
}

func (t *tool) list([]string) error {
	classes, err := ask[[]control.ObjectPath](t, manager, control.GetAllJobs)
	if err != nil {
		return err
	}
	list, err := t.statuses(classes)
	if err != nil {
		return err
	}
	return t.printStatuses(list)
}

// statuses returns every instance of the classes, in their order. Classes and
// instances that vanish meanwhile are left out.
func (t *tool) statuses(classes []control.ObjectPath) ([]status, error) {
	instances, err := fetch[[]control.ObjectPath](t, classes, control.JobGetAllInstances)
	if err != nil {
		return nil, err
	}
	var paths []control.ObjectPath
	for _, of := range instances {
		if of != nil {
			paths = append(paths, *of...)
		}
	}
	props, err := fetch[properties](t, paths, control.PropertyGetAll, control.InterfaceInstance)
	if err != nil {
		return nil, err
	}
	list := make([]status, 0, max(len(classes), len(paths)))
	for i, of := range instances {
		if of == nil {
			continue
		}
		if len(*of) == 0 {
			list = append(list, stopped(className(classes[i])))
		}
		for _, path := range *of {
			if p := props[0]; p != nil {
				list = append(list, newStatus(path, *p))
			}
			props = props[1:]
		}
	}
	return list, nil
}

// fetch makes the same call to many objects at once and returns the answers
// in their order, nil where the object is gone. The first other error ends it.
func fetch[T any](t *tool, paths []control.ObjectPath, m control.Method, args ...any) ([]*T, error) {
	c, err := t.connect()
	if err != nil {
		return nil, err
	}
	requests := make([]request, len(paths))
	for i, path := range paths {
		requests[i] = request{path, m.Spec(), args}
	}
	answers := make([]*T, len(paths))
	var failed error
	err = c.each(requests, func(i int, body []any, err error) {
		v, err := only[T](body, err)
		switch {
		case err == nil:
			answers[i] = &v
		case !isError(err, control.ErrUnknownMethod):
			failed = errors.Join(failed, err)
		}
	})
	if err == nil {
		err = failed
	}
	return answers, err
}
