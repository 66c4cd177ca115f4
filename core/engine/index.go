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
	byKey map[string]map[string]*classSet
}

// classSet counts the operands that put a class there. Most sets have one
// class, for which a map would be large.
type classSet struct {
	few  []counted
	many map[*Class]int // nil while there are few
}

type counted struct {
	class *Class
	n     int
}

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
		ops = &operandIndex{}
		x[n.Name] = ops
	}
	key, value, ok := n.IndexKey()
	if !ok {
		ops.any.add(c)
		return
	}
	if ops.byKey == nil {
		ops.byKey = make(map[string]map[string]*classSet)
	}
	values := ops.byKey[key]
	if values == nil {
		values = make(map[string]*classSet)
		ops.byKey[key] = values
		ops.keys = append(ops.keys, key)
	}
	if values[value] == nil {
		values[value] = &classSet{}
	}
	values[value].add(c)
}

func (x conditionIndex) removeOperand(c *Class, n *expr.Node) {
	ops := x[n.Name]
	key, value, ok := n.IndexKey()
	if !ok {
		ops.any.drop(c)
	} else {
		values := ops.byKey[key]
		if values[value].drop(c); values[value].empty() {
			delete(values, value)
		}
		if len(values) == 0 {
			delete(ops.byKey, key)
			ops.keys = slices.DeleteFunc(ops.keys, func(k string) bool { return k == key })
		}
	}
	if ops.any.empty() && len(ops.byKey) == 0 {
		delete(x, n.Name)
	}
}

func (s *classSet) empty() bool { return len(s.few) == 0 && len(s.many) == 0 }

func (s *classSet) add(c *Class) {
	const most = 8
	i := s.find(c)
	switch {
	case s.many != nil:
		s.many[c]++
	case i >= 0:
		s.few[i].n++
	case len(s.few) < most:
		s.few = append(s.few, counted{c, 1})
	default:
		s.many = map[*Class]int{c: 1}
		for _, f := range s.few {
			s.many[f.class] = f.n
		}
		s.few = nil
	}
}

func (s *classSet) drop(c *Class) {
	if s.many != nil {
		if s.many[c]--; s.many[c] == 0 {
			delete(s.many, c)
		}
		return
	}
	i := s.find(c)
	if s.few[i].n--; s.few[i].n == 0 {
		s.few = slices.Delete(s.few, i, i+1)
	}
}

func (s *classSet) find(c *Class) int {
	return slices.IndexFunc(s.few, func(f counted) bool { return f.class == c })
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

func (s *classSet) appendTo(list []*Class) []*Class {
	if s == nil {
		return list
	}
	for _, f := range s.few {
		list = append(list, f.class)
	}
	for c := range s.many { // order-free: candidates sorts
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
type factIndex map[string]*classSet

func (x factIndex) add(c *Class) {
	for _, n := range c.Def.While {
		if n.Op != expr.Match {
			continue
		}
		if x[n.Name] == nil {
			x[n.Name] = &classSet{}
		}
		x[n.Name].add(c)
	}
}

func (x factIndex) remove(c *Class) {
	for _, n := range c.Def.While {
		if n.Op != expr.Match {
			continue
		}
		if x[n.Name].drop(c); x[n.Name].empty() {
			delete(x, n.Name)
		}
	}
}

func (x factIndex) naming(fact string) []*Class {
	found := x[fact].appendTo(nil)
	slices.SortFunc(found, compareClasses)
	return found
}
