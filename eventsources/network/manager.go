package network

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
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
	for delay := firstRetry; ctx.Err() == nil; delay = min(2*delay, lastRetry) {
		if b, err := connect(ctx, logf); err == nil {
			b.serve(ctx, tell)
			b.conn.Close()
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

// bus is a connection to the system bus.
type bus struct {
	conn    *dbus.Conn
	changed chan struct{} // capacity 1
	logf    func(string, ...any)
	failed  bool // it was told
}

// interesting are the properties that are read.
var interesting = []string{"State", "Connectivity", "Startup", "PrimaryConnection", "ActiveConnections",
	"Id", "Type", "Devices", "ActiveAccessPoint"}

// DeliverSignal implements dbus.SignalHandler.
func (b *bus) DeliverSignal(_, name string, s *dbus.Signal) {
	if name == "PropertiesChanged" && len(s.Body) > 1 {
		props, _ := s.Body[1].(map[string]dbus.Variant)
		if !slices.ContainsFunc(interesting, func(key string) bool { _, ok := props[key]; return ok }) {
			return
		}
	}
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

// connect connects to the system bus and asks for NetworkManager's signals.
func connect(ctx context.Context, logf func(string, ...any)) (*bus, error) {
	b := &bus{changed: make(chan struct{}, 1), logf: logf}
	conn, err := dbus.ConnectSystemBus(dbus.WithSignalHandler(b), dbus.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	b.conn = conn
	matches := [][]dbus.MatchOption{{
		dbus.WithMatchSender("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, nmName),
	}}
	for _, iface := range []string{nmName, nmActive, nmWifi} {
		matches = append(matches, []dbus.MatchOption{
			dbus.WithMatchSender(nmName), dbus.WithMatchMember("PropertiesChanged"), dbus.WithMatchArg(0, iface),
		})
	}
	for _, m := range matches {
		if err := conn.AddMatchSignalContext(ctx, m...); err != nil {
			conn.Close()
			return nil, err
		}
	}
	return b, nil
}

// serve tells until the connection or the context ends.
func (b *bus) serve(ctx context.Context, tell func(*manager)) {
	for {
		var again <-chan time.Time
		m, err := b.read(ctx)
		switch {
		case err == nil:
			b.failed = false
			tell(m)
		case b.conn.Context().Err() != nil:
			return
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
		case <-b.conn.Context().Done():
			return
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
