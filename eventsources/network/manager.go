package network

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"onset/eventsources/msgbus"
)

// Of NetworkManager's D-Bus API (its reference manual, "D-Bus API").
const (
	nmName   = "org.freedesktop.NetworkManager"
	nmPath   = "/org/freedesktop/NetworkManager"
	nmActive = nmName + ".Connection.Active"
	nmDevice = nmName + ".Device"
	nmWifi   = nmDevice + ".Wireless"
	nmAccess = nmName + ".AccessPoint"

	kindWifi  = "802-11-wireless"
	activated = 2 // NMActiveConnectionState
)

// states and connectivities are the words for NMState, in tens, and
// NMConnectivityState.
var (
	states = []string{"unknown", "asleep", "disconnected", "disconnecting", "connecting",
		"connected-local", "connected-site", "connected-global"}
	connectivities = []string{"unknown", "none", "portal", "limited", "full"}
)

func word(words []string, n uint32) string {
	if n < uint32(len(words)) {
		return words[n]
	}
	return words[0]
}

// manager is what NetworkManager says.
type manager struct {
	view    view
	primary bool              // it has a connection with a default route
	startup bool              // it has not yet tried all that it connects by itself
	wifi    map[string]string // SSID by interface
}

// full reports whether its connection reaches everything.
func (m *manager) full() bool {
	return m.primary && m.view.connectivity == "full" && strings.HasPrefix(m.view.state, "connected")
}

// undecided reports whether it is about to know more. A connection with the
// connectivity "none" is one that it has not looked at.
func (m *manager) undecided() bool {
	v := m.view
	return v.state == "connecting" || v.state == "disconnecting" || m.primary && (v.connectivity == "unknown" || v.connectivity == "none")
}

// answerTime is what NetworkManager has to answer all questions; after it, and
// where an answer fits no other, it is asked again. Less in tests.
var answerTime = 2 * time.Second

const (
	firstRetry = time.Second      // of a bus that is not there
	lastRetry  = 10 * time.Second // likewise
)

// watchManager tells what NetworkManager says, at first and after each
// change, nil while it does not run, until the context is done.
func watchManager(ctx context.Context, logf func(string, ...any), managers chan<- *manager) {
	tell := func(m *manager) {
		select {
		case managers <- m:
		case <-ctx.Done():
		}
	}
	b := &bus{changed: make(chan struct{}, 1), logf: logf, tell: tell}
	client := msgbus.Client{Address: msgbus.System, Signal: b.signal, Serve: b.serve}
	for delay := firstRetry; ctx.Err() == nil; delay = min(2*delay, lastRetry) {
		if client.Once(ctx) == msgbus.ErrGone {
			delay = firstRetry
		}
		tell(nil)
		sleep(ctx, delay)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// bus is what is done with the system bus.
type bus struct {
	conn    *dbus.Conn
	changed chan struct{} // capacity 1
	logf    func(string, ...any)
	tell    func(*manager)
	failed  bool // it was told
}

// interesting are the properties that are read.
var interesting = []string{"State", "Connectivity", "Startup", "PrimaryConnection", "ActiveConnections",
	"Id", "Type", "Devices", "ActiveAccessPoint"}

// signal takes a signal of the bus.
func (b *bus) signal(m *dbus.Message) {
	if msgbus.Text(m, dbus.FieldMember) == "PropertiesChanged" && len(m.Body) > 1 {
		props, _ := m.Body[1].(map[string]dbus.Variant)
		if !slices.ContainsFunc(interesting, func(key string) bool { _, ok := props[key]; return ok }) {
			return
		}
	}
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

// serve asks for NetworkManager's signals, and tells what it says until the
// connection ends.
func (b *bus) serve(conn *dbus.Conn) error {
	b.conn, b.failed = conn, false
	rules := map[string]string{msgbus.Rule("sender", msgbus.Driver, "member", "NameOwnerChanged", "arg0", nmName): ""}
	for _, iface := range []string{nmName, nmActive, nmWifi} {
		rules[msgbus.Rule("sender", nmName, "member", "PropertiesChanged", "arg0", iface)] = ""
	}
	for _, err := range msgbus.Rules(conn, nil, rules) {
		return err
	}
	for {
		var again <-chan time.Time
		m, err := b.read(conn.Context())
		switch {
		case err == nil:
			b.failed = false
			b.tell(m)
		case conn.Context().Err() != nil || msgbus.Broken(err):
			return nil
		default: // it may have changed meanwhile, or hang
			if !b.failed && !isGone(err) {
				b.failed = true
				b.logf("cannot ask NetworkManager, trying again: %v", err)
			}
			again = time.After(answerTime)
		}
		select {
		case <-b.changed:
		case <-again:
		case <-conn.Context().Done():
			return nil
		}
	}
}

// isGone reports whether an error is that an object, or NetworkManager, has
// gone meanwhile.
func isGone(err error) bool {
	e, ok := errors.AsType[dbus.Error](err)
	return ok && slices.Contains([]string{"UnknownMethod", "UnknownObject", "UnknownInterface", "NoReply"},
		strings.TrimPrefix(e.Name, "org.freedesktop.DBus.Error."))
}

// properties are those of an object; get returns the zero value for one that
// is not there, or of another type.
type properties map[string]dbus.Variant

func get[T any](p properties, key string) T {
	v, _ := p[key].Value().(T)
	return v
}

// ask reads the properties of an object; it starts no NetworkManager.
func (b *bus) ask(ctx context.Context, path dbus.ObjectPath, iface string) (p properties, err error) {
	call := b.conn.Object(nmName, path).CallWithContext(ctx, "org.freedesktop.DBus.Properties.GetAll", dbus.FlagNoAutoStart, iface)
	return p, call.Store(&p)
}

// read asks NetworkManager for all; nil is that it does not run.
func (b *bus) read(ctx context.Context) (*manager, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	p, err := b.ask(ctx, nmPath, nmName)
	if e, ok := errors.AsType[dbus.Error](err); ok && (e.Name == "org.freedesktop.DBus.Error.ServiceUnknown" ||
		e.Name == "org.freedesktop.DBus.Error.NameHasNoOwner") {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m := &manager{startup: get[bool](p, "Startup"), wifi: map[string]string{}}
	m.view.state = word(states, get[uint32](p, "State")/10)
	m.view.connectivity = word(connectivities, get[uint32](p, "Connectivity"))
	primary := get[dbus.ObjectPath](p, "PrimaryConnection")
	m.primary = primary != "" && primary != "/"
	for _, path := range get[[]dbus.ObjectPath](p, "ActiveConnections") {
		if err := b.readActive(ctx, m, path, path == primary); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// readActive asks for a connection.
func (b *bus) readActive(ctx context.Context, m *manager, path dbus.ObjectPath, primary bool) error {
	p, err := b.ask(ctx, path, nmActive)
	if err != nil {
		return err
	}
	kind := get[string](p, "Type")
	wifi := kind == kindWifi && get[uint32](p, "State") == activated
	if primary {
		m.view.connection, m.view.kind = printable(get[string](p, "Id")), printable(kind)
	}
	devices := get[[]dbus.ObjectPath](p, "Devices")
	if !primary && !wifi || len(devices) == 0 {
		return nil
	}
	d, err := b.ask(ctx, devices[0], nmDevice)
	if err != nil {
		return err
	}
	name := printable(get[string](d, "Interface"))
	if primary {
		m.view.device = name
	}
	if !wifi || name == "" {
		return nil
	}
	if m.wifi[name], err = b.ssid(ctx, devices[0]); err != nil {
		delete(m.wifi, name)
	}
	return err
}

// ssid returns the name of the network that a wireless device is on.
func (b *bus) ssid(ctx context.Context, device dbus.ObjectPath) (string, error) {
	p, err := b.ask(ctx, device, nmWifi)
	if err != nil {
		return "", err
	}
	access := get[dbus.ObjectPath](p, "ActiveAccessPoint")
	if !access.IsValid() || access == "/" {
		return "", nil
	}
	if p, err = b.ask(ctx, access, nmAccess); err != nil {
		return "", err
	}
	return printable(string(get[[]byte](p, "Ssid"))), nil
}
