package engine

import (
	"slices"
	"strings"

	"onset/core/event"
	"onset/core/expr"
)

// conditionIndex finds the classes whose start on or stop on may match an
// event, so that an event costs work only in classes that name it.
type conditionIndex map[string]*operandIndex

// operandIndex holds the classes with operands on one event name: under the
// variable and value such an operand demands, or in any when it demands none.
type operandIndex struct {
	any   classSet
	keys  []string // of byKey, in order of appearance
	byKey map[string]map[string]classSet
}

// classSet counts the operands that put a class there.
type classSet map[*Class]int

func (x conditionIndex) add(c *Class)    { x.each(c, x.addOperand) }
func (x conditionIndex) remove(c *Class) { x.each(c, x.removeOperand) }

func (x conditionIndex) each(c *Class, f func(*Class, *expr.Node)) {
	for _, t := range []expr.Tree{c.StartOn, c.StopOn} {
		for i := range t {
			if t[i].Op == expr.Match {
				f(c, &t[i])
			}
		}
	}
}

func (x conditionIndex) addOperand(c *Class, n *expr.Node) {
	ops := x[n.Name]
	if ops == nil {
		ops = &operandIndex{any: classSet{}}
		x[n.Name] = ops
	}
	key, value, ok := n.IndexKey()
	if !ok {
		ops.any[c]++
		return
	}
	if ops.byKey == nil {
		ops.byKey = make(map[string]map[string]classSet)
	}
	values := ops.byKey[key]
	if values == nil {
		values = make(map[string]classSet)
		ops.byKey[key] = values
		ops.keys = append(ops.keys, key)
	}
	if values[value] == nil {
		values[value] = classSet{}
	}
	values[value][c]++
}

func (x conditionIndex) removeOperand(c *Class, n *expr.Node) {
	ops := x[n.Name]
	key, value, ok := n.IndexKey()
	if !ok {
		ops.any.drop(c)
	} else {
		values := ops.byKey[key]
		if values[value].drop(c); len(values[value]) == 0 {
			delete(values, value)
		}
		if len(values) == 0 {
			delete(ops.byKey, key)
			ops.keys = slices.DeleteFunc(ops.keys, func(k string) bool { return k == key })
		}
	}
	if len(ops.any) == 0 && len(ops.byKey) == 0 {
		delete(x, n.Name)
	}
}

func (s classSet) drop(c *Class) {
	if s[c]--; s[c] == 0 {
		delete(s, c)
	}
}

// candidates returns the classes an event must be offered to, by session and
// name.
func (x conditionIndex) candidates(ev *event.Event) []*Class {
	ops := x[ev.Name]
	if ops == nil {
		return nil
	}
	found := ops.any.appendTo(nil)
	for _, key := range ops.keys {
		value, ok := variable(ev, key)
		if !ok {
			continue
		}
		values := ops.byKey[key]
		found = values[value.text].appendTo(found)
		if value.key == "JOB" {
			for _, name := range ev.Provides {
				found = values[name].appendTo(found)
			}
		}
	}
	slices.SortFunc(found, compareClasses)
	return slices.Compact(found)
}

func (s classSet) appendTo(list []*Class) []*Class {
	for c := range s { // order-free: candidates sorts
		list = append(list, c)
	}
	return list
}

type keyValue struct{ key, text string }

// variable returns the event variable an index key means: the first one for
// the empty key.
func variable(ev *event.Event, key string) (keyValue, bool) {
	if key != "" {
		v, ok := ev.Env.Lookup(key)
		return keyValue{key, v}, ok
	}
	if len(ev.Env) == 0 {
		return keyValue{}, false
	}
	k, v, _ := strings.Cut(ev.Env[0], "=")
	return keyValue{k, v}, true
}

// factIndex finds the classes whose while names a fact.
type factIndex map[string]classSet

func (x factIndex) add(c *Class) {
	for _, n := range c.Def.While {
		if n.Op != expr.Match {
			continue
		}
		if x[n.Name] == nil {
			x[n.Name] = classSet{}
		}
		x[n.Name][c]++
	}
}

func (x factIndex) remove(c *Class) {
	for _, n := range c.Def.While {
		if n.Op != expr.Match {
			continue
		}
		if x[n.Name].drop(c); len(x[n.Name]) == 0 {
			delete(x, n.Name)
		}
	}
}

func (x factIndex) naming(fact string) []*Class {
	found := x[fact].appendTo(nil)
	slices.SortFunc(found, compareClasses)
	return found
}
