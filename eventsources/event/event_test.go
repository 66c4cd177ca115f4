package event

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"onset/core/expr"
	"onset/eventsources"
	"onset/eventsources/sourcetest"
)

func on(operands ...string) (list []eventsources.Condition) {
	for _, text := range operands {
		f := strings.Fields(text)
		list = append(list, eventsources.Condition{Job: "job", Operand: expr.Node{Name: f[0], Args: f[1:]}})
	}
	return list
}

// world is a bus with an init of a system on it, and a source that runs.
type world struct {
	sourcetest.Recorder
	t      *testing.T
	bus    *sourcetest.Bus
	system *dbus.Conn
	lists  int
	last   string // an event that the source listens to last
}

func newWorld(t *testing.T, always bool, operands ...string) *world {
	w := &world{t: t, bus: sourcetest.NewBus(t)}
	w.join()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Source{Always: always, Address: w.bus.Address}.Run(ctx, w) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	w.listen(operands...)
	return w
}

// listen waits until the source listens for these. It adds the rules of a list
// one after the other, and those of the next when it is done with this.
func (w *world) listen(operands ...string) {
	w.t.Helper()
	for range 2 {
		w.lists++
		w.last = fmt.Sprintf("list%d", w.lists)
		w.SetConditions(on(append(operands, ":sys:"+w.last)...))
		for end := time.Now().Add(sourcetest.Patience); !slices.Contains(w.Take(), "emit :sys:"+w.last); time.Sleep(time.Millisecond) {
			if w.tell(w.system, w.last); time.Now().After(end) {
				w.t.Fatal("the source does not listen")
			}
		}
	}
}

// join puts the init on the bus.
func (w *world) join() {
	w.system = w.bus.Connect()
	if _, err := w.system.RequestName(busName, dbus.NameFlagDoNotQueue); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) tell(conn *dbus.Conn, name string, env ...string) {
	w.t.Helper()
	if env == nil {
		env = []string{}
	}
	if err := conn.Emit("/com/ubuntu/Upstart", "com.ubuntu.Upstart0_6.EventEmitted", name, env); err != nil {
		w.t.Fatal(err)
	}
}

// expect wants this to be told, and no more.
func (w *world) expect(want ...string) {
	w.t.Helper()
	w.tell(w.system, w.last, "end=yes")
	var got []string
	for end := time.Now().Add(sourcetest.Patience); !slices.Contains(got, "emit :sys:"+w.last+" end=yes"); time.Sleep(time.Millisecond) {
		if got = append(got, w.Take()...); time.Now().After(end) {
			w.t.Fatalf("waited in vain; told %q", got)
		}
	}
	got = slices.DeleteFunc(got, func(l string) bool { return strings.HasPrefix(l, "emit :sys:list") })
	if !slices.Equal(got, want) {
		w.t.Errorf("told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestEvents(t *testing.T) {
	w := newWorld(t, false, ":sys:started JOB=foo", ":sys:restarted", ":sys:other X=$Y")
	w.tell(w.system, "started", "JOB=foo", "INSTANCE=")
	w.tell(w.system, "started", "JOB=bar", "INSTANCE=")
	w.tell(w.system, "stopped", "JOB=foo")
	w.tell(w.system, "other", "X=1")
	w.expect("emit :sys:started JOB=foo INSTANCE=", "emit :sys:other X=1")

	if err := w.system.Emit("/com/ubuntu/Upstart", "com.ubuntu.Upstart0_6.Restarted"); err != nil {
		t.Fatal(err)
	}
	w.expect("emit :sys:restarted")

	w.listen(":sys:more")
	w.tell(w.system, "more")
	w.expect("emit :sys:more")
}

// TestAlways wants all events, but for those that came from here.
func TestAlways(t *testing.T) {
	w := newWorld(t, true)
	w.tell(w.system, "any", "A=1")
	w.tell(w.system, ":sys:loop")
	w.tell(w.system, "")
	w.expect("emit :sys:any A=1")
}

// TestOthersAreNotInit wants signals of others, to all or to the source alone,
// not to be taken for those of init.
func TestOthersAreNotInit(t *testing.T) {
	w := newWorld(t, false, ":sys:fake")
	other := w.bus.Connect()
	w.tell(other, "fake")
	var names []string
	if err := other.BusObject().Call("org.freedesktop.DBus.ListNames", 0).Store(&names); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, ":") {
			other.Send(&dbus.Message{Type: dbus.TypeSignal, Headers: map[dbus.HeaderField]dbus.Variant{
				dbus.FieldDestination: dbus.MakeVariant(name), dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath("/com/ubuntu/Upstart")),
				dbus.FieldInterface: dbus.MakeVariant("com.ubuntu.Upstart0_6"), dbus.FieldMember: dbus.MakeVariant("EventEmitted"),
				dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf("", []string{}))}, Body: []any{"fake", []string{}}}, nil)
		}
	}
	if err := other.BusObject().Call("org.freedesktop.DBus.GetId", 0).Err; err != nil { // the bus has passed on all
		t.Fatal(err)
	}
	w.expect()
}

// TestBusComesBack wants events to be told again after the bus was away.
func TestBusComesBack(t *testing.T) {
	w := newWorld(t, false, ":sys:x")
	w.bus.Stop()
	w.bus.Start()
	w.join()
	w.listen(":sys:x")
	w.tell(w.system, "x")
	w.expect("emit :sys:x")
}

func TestManyConditions(t *testing.T) {
	var many []string
	for i := range 10000 {
		many = append(many, fmt.Sprintf(":sys:e%d", i))
	}
	if rules := slices.Collect(maps.Keys(proxy{}.rules(on(many...)))); len(rules) != 2 || strings.Contains(strings.Join(rules, ""), "arg0") {
		t.Errorf("%d rules: %q", len(rules), rules)
	}
}
