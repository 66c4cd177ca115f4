package eventsources

import (
	"maps"
	"slices"

	"onset/core/control"
	"onset/core/expr"
	"onset/platform/wire"
)

// take returns the jobs to be read anew, in order of their paths.
func (j *jobChanges) take() []control.ObjectPath {
	j.mu.Lock()
	defer j.mu.Unlock()
	paths := slices.Sorted(maps.Keys(j.jobs))
	clear(j.jobs)
	return paths
}

// readJobs asks for the conditions of jobs and hands on each list. One that
// init has no more has none.
func (c *client) readJobs(k *conn, paths []control.ObjectPath, learn func(path string, list []Condition)) error {
	for part := range slices.Chunk(paths, window) {
		answers := make([]<-chan reply, len(part))
		for i, p := range part {
			answers[i] = c.ask(p, control.PropertyGetAll, control.InterfaceJob)
		}
		for i, answer := range answers {
			r := c.await(k, answer)
			if r.err == errLost {
				return r.err
			}
			var props wire.Properties
			if len(r.body) > 0 {
				props, _ = r.body[0].(wire.Properties)
			}
			learn(string(part[i]), conditionsOf(string(part[i]), props))
		}
	}
	return nil
}

// conditionsOf returns the operands in a job's properties.
func conditionsOf(path string, props wire.Properties) (list []Condition) {
	for _, name := range []string{"start_on_expanded", "stop_on_expanded", "while"} {
		rpn, _ := props[name].([][]string)
		tree, err := expr.FromRPN(rpn)
		if err != nil {
			continue // init does not send such
		}
		for n := range tree.Operands {
			list = append(list, Condition{Job: path, Fact: name == "while", Operand: n})
		}
	}
	return list
}

// JobName returns the name of the job at an object path, for messages; what is
// no such path is its own.
func JobName(path string) string {
	object, ok := control.ParsePath(path)
	if !ok {
		return path
	}
	return object.Class
}

// conditions are the operands of jobs that concern one source.
type conditions struct {
	jobs    map[string][]Condition // by path
	list    []Condition            // all of them by path; nil until somebody asks
	changed chan struct{}
	stale   bool // changed is to be closed
}

// learn notes the conditions of a job.
func (c *conditions) learn(path string, list []Condition) {
	if slices.EqualFunc(c.jobs[path], list, sameCondition) {
		return
	}
	if c.stale = true; len(list) == 0 {
		delete(c.jobs, path)
	} else {
		c.jobs[path] = list
	}
}

// publish tells those who wait for changes.
func (c *conditions) publish() {
	if c.stale {
		close(c.changed)
		c.list, c.changed, c.stale = nil, make(chan struct{}), false
	}
}

func (c *conditions) all() []Condition {
	if c.list == nil {
		for _, path := range slices.Sorted(maps.Keys(c.jobs)) {
			c.list = append(c.list, c.jobs[path]...)
		}
	}
	return c.list
}

func sameCondition(a, b Condition) bool {
	return a.Fact == b.Fact && a.Operand.Name == b.Operand.Name && slices.Equal(a.Operand.Args, b.Operand.Args)
}
