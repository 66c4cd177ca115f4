package udev

import (
	"slices"
	"strings"

	"onset/eventsources"
)

// verb is what an action is called in an event.
func verb(action string) string {
	switch action {
	case "add":
		return "added"
	case "remove":
		return "removed"
	case "change":
		return "changed"
	}
	return action
}

// wants are what jobs name of subsystems.
type wants struct {
	all bool
	by  map[string]want
}

type want struct {
	fact  bool
	verbs []string
}

// wanted returns what conditions name; all events come on top of it.
func wanted(list []eventsources.Condition, all bool) wants {
	w := wants{all: all, by: map[string]want{}}
	for _, c := range list {
		if c.Fact {
			subsystem := strings.TrimSuffix(c.Operand.Name, factSuffix)
			one := w.by[subsystem]
			one.fact = true
			w.by[subsystem] = one
			continue
		}
		subsystem, v, _ := strings.Cut(c.Operand.Name, eventInfix)
		if one := w.by[subsystem]; !slices.Contains(one.verbs, v) {
			one.verbs = append(one.verbs, v)
			w.by[subsystem] = one
		}
	}
	return w
}

// event reports whether an event is forwarded.
func (w wants) event(subsystem, action string) bool {
	return w.all || slices.Contains(w.by[subsystem].verbs, verb(action))
}

// tracks reports whether devices of a subsystem are kept in mind.
func (w wants) tracks(subsystem string) bool {
	_, ok := w.by[subsystem]
	return ok || w.all
}

// equal compares two, whatever the order of verbs.
func (w wants) equal(other wants) bool {
	if len(w.by) != len(other.by) {
		return false
	}
	for subsystem, one := range w.by {
		two, ok := other.by[subsystem]
		if !ok || one.fact != two.fact || len(one.verbs) != len(two.verbs) {
			return false
		}
		for _, v := range one.verbs {
			if !slices.Contains(two.verbs, v) {
				return false
			}
		}
	}
	return true
}
