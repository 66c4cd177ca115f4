package dbus

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"

	wire "github.com/godbus/dbus/v5"

	"onset/core/control"
	"onset/core/expr"
	"onset/eventsources"
	"onset/eventsources/msgbus"
)

// link is one bus. Its signals come by one goroutine, all else is done by
// another.
type link struct {
	bus    Bus
	init   eventsources.Init
	ctx    context.Context // of the run
	always bool
	once   sync.Once // to tell of arguments that are too large
	ready  func()    // what was so at first is told

	mu         sync.Mutex
	conn       *wire.Conn
	want       *wanted
	owned      map[string]bool // names that are facts
	changed    map[string]bool // names that a signal told of since the list was asked for
	activating map[string]bool // units
}

func newLink(ctx context.Context, b Bus, init eventsources.Init, always bool) *link {
	return &link{bus: b, init: init, ctx: ctx, always: always, want: &wanted{},
		owned: map[string]bool{}, changed: map[string]bool{}, activating: map[string]bool{}}
}

// serve keeps a connection in step with the conditions.
func (l *link) serve(conn *wire.Conn) error {
	rules, owner := map[string]string{}, false
	defer l.leave()
	for {
		list, more := l.init.Conditions()
		want := newWanted(list, l.bus.Name, l.always)
		l.mu.Lock()
		l.conn, l.want = conn, want
		clear(l.changed)
		l.mu.Unlock()
		for rule, err := range msgbus.Rules(conn, rules, want.rules) {
			l.init.Logf("%s: the bus refuses the rule %s: %v", want.rules[rule], rule, err)
		}
		rules = want.rules
		if err := l.list(conn); err != nil {
			return err
		}
		if owner != (len(want.activation) > 0) {
			owner = !owner
			l.own(conn, owner)
		}
		l.ready()
		select {
		case <-more:
		case <-conn.Context().Done():
			return nil
		}
	}
}

// leave ends what was so while there was a connection.
func (l *link) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn, l.want = nil, &wanted{}
	for _, name := range slices.Sorted(maps.Keys(l.owned)) {
		l.hold(name, false)
	}
}

// list makes facts of the names there are. What signals tell meanwhile is newer.
func (l *link) list(conn *wire.Conn) error {
	l.mu.Lock()
	needless := len(l.want.names)+len(l.owned) == 0
	l.mu.Unlock()
	if needless {
		return nil
	}
	var names []string
	if err := conn.BusObject().Call(msgbus.Driver+".ListNames", 0).Store(&names); err != nil {
		return fmt.Errorf("cannot list the names of the bus: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.Sort(names)
	for _, name := range slices.Sorted(maps.Keys(l.owned)) {
		if _, there := slices.BinarySearch(names, name); !l.want.wantsName(name) || !there && !l.changed[name] {
			l.hold(name, false)
		}
	}
	for _, name := range names {
		if !l.changed[name] && l.want.wantsName(name) {
			l.hold(name, true)
		}
	}
	return nil
}

// hold makes the fact of a name true or false. The caller has the lock.
func (l *link) hold(name string, owned bool) {
	fact := eventsources.Fact{Name: nameFact, Env: l.named("NAME=" + name)}
	var err error
	switch {
	case owned && !l.owned[name]:
		l.owned[name] = true
		err = l.init.Assert(fact)
	case !owned && l.owned[name]:
		delete(l.owned, name)
		err = l.init.Retract(fact)
	}
	if err != nil {
		l.init.Logf("cannot tell of the name %s: %v", name, err)
	}
}

// named returns variables with that of the bus.
func (l *link) named(env ...string) []string {
	if l.bus.Name != "" {
		env = append(env, "BUS="+l.bus.Name)
	}
	return env
}

// signal takes a signal of the bus.
func (l *link) signal(m *wire.Message) {
	iface, member := msgbus.Text(m, wire.FieldInterface), msgbus.Text(m, wire.FieldMember)
	sender := msgbus.Text(m, wire.FieldSender)
	if sender == msgbus.Driver && iface == activatorInterface {
		l.request(member, m.Body)
		return
	}
	l.mu.Lock()
	want := l.want
	if sender == msgbus.Driver && member == "NameOwnerChanged" && len(m.Body) == 3 {
		if name, _ := m.Body[0].(string); want.wantsName(name) {
			l.changed[name] = true
			l.hold(name, m.Body[2] != "")
		}
	}
	l.mu.Unlock()
	if iface == control.InterfaceManager {
		return
	}
	env, whole := eventEnv(m, l.bus.Name)
	if !whole {
		l.once.Do(func() {
			l.init.Logf("%s of %s has arguments too large for an event, which are left out", member, iface)
		})
	}
	if !want.wantsSignal(env) {
		return
	}
	if err := l.init.Emit(l.ctx, eventsources.Event{Name: signalEvent, Env: env}); err != nil && l.ctx.Err() == nil {
		l.init.Logf("cannot tell of the signal %s: %v", member, err)
	}
}

// maxEnv is how many bytes the variables of an event may have: init takes no
// message of any size.
const maxEnv = 64 << 10

// eventEnv returns the variables of a signal (UPSTART §9.4); whole is false if
// some were left out for their size.
func eventEnv(m *wire.Message, bus string) (env []string, whole bool) {
	size, whole := 0, true
	add := func(key, value string) {
		if size += len(key) + len(value) + 2; size > maxEnv {
			size -= len(key) + len(value) + 2
			whole = false
			return
		}
		env = append(env, key+"="+value)
	}
	addIf := func(key, value string) {
		if value != "" {
			add(key, value)
		}
	}
	addIf("SIGNAL", msgbus.Text(m, wire.FieldMember))
	addIf("BUS", bus)
	addIf("INTERFACE", msgbus.Text(m, wire.FieldInterface))
	addIf("OBJPATH", msgbus.Text(m, wire.FieldPath))
	addIf("SENDER", msgbus.Text(m, wire.FieldSender))
	addIf("DESTINATION", msgbus.Text(m, wire.FieldDestination))
	for i, arg := range m.Body {
		if text, ok := argText(arg); ok {
			add("ARG"+strconv.Itoa(i), text)
		}
	}
	return env, whole
}

// argText returns an argument as text; ok is false if it is of no basic type.
func argText(arg any) (text string, ok bool) {
	switch v := arg.(type) {
	case bool:
		if v {
			return "TRUE", true
		}
		return "FALSE", true
	case byte, int16, uint16, int32, uint32, int64, uint64:
		return fmt.Sprint(v), true
	case float64:
		return strconv.FormatFloat(v, 'f', 6, 64), true
	case string:
		return v, true
	case wire.ObjectPath:
		return string(v), true
	}
	return "", false
}

func (l *link) wantsActivation(env []string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return matchesAny(l.want.activation, &expr.Subject{Name: activationEvent, Env: env})
}
