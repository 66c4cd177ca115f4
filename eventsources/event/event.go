// Package event is the event source that brings the events of the system's
// init to the init of a session (UPSTART §9.6): NAME as :sys:NAME, with the
// same variables, when all that it brought about is done. That init's
// re-execution is the event :sys:restarted.
//
// It listens on the system bus, where both are signals, and only for events
// that jobs wait for. Events while there is no bus are missed.
package event

import (
	"context"
	"strings"

	"github.com/godbus/dbus/v5"

	"onset/core/control"
	"onset/core/expr"
	"onset/eventsources"
	"onset/eventsources/msgbus"
)

// Source is the source.
type Source struct {
	Always  bool   // bring all events, as Upstart's bridge
	Address string // of the bus; empty: the system's
}

const (
	prefix    = ":sys:"
	restarted = "restarted"
	busName   = "com.ubuntu.Upstart"
	// maxRules is how many events the bus is asked for by name.
	maxRules = 100
)

// Name implements eventsources.Source.
func (Source) Name() string { return "event" }

// Concerns implements eventsources.Source.
func (Source) Concerns(c eventsources.Condition) bool {
	return !c.Fact && strings.HasPrefix(c.Operand.Name, prefix)
}

// Run implements eventsources.Source.
func (s Source) Run(ctx context.Context, init eventsources.Init) error {
	p := proxy{s, init, ctx}
	client := msgbus.Client{Address: s.address, Signal: p.signal, Serve: p.serve, Absent: init.Ready, Logf: init.Logf}
	client.Keep(ctx)
	return nil
}

func (s Source) address() string {
	if s.Address != "" {
		return s.Address
	}
	return msgbus.System()
}

// proxy is a run.
type proxy struct {
	Source
	init eventsources.Init
	ctx  context.Context
}

func signalRule(id control.SignalID, more ...string) string {
	spec := &control.Signals[id]
	return msgbus.Rule(append([]string{"sender", busName, "path", control.Root, "interface", spec.Interface, "member", spec.Name}, more...)...)
}

// rules returns what the bus is asked for.
func (p proxy) rules(list []eventsources.Condition) map[string]string {
	all := signalRule(control.SignalEventEmitted)
	rules := map[string]string{signalRule(control.SignalRestarted): ""}
	for _, c := range list {
		name := strings.TrimPrefix(c.Operand.Name, prefix)
		rules[signalRule(control.SignalEventEmitted, "arg0", name)] = eventsources.JobName(c.Job)
	}
	if p.Always || len(rules) > maxRules {
		return map[string]string{signalRule(control.SignalRestarted): "", all: ""}
	}
	return rules
}

func (p proxy) serve(conn *dbus.Conn) error {
	rules := map[string]string{}
	for {
		list, more := p.init.Conditions()
		next := p.rules(list)
		for rule, err := range msgbus.Rules(conn, rules, next) {
			p.init.Logf("%s: the bus refuses the rule %s: %v", next[rule], rule, err)
		}
		rules = next
		p.init.Ready()
		select {
		case <-more:
		case <-conn.Context().Done():
			return nil
		}
	}
}

// signal takes what the bus tells. What was sent to this connection alone did
// not come by a rule, and so not from init.
func (p proxy) signal(m *dbus.Message) {
	if msgbus.Text(m, dbus.FieldPath) != control.Root || msgbus.Text(m, dbus.FieldDestination) != "" {
		return
	}
	is := func(id control.SignalID) bool {
		spec := &control.Signals[id]
		return msgbus.Text(m, dbus.FieldInterface) == spec.Interface && msgbus.Text(m, dbus.FieldMember) == spec.Name
	}
	e := eventsources.Event{Name: prefix + restarted}
	switch {
	case is(control.SignalRestarted):
	case is(control.SignalEventEmitted) && len(m.Body) == 2:
		name, _ := m.Body[0].(string)
		e.Env, _ = m.Body[1].([]string)
		if e.Name = prefix + name; name == "" || strings.HasPrefix(name, prefix) {
			return
		}
	default:
		return
	}
	if !p.wants(e) {
		return
	}
	if err := p.init.Emit(p.ctx, e); err != nil && p.ctx.Err() == nil {
		p.init.Logf("cannot tell of %s: %v", e.Name, err)
	}
}

// wants reports whether a job waits for an event.
func (p proxy) wants(e eventsources.Event) bool {
	if p.Always {
		return true
	}
	list, _ := p.init.Conditions()
	subject := &expr.Subject{Name: e.Name, Env: e.Env}
	for _, c := range list {
		if c.Operand.Matches(subject, func(string) (string, error) { return "*", nil }) {
			return true
		}
	}
	return false
}
