package dbus

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	wire "github.com/godbus/dbus/v5"

	"onset/core/expr"
	"onset/eventsources"
	"onset/eventsources/sourcetest"
)

// on returns conditions; dbus-name is one of while.
func on(operands ...string) (list []eventsources.Condition) {
	for _, text := range operands {
		f := strings.Fields(text)
		list = append(list, eventsources.Condition{Job: "job", Fact: f[0] == nameFact, Operand: expr.Node{Name: f[0], Args: f[1:]}})
	}
	return list
}

// world is a source that runs.
type world struct {
	sourcetest.Recorder
	t     *testing.T
	lines []string
	done  chan error
}

// run starts a source, which ends with the test.
func run(t *testing.T, s Source, operands ...string) *world {
	w := &world{t: t, done: make(chan error, 1)}
	w.SetConditions(on(operands...))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		w.done <- s.Run(ctx, w)
		close(ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return w
}

// await waits until lines were told in this order, and returns what was told.
func (w *world) await(want ...string) (told []string) {
	w.t.Helper()
	for end := time.Now().Add(sourcetest.Patience); ; time.Sleep(time.Millisecond) {
		w.lines = append(w.lines, w.Take()...)
		rest := want
		for _, l := range w.lines {
			if len(rest) > 0 && l == rest[0] {
				rest = rest[1:]
			}
		}
		if len(rest) == 0 {
			told, w.lines = w.lines, nil
			return told
		}
		if time.Now().After(end) {
			w.t.Fatalf("waited in vain for\n%s\ntold:\n%s", strings.Join(rest, "\n"), strings.Join(w.lines, "\n"))
		}
	}
}

// hear waits until a signal of an interface is told.
func (w *world) hear(conn *wire.Conn, iface string) {
	w.t.Helper()
	for end := time.Now().Add(sourcetest.Patience); ; time.Sleep(time.Millisecond) {
		if err := conn.Emit("/", iface+".Ready"); err != nil {
			w.t.Fatal(err)
		}
		if lines := w.Take(); slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "INTERFACE="+iface+" ") }) {
			return
		}
		if time.Now().After(end) {
			w.t.Fatalf("the source does not listen to %s", iface)
		}
	}
}

// ready waits until a source listens. It adds the rules of a list one after the
// other, and those of the next when it is done with this.
func (w *world) ready(conn *wire.Conn, busName string) {
	w.t.Helper()
	w.hear(conn, "test.Ready")
	list, _ := w.Conditions()
	next := fmt.Sprintf("test.Next%d", len(list))
	w.SetConditions(append(list, on("dbus INTERFACE="+next)...))
	w.hear(conn, next)
	if err := conn.Emit("/", "test.Ready.Ready", "last"); err != nil {
		w.t.Fatal(err)
	}
	if busName != "" {
		busName = "BUS=" + busName + " "
	}
	w.await(fmt.Sprintf("emit dbus SIGNAL=Ready %sINTERFACE=test.Ready OBJPATH=/ SENDER=%s ARG0=last", busName, conn.Names()[0]))
}

const readyOperand = "dbus INTERFACE=test.Ready"

func TestSignals(t *testing.T) {
	bus := sourcetest.NewBus(t)
	conn := bus.Connect()
	me := conn.Names()[0]
	for name, c := range map[string]struct {
		always   bool
		busName  string
		operands []string
		emit     string // interface.member
		args     []any
		want     string // of the event, after dbus; empty: none
	}{
		"all arguments": {operands: []string{"dbus SIGNAL=Sig"}, emit: "a.b.Sig",
			args: []any{true, false, byte(1), int16(-2), uint16(2), int32(-3), uint32(3), int64(-4), uint64(4), 1.5, "te xt", wire.ObjectPath("/o/p"), []string{"no"}, wire.MakeVariant("no"), ""},
			want: "SIGNAL=Sig INTERFACE=a.b OBJPATH=/o SENDER=" + me + " ARG0=TRUE ARG1=FALSE ARG2=1 ARG3=-2 ARG4=2 ARG5=-3 ARG6=3 ARG7=-4 ARG8=4 ARG9=1.500000 ARG10=te xt ARG11=/o/p ARG14="},
		"bus name":              {busName: "system", operands: []string{"dbus SIGNAL=Sig"}, emit: "a.b.Sig", want: "SIGNAL=Sig BUS=system INTERFACE=a.b OBJPATH=/o SENDER=" + me},
		"another bus":           {busName: "system", operands: []string{"dbus SIGNAL=Sig BUS=session"}, emit: "a.b.Sig"},
		"this bus":              {busName: "system", operands: []string{"dbus SIGNAL=Sig BUS=sys*"}, emit: "a.b.Sig", want: "SIGNAL=Sig BUS=system INTERFACE=a.b OBJPATH=/o SENDER=" + me},
		"another signal":        {operands: []string{"dbus SIGNAL=Sig"}, emit: "a.b.Other"},
		"by interface":          {operands: []string{"dbus INTERFACE=a.b"}, emit: "a.b.Sig", want: "SIGNAL=Sig INTERFACE=a.b OBJPATH=/o SENDER=" + me},
		"by path":               {operands: []string{"dbus OBJPATH=/o"}, emit: "a.b.Sig", want: "SIGNAL=Sig INTERFACE=a.b OBJPATH=/o SENDER=" + me},
		"by pattern":            {operands: []string{"dbus INTERFACE=a.*"}, emit: "a.b.Sig", want: "SIGNAL=Sig INTERFACE=a.b OBJPATH=/o SENDER=" + me},
		"by position":           {operands: []string{"dbus Sig"}, emit: "a.b.Sig", want: "SIGNAL=Sig INTERFACE=a.b OBJPATH=/o SENDER=" + me},
		"by argument":           {operands: []string{"dbus SIGNAL=Sig ARG0=x"}, emit: "a.b.Sig", args: []any{"x"}, want: "SIGNAL=Sig INTERFACE=a.b OBJPATH=/o SENDER=" + me + " ARG0=x"},
		"by another argument":   {operands: []string{"dbus SIGNAL=Sig ARG0=x"}, emit: "a.b.Sig", args: []any{"y"}},
		"all but one":           {operands: []string{"dbus SIGNAL!=Sig"}, emit: "a.b.Sig"},
		"by a variable":         {operands: []string{"dbus SIGNAL=Sig ARG0=$X"}, emit: "a.b.Sig", args: []any{"y"}, want: "SIGNAL=Sig INTERFACE=a.b OBJPATH=/o SENDER=" + me + " ARG0=y"},
		"nobody asks":           {emit: "a.b.Sig"},
		"nobody asks, always":   {always: true, emit: "a.b.Sig", want: "SIGNAL=Sig INTERFACE=a.b OBJPATH=/o SENDER=" + me},
		"init's own":            {operands: []string{"dbus"}, emit: "com.ubuntu.Upstart0_6.Sig"},
		"an argument too large": {operands: []string{"dbus SIGNAL=Sig"}, emit: "a.b.Sig", args: []any{strings.Repeat("x", maxEnv), "y"}, want: "SIGNAL=Sig INTERFACE=a.b OBJPATH=/o SENDER=" + me + " ARG1=y"},
	} {
		t.Run(name, func(t *testing.T) {
			w := run(t, Source{Always: c.always, Buses: []Bus{{Name: c.busName, Address: bus.Address}}}, append(c.operands, readyOperand)...)
			w.ready(conn, c.busName)
			if err := conn.Emit("/o", c.emit, c.args...); err != nil {
				t.Fatal(err)
			}
			if err := conn.Emit("/", "test.Ready.Ready", "end"); err != nil {
				t.Fatal(err)
			}
			named := ""
			if c.busName != "" {
				named = "BUS=" + c.busName + " "
			}
			end := "emit dbus SIGNAL=Ready " + named + "INTERFACE=test.Ready OBJPATH=/ SENDER=" + me + " ARG0=end"
			var events []string
			for _, l := range w.await(end) {
				if strings.HasPrefix(l, "emit dbus ") && l != end && !strings.Contains(l, "NameAcquired") && !strings.Contains(l, "NameOwnerChanged") {
					events = append(events, strings.TrimPrefix(l, "emit dbus "))
				}
			}
			if got := strings.Join(events, "\n"); got != c.want {
				t.Errorf("told\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// TestDestination wants a signal to one connection alone to say so.
func TestDestination(t *testing.T) {
	bus := sourcetest.NewBus(t)
	conn := bus.Connect()
	w := run(t, Source{Buses: []Bus{{Address: bus.Address}}}, readyOperand, "dbus SIGNAL=NameAcquired", activationEvent)
	lines := w.await("emit dbus SIGNAL=NameAcquired INTERFACE=org.freedesktop.DBus OBJPATH=/org/freedesktop/DBus SENDER=org.freedesktop.DBus" +
		" DESTINATION=" + owner(t, conn, activatorName) + " ARG0=" + activatorName)
	if len(lines) == 0 {
		t.Error("nothing told")
	}
}

// owner waits until a name has an owner, which it returns.
func owner(t *testing.T, conn *wire.Conn, name string) (unique string) {
	t.Helper()
	for end := time.Now().Add(sourcetest.Patience); ; time.Sleep(time.Millisecond) {
		if conn.BusObject().Call("org.freedesktop.DBus.GetNameOwner", 0, name).Store(&unique) == nil {
			return unique
		}
		if time.Now().After(end) {
			t.Fatalf("nobody is %s", name)
		}
	}
}

func TestNames(t *testing.T) {
	bus := sourcetest.NewBus(t)
	conn := bus.Connect()
	own := func(name string) {
		t.Helper()
		if reply, err := conn.RequestName(name, wire.NameFlagDoNotQueue); err != nil || reply != wire.RequestNameReplyPrimaryOwner {
			t.Fatal(reply, err)
		}
	}
	release := func(name string) {
		t.Helper()
		if _, err := conn.ReleaseName(name); err != nil {
			t.Fatal(err)
		}
	}
	own("test.there")
	own("test.other")
	w := run(t, Source{Buses: []Bus{{Name: "b", Address: bus.Address}}}, readyOperand, "dbus-name NAME=test.there", "dbus-name NAME=test.glob.*")
	w.await("fact dbus-name NAME=test.there BUS=b")
	own("test.glob.x")
	w.await("fact dbus-name NAME=test.glob.x BUS=b")
	own("test.another")
	release("test.there")
	w.await("no fact dbus-name NAME=test.there BUS=b")
	own("test.there")
	w.await("fact dbus-name NAME=test.there BUS=b")

	w.SetConditions(on(readyOperand, "dbus-name NAME=test.other", "dbus-name NAME=test.glob.*"))
	w.await("no fact dbus-name NAME=test.there BUS=b", "fact dbus-name NAME=test.other BUS=b")
	release("test.glob.x")
	w.await("no fact dbus-name NAME=test.glob.x BUS=b")

	w.SetConditions(on(readyOperand, "dbus-name"))
	w.await("fact dbus-name NAME=test.another BUS=b")
	for _, f := range w.Facts() {
		if strings.Contains(f, "NAME=:") {
			t.Errorf("a fact of a connection: %s", f)
		}
	}

	bus.Stop()
	w.await("no fact dbus-name NAME=test.other BUS=b", "log the message bus closed the connection; trying again")
	if facts := w.Facts(); len(facts) > 0 {
		t.Errorf("without a bus: %q", facts)
	}
	bus.Start()
	conn = bus.Connect()
	own("test.other")
	w.await("fact dbus-name NAME=test.other BUS=b")
}

// TestOwnerPasses wants a fact to hold on when a name passes to another program.
func TestOwnerPasses(t *testing.T) {
	bus := sourcetest.NewBus(t)
	first, second := bus.Connect(), bus.Connect()
	for _, conn := range []*wire.Conn{first, second} {
		if _, err := conn.RequestName("test.passes", 0); err != nil { // the second waits
			t.Fatal(err)
		}
	}
	w := run(t, Source{Buses: []Bus{{Address: bus.Address}}}, readyOperand, "dbus-name NAME=test.passes")
	w.await("fact dbus-name NAME=test.passes")
	w.ready(second, "")
	first.Close()
	for owner(t, second, "test.passes") != second.Names()[0] {
	}
	if err := second.Emit("/", "test.Ready.Ready", "end"); err != nil {
		t.Fatal(err)
	}
	end := "emit dbus SIGNAL=Ready INTERFACE=test.Ready OBJPATH=/ SENDER=" + second.Names()[0] + " ARG0=end"
	if lines := w.await(end); len(lines) != 1 {
		t.Errorf("told %q", lines)
	}
}

// TestTwoBuses wants each bus to be told of by its name.
func TestTwoBuses(t *testing.T) {
	one, two := sourcetest.NewBus(t), sourcetest.NewBus(t)
	w := run(t, Source{Buses: []Bus{{Name: "one", Address: one.Address}, {Name: "two", Address: two.Address}}}, readyOperand)
	w.ready(one.Connect(), "one")
	w.ready(two.Connect(), "two")
}

// TestOnce wants a bridge to end with its bus, and not to be run again.
func TestOnce(t *testing.T) {
	bus := sourcetest.NewBus(t)
	w := run(t, Source{Once: true, Buses: []Bus{{Address: bus.Address}}}, readyOperand)
	w.ready(bus.Connect(), "")
	bus.Stop()
	select {
	case err := <-w.done:
		if err == nil || err.Error() != "Disconnected from D-Bus" || !errors.Is(err, eventsources.ErrUnsupported) {
			t.Errorf("%v", err)
		}
	case <-time.After(sourcetest.Patience):
		t.Fatal("it does not end")
	}
}

// TestBusComesLater wants a bus to be found that was not there.
func TestBusComesLater(t *testing.T) {
	bus := sourcetest.NewBus(t)
	bus.Stop()
	w := run(t, Source{Buses: []Bus{{Address: bus.Address}}}, readyOperand)
	for !slices.ContainsFunc(w.Take(), func(l string) bool { return strings.HasSuffix(l, "; trying again") }) {
		time.Sleep(time.Millisecond)
	}
	bus.Start()
	w.ready(bus.Connect(), "")
}

func TestRules(t *testing.T) {
	owners := "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged'"
	for _, c := range []struct {
		operands []string
		always   bool
		want     []string
	}{
		{nil, false, nil},
		{nil, true, []string{"type='signal'"}},
		{[]string{"dbus SIGNAL=S INTERFACE=a.b"}, false, []string{"type='signal',member='S',interface='a.b'"}},
		{[]string{"dbus SIGNAL=S OBJPATH=/x ARG0=1", "dbus SIGNAL=T*"}, false, []string{"type='signal'"}},
		{[]string{"dbus SIGNAL=S", "dbus S", "dbus SIGNAL!=S INTERFACE=a.b"}, false, []string{"type='signal',interface='a.b'", "type='signal',member='S'"}},
		{[]string{"dbus SIGNAL=it's"}, false, []string{`type='signal',member='it'\''s'`}},
		{[]string{"dbus SIGNAL=S BUS=x"}, false, nil},
		{[]string{"dbus-name NAME=a.b"}, false, []string{owners + ",arg0='a.b'"}},
		{[]string{"dbus-name NAME=a.b.*", "dbus-name NAME=a.b.c*"}, false, []string{owners + ",arg0namespace='a.b'"}},
		{[]string{"dbus-name NAME=a*", "dbus-name NAME=a.b"}, false, []string{owners}},
		{[]string{"dbus-activation NAME=a"}, false, nil},
	} {
		got := slices.Sorted(maps.Keys(newWanted(on(c.operands...), "", c.always).rules))
		if !slices.Equal(got, c.want) {
			t.Errorf("%q: rules %q, want %q", c.operands, got, c.want)
		}
	}
	var many []string
	for i := range 10000 {
		many = append(many, fmt.Sprintf("dbus SIGNAL=S%d", i))
	}
	w := newWanted(on(many...), "", false)
	if got := slices.Collect(maps.Keys(w.rules)); !slices.Equal(got, []string{"type='signal'"}) {
		t.Errorf("of 10,000 conditions: %d rules", len(got))
	}
	if !w.wantsSignal([]string{"SIGNAL=S9999"}) || w.wantsSignal([]string{"SIGNAL=S10000"}) {
		t.Error("of 10,000 conditions one is not found, or one too many")
	}
}

// FuzzSignal has any bytes as a message.
func FuzzSignal(f *testing.F) {
	m := &wire.Message{Type: wire.TypeSignal, Headers: map[wire.HeaderField]wire.Variant{
		wire.FieldPath: wire.MakeVariant(wire.ObjectPath("/o")), wire.FieldInterface: wire.MakeVariant("a.b"), wire.FieldMember: wire.MakeVariant("S"),
		wire.FieldSignature: wire.MakeVariant(wire.SignatureOf("", true, []string{}))}, Body: []any{"x", true, []string{"y"}}}
	var b bytes.Buffer
	if err := m.EncodeTo(&b, binary.LittleEndian); err != nil {
		f.Fatal(err)
	}
	binary.LittleEndian.PutUint32(b.Bytes()[8:], 1)
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := wire.DecodeMessage(bytes.NewReader(raw))
		if err != nil {
			return
		}
		env, _ := eventEnv(m, "b")
		size := 0
		for _, v := range env {
			key, _, ok := strings.Cut(v, "=")
			if !ok || key == "" {
				t.Errorf("variable %q", v)
			}
			size += len(v) + 1
		}
		if size > maxEnv {
			t.Errorf("%d bytes", size)
		}
	})
}
