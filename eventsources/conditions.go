package eventsources

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/godbus/dbus/v5"

	"onset/core/control"
	"onset/core/expr"
)

// take returns the jobs to be read anew, in order of their paths.
func (j *jobChanges) take() []dbus.ObjectPath {
	j.mu.Lock()
	defer j.mu.Unlock()
	paths := slices.Sorted(maps.Keys(j.jobs))
	clear(j.jobs)
	return paths
}

// readJobs asks for the conditions of jobs. One that init has no more is in
// the answer with none.
func readJobs(ctx context.Context, conn *dbus.Conn, paths []dbus.ObjectPath) (map[dbus.ObjectPath][]Condition, error) {
	found := map[dbus.ObjectPath][]Condition{}
	for part := range slices.Chunk(paths, window) {
		calls := make([]*dbus.Call, len(part))
		for i, p := range part {
			calls[i] = goCall(ctx, conn, control.ObjectPath(p), control.PropertyGetAll, control.InterfaceJob)
		}
		for i, call := range calls {
			<-call.Done
			props := map[string]dbus.Variant{}
			if err := call.Store(&props); err != nil && !isAnswer(err) {
				return nil, err
			}
			found[part[i]] = conditionsOf(string(part[i]), props)
		}
	}
	return found, nil
}

// conditionsOf returns the operands in a job's properties.
func conditionsOf(path string, props map[string]dbus.Variant) (list []Condition) {
	for _, name := range []string{"start_on_expanded", "stop_on_expanded", "while"} {
		rpn, _ := props[name].Value().([][]string)
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

// allJobs returns the paths of all jobs.
func allJobs(ctx context.Context, conn *dbus.Conn) (paths []dbus.ObjectPath, err error) {
	call := goCall(ctx, conn, control.Root, control.GetAllJobs)
	<-call.Done
	return paths, call.Store(&paths)
}

// compareConditions orders conditions, so that lists of them can be compared.
func compareConditions(a, b Condition) int {
	if c := cmp.Compare(a.Job, b.Job); c != 0 {
		return c
	}
	if a.Fact != b.Fact {
		if b.Fact {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(a.Operand.Name, b.Operand.Name), slices.Compare(a.Operand.Args, b.Operand.Args))
}
