package engine

import (
	"slices"
	"strings"

	"onset/core/cause"
	"onset/core/env"
	"onset/core/fact"
	"onset/core/job"
)

// gainFacts makes the facts of a running instance true.
func (e *Engine) gainFacts(j *Instance) {
	vars := j.EventEnv(false, nil)
	for _, name := range j.factNames() {
		f := &fact.Fact{Name: name, Env: vars, Owner: j.owner(), Session: j.Session}
		if added, _ := e.facts.Assert(f); added {
			e.factChanged(name, 0)
		}
	}
}

// loseFacts makes them false: from the moment the instance wants to stop.
func (e *Engine) loseFacts(j *Instance) {
	for _, name := range j.factNames() {
		if e.facts.Retract(name, func(f *fact.Fact) bool { return f.Owner == j.owner() }) {
			e.factChanged(name, j.ID)
		}
	}
}

func (j *Instance) owner() fact.Owner { return fact.Owner{Kind: fact.Job, ID: j.ID} }

func (j *Instance) factNames() []string {
	return append([]string{j.Class.Name}, j.Class.Provides...)
}

// factChanged has the classes that name a fact looked at again; loser is the
// instance that lost it, if one did.
func (e *Engine) factChanged(name string, loser job.ID) {
	for _, c := range e.whiles.naming(name) {
		e.mark(c)
		if loser != 0 && !slices.Contains(c.losers, loser) {
			c.losers = append(c.losers, loser)
		}
	}
}

func (e *Engine) mark(c *Class) {
	c.trigger = e.cause
	if !c.isDirty {
		c.isDirty = true
		e.dirty = append(e.dirty, c)
	}
}

// reviewFacts looks at every marked class, in the order they were marked.
func (e *Engine) reviewFacts() {
	for len(e.dirty) > 0 {
		c := e.dirty[0]
		e.dirty = e.dirty[1:]
		losers, trigger := c.losers, c.trigger
		c.isDirty, c.losers, c.trigger = false, nil, nil
		if c.registered {
			e.review(c, losers, trigger)
		}
	}
}

// namedSolution is a solution of a fact expression with the instance it is
// for.
type namedSolution struct {
	name string
	env  env.Table
}

// solutions returns the instances that facts start of a class, with the
// environment each would start with: for every name the first solution that
// yields it.
func (e *Engine) solutions(c *Class) []namedSolution {
	var found []namedSolution
	seen := make(map[string]bool)
	e.facts.Solve(c.Def.While, e.view(c, nil), func(s fact.Solution) bool {
		vars := withSolution(e.classEnv(c), s)
		name, err := env.Expand(c.Def.Instance, vars.Lookup)
		if err != nil {
			e.logf(Warn, "Failed to obtain %s instance: %s", c.Def.Name, err)
			return true
		}
		if !seen[name] {
			seen[name] = true
			found = append(found, namedSolution{name, vars})
		}
		return c.Def.Instance != ""
	})
	return found
}

func withSolution(vars env.Table, s fact.Solution) env.Table {
	return vars.Clone().Merge(s.Env).Set("ONSET_FACTS="+strings.Join(s.Names, " "), true)
}

// startsByFacts reports whether a fact expression that becomes true starts
// the job. Otherwise events or people do, and the expression may use the
// variables that came with them.
func (c *Class) startsByFacts() bool { return c.Def.StartOn == nil && !c.Def.Manual }

func (e *Engine) view(c *Class, vars env.Table) fact.View {
	if c.startsByFacts() {
		vars = c.Def.EnvTable(nil, e.s.Options.Env)
	}
	return fact.View{Session: c.Session, Base: vars}
}

func solutionNames(found []namedSolution) []string {
	names := make([]string, len(found))
	for i, n := range found {
		names[i] = n.name
	}
	slices.Sort(names)
	return names
}

// mayRun reports whether the fact expression of a class, if it has one,
// allows the instance of that name to run now with these variables. It
// returns them with those of the facts that allow it.
func (e *Engine) mayRun(c *Class, name string, vars env.Table) (with env.Table, ok bool) {
	if c.Def.While == nil {
		return vars, true
	}
	base := vars
	if c.startsByFacts() {
		base = e.classEnv(c)
	}
	e.facts.Solve(c.Def.While, e.view(c, vars), func(s fact.Solution) bool {
		n, err := env.Expand(c.Def.Instance, base.Clone().Merge(s.Env).Lookup)
		if ok = err == nil && n == name; ok {
			with = withSolution(vars, s)
		}
		return !ok
	})
	return with, ok
}

// review compares what a fact expression yields with what it yielded before:
// instances it no longer yields stop, and those it yields anew start unless
// the class waits for an event. An instance that went down for another reason
// is not yielded anew, so it stays down until its expression was false.
func (e *Engine) review(c *Class, losers []job.ID, trigger *cause.Cause) {
	var found []namedSolution
	before := c.Wanted
	if c.startsByFacts() {
		found = e.solutions(c)
		c.Wanted = solutionNames(found)
	}
	for _, j := range slices.Clone(c.Instances) {
		if j.Goal != job.GoalStop && !e.mayGoOn(j) {
			e.because(cause.Fact, trigger, "while "+c.Def.While.String()+" became false")
			e.stopInstance(j)
			e.dependOn(j, losers)
		}
	}
	if e.s.Quiesce != nil {
		return
	}
	for _, n := range found {
		if _, ok := slices.BinarySearch(before, n.name); !ok {
			e.because(cause.Fact, trigger, "while "+c.Def.While.String()+" became true")
			e.startByFacts(c, n)
		}
	}
}

// mayGoOn reports whether the fact expression still allows an instance.
func (e *Engine) mayGoOn(j *Instance) bool {
	c := j.class
	if c.startsByFacts() {
		_, ok := slices.BinarySearch(c.Wanted, j.Name)
		return ok
	}
	vars := j.Env
	if j.StartEnv != nil {
		vars = j.StartEnv
	}
	_, ok := e.mayRun(c, j.Name, vars)
	return ok
}

func (e *Engine) startByFacts(c *Class, n namedSolution) {
	j := c.instance(n.name)
	if j == nil {
		j = e.newInstance(c, n.name)
	}
	if j.Goal != job.GoalStop {
		return
	}
	e.prepare(j, n.env, nil)
	e.finishWaiters(j, true)
	e.changeGoal(j, job.GoalStart)
}

// dependOn makes the stopping event of every loser wait for the instance.
func (e *Engine) dependOn(j *Instance, losers []job.ID) {
	for _, id := range losers {
		l := e.instances[id]
		switch {
		case l == nil:
		case l.State == job.Stopping && l.Blocker != 0:
			e.blockOn(j, l.Blocker)
		case l.State < job.Stopping:
			l.Dependents = append(l.Dependents, j.ID)
		}
	}
}

// assertFact makes a fact true on behalf of the administrator or a source.
func (e *Engine) assertFact(f *fact.Fact) {
	e.useFile(f.File)
	added, replaced := e.facts.Assert(f)
	e.dropFile(replaced)
	if added {
		e.factChanged(f.Name, 0)
	}
}

// retractFacts makes the matching facts of that name false.
func (e *Engine) retractFacts(name string, match func(*fact.Fact) bool) {
	gone := func(f *fact.Fact) bool {
		if !match(f) {
			return false
		}
		e.dropFile(f.File)
		return true
	}
	if e.facts.Retract(name, gone) {
		e.factChanged(name, 0)
	}
}
