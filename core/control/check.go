package control

import (
	"slices"
	"strings"

	"onset/core/expr"
)

// CheckOptions are the options of check-config (UPSTART §7.5).
type CheckOptions struct {
	Only   string   // report on this class; empty = on all
	Events []string // further known events: --ignore-events, and names of aliases
	Warn   bool     // every operand must be good, also below "or"
	User   bool     // a session init is asked
}

// initEvents are the events init itself emits, as check-config counts them,
// with those of EXTENSIONS §14.
var initEvents = [...]string{"startup", "debug", "control-alt-delete", "keyboard-request", "power-status-changed", "power-button",
	"starting", "started", "stopping", "stopped", "stalled", "settled"}

// CheckConfig reports the start on and stop on conditions that can never be
// met because an event or a job they need does not exist. The report is empty
// if ok.
func CheckConfig(classes []ClassInfo, o CheckOptions) (report string, ok bool) {
	k := newKnown(classes, o)
	var b strings.Builder
	for i := range classes {
		if o.Only == "" || o.Only == classes[i].Name {
			k.checkClass(&b, &classes[i])
		}
	}
	return b.String(), b.Len() == 0
}

// known is what conditions may refer to.
type known struct {
	events []string // patterns
	jobs   map[string]bool
	warn   bool
}

func newKnown(classes []ClassInfo, o CheckOptions) *known {
	k := &known{events: append(initEvents[:len(initEvents):len(initEvents)], o.Events...), jobs: map[string]bool{}, warn: o.Warn}
	if o.User {
		k.events = append(k.events, "session-end")
	}
	for i := range classes {
		c := &classes[i]
		k.jobs[c.Name] = true
		for _, p := range c.Provides {
			k.jobs[p] = true
		}
		k.events = append(k.events, c.Emits...)
	}
	return k
}

func (k *known) checkClass(b *strings.Builder, c *ClassInfo) {
	bad := ""
	for _, cond := range [...]condition{{"start on", c.StartOn}, {"stop on", c.StopOn}} {
		if !k.satisfiable(cond.tree) {
			bad += k.complaints(cond)
		}
	}
	if bad != "" {
		b.WriteString(c.Name + "\n" + bad)
	}
}

// satisfiable evaluates the tree with good operands as true.
func (k *known) satisfiable(tree expr.Tree) bool {
	var stack []bool
	for _, n := range tree {
		switch n.Op {
		case expr.Match:
			stack = append(stack, k.event(n) && k.job(n))
			continue
		case expr.Not:
			continue // whether it can hold does not depend on the operand
		}
		top := len(stack) - 1
		left, right := stack[top-1], stack[top]
		stack = append(stack[:top-1], left && right || n.Op == expr.Or && !k.warn && (left || right))
	}
	return !slices.Contains(stack, false)
}

// complaints lists what is wrong with each bad operand.
func (k *known) complaints(c condition) string {
	var s string
	for n := range c.tree.Operands {
		if !k.event(n) {
			s += "  " + c.stanza + ": unknown event " + n.Name + "\n"
		}
		if !k.job(n) {
			job, _ := jobOf(n)
			s += "  " + c.stanza + ": unknown job " + job + "\n"
		}
	}
	return s
}

func (k *known) event(n expr.Node) bool {
	return slices.ContainsFunc(k.events, func(pattern string) bool { return expr.Glob(pattern, n.Name) })
}

func (k *known) job(n expr.Node) bool {
	job, at := jobOf(n)
	return at < 0 || strings.HasPrefix(job, "$") || k.jobs[job]
}
