package dbus

import (
	"slices"
	"strings"

	"onset/core/expr"
	"onset/eventsources"
	"onset/eventsources/msgbus"
)

// maxRules is how many rules of a kind a bus is asked for; with more, for all
// of that kind. A bus has 512 for a connection.
const maxRules = 100

// wanted is what operands ask of one bus.
type wanted struct {
	always     bool
	signals    map[string][]expr.Node // by a variable they demand, "" without one
	activation []expr.Node
	names      []string          // patterns
	rules      map[string]string // match rules: a job that asks for it
}

// newWanted returns what conditions ask of a bus.
func newWanted(list []eventsources.Condition, bus string, always bool) *wanted {
	w := &wanted{always: always, signals: map[string][]expr.Node{}, rules: map[string]string{}}
	signals, owners := map[string]string{}, map[string]string{}
	for _, c := range list {
		n := relaxed(c.Operand)
		if !isOf(n, bus) {
			continue
		}
		switch n.Name {
		case signalEvent:
			w.addSignal(n)
			signals[signalRule(n)] = eventsources.JobName(c.Job)
		case activationEvent:
			w.activation = append(w.activation, n)
		case nameFact:
			pattern, _ := argument(n, "NAME", 0)
			w.names = append(w.names, pattern)
			owners[ownerRule(pattern)] = eventsources.JobName(c.Job)
		}
	}
	if always {
		signals[msgbus.Rule()] = "--always"
	}
	w.addRules(signals, msgbus.Rule())
	w.addRules(owners, ownerRule("*"))
	return w
}

// addRules takes over rules, or one for all where that is among them anyway
// or they are too many.
func (w *wanted) addRules(rules map[string]string, all string) {
	job, general := rules[all]
	if len(rules) > maxRules && !general {
		for _, job = range rules {
			break
		}
		general = true
	}
	if general {
		rules = map[string]string{all: job}
	}
	for rule, job := range rules {
		w.rules[rule] = job
	}
}

// relaxed returns an operand that matches whatever $VAR in it stands for.
func relaxed(n expr.Node) expr.Node {
	args := slices.Clone(n.Args)
	for i, arg := range args {
		if !strings.Contains(arg, "$") {
			continue
		}
		key, _, named := strings.Cut(arg, "=")
		if args[i] = "*"; named {
			args[i] = strings.TrimSuffix(key, "!") + "=*"
		}
	}
	n.Args = args
	return n
}

// argument returns the pattern that an operand has for a variable, which is
// the i-th of the event; "*" without one.
func argument(n expr.Node, key string, i int) (pattern string, literal bool) {
	pattern = "*"
	for at, arg := range n.Args {
		name, value, named := strings.Cut(arg, "=")
		switch {
		case named && name == key:
			pattern = value
		case !named && at == i && at == 0:
			pattern = arg
		}
	}
	return pattern, pattern != "" && !strings.ContainsAny(pattern, `*?[\`)
}

// isOf reports whether an operand may be about the bus of that name.
func isOf(n expr.Node, bus string) bool {
	for _, arg := range n.Args {
		if strings.HasPrefix(arg, "BUS=") {
			return bus != "" && expr.Glob(arg[len("BUS="):], bus)
		}
		if strings.HasPrefix(arg, "BUS!=") {
			return bus != "" && !expr.Glob(arg[len("BUS!="):], bus)
		}
	}
	return true
}

func signalRule(n expr.Node) string {
	var list []string
	for i, key := range []struct{ variable, rule string }{{"SIGNAL", "member"}, {"INTERFACE", "interface"}, {"OBJPATH", "path"}} {
		if value, literal := argument(n, key.variable, i); literal {
			list = append(list, key.rule, value)
		}
	}
	return msgbus.Rule(list...)
}

// ownerRule is for changes of the owner of names.
func ownerRule(pattern string) string {
	list := []string{"sender", msgbus.Driver, "interface", msgbus.Driver, "member", "NameOwnerChanged"}
	special := strings.IndexAny(pattern, `*?[\`)
	if special < 0 {
		return msgbus.Rule(append(list, "arg0", pattern)...)
	}
	if dot := strings.LastIndexByte(pattern[:special], '.'); dot > 0 {
		list = append(list, "arg0namespace", pattern[:dot])
	}
	return msgbus.Rule(list...)
}

func (w *wanted) addSignal(n expr.Node) {
	where := ""
	if key, value, ok := n.IndexKey(); ok && key != "" {
		where = key + "=" + value
	}
	w.signals[where] = append(w.signals[where], n)
}

// wantsSignal reports whether an event is waited for.
func (w *wanted) wantsSignal(env []string) bool {
	if w.always {
		return true
	}
	event := &expr.Subject{Name: signalEvent, Env: env}
	if matchesAny(w.signals[""], event) {
		return true
	}
	for _, v := range env {
		if matchesAny(w.signals[v], event) {
			return true
		}
	}
	return false
}

func matchesAny(list []expr.Node, s *expr.Subject) bool {
	return slices.ContainsFunc(list, func(n expr.Node) bool { return n.Matches(s, nil) }) // relaxed: nothing to expand
}

func (w *wanted) wantsName(name string) bool {
	return !strings.HasPrefix(name, ":") && slices.ContainsFunc(w.names, func(p string) bool { return expr.Glob(p, name) })
}
