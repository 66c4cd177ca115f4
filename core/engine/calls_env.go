package engine

import (
	"slices"
	"sort"
	"strings"

	"onset/core/control"
	"onset/core/env"
)

// freshEnv builds the job environment table from scratch (UPSTART §1.6.3
// layer 1).
func (e *Engine) freshEnv() env.Table {
	o := &e.s.Options
	if o.Mode == Session && o.InheritEnv {
		return o.Env.Clone()
	}
	return env.Table(nil).Add("PATH", false, o.Env).Add("TERM", false, o.Env)
}

// answerEnv handles the requests on environment tables: the global one, or
// that of a running instance (UPSTART §6.3).
func (e *Engine) answerEnv(r *request) *control.Reply {
	var j *Instance
	table := &e.s.Env
	if len(r.Job) > 0 {
		var err *control.Error
		if j, err = e.jobDetails(r); err != nil {
			return failed(err)
		}
		table = &j.Env
	}
	switch r.Method {
	case control.GetEnv:
		v, found := table.Lookup(r.Name)
		if !found {
			return failed(control.NoSuchVariable(r.Name))
		}
		return values(v)
	case control.ListEnv:
		list := append([]string{}, *table...)
		sort.Strings(list)
		return values(list)
	case control.ResetEnv:
		*table = e.freshEnv()
		if j != nil {
			*table = e.classEnv(j.class)
		}
		return ok
	}
	e.changeEnv(r, j)
	return ok
}

// jobDetails returns the instance a [job, instance] argument names.
func (e *Engine) jobDetails(r *request) (*Instance, *control.Error) {
	c := e.classes[r.Session][r.Job[0]]
	if c == nil {
		return nil, control.UnknownJob(r.Job[0])
	}
	name := ""
	if len(r.Job) > 1 {
		name = r.Job[1]
	}
	j := c.instance(name)
	if j == nil {
		return nil, control.UnknownJobInstance(name, r.Job[0])
	}
	return j, nil
}

// changeEnv sets or unsets variables; a global change reaches every instance
// too.
func (e *Engine) changeEnv(r *request, j *Instance) {
	unset := r.Method == control.UnsetEnv || r.Method == control.UnsetEnvList
	entries := slices.Clone(r.Env)
	for i, v := range entries {
		if !unset && !strings.Contains(v, "=") {
			entries[i] = v + "="
		}
	}
	change := func(t env.Table) env.Table {
		for _, v := range entries {
			if unset {
				t = t.Unset(v)
			} else {
				t = t.Set(v, r.Replace)
			}
		}
		return t
	}
	if j != nil {
		j.Env = change(j.Env)
		return
	}
	e.s.Env = change(e.s.Env)
	for _, c := range e.allClasses() {
		for _, j := range c.Instances {
			j.Env = change(j.Env)
		}
	}
	if e.s.Options.Mode == Session && !unset {
		e.do(UpdateActivation{entries})
	}
}
