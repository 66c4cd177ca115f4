package network

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"onset/eventsources/sourcetest"
)

// standIn is an object of NetworkManager's API on a bus: what a test sets, and
// signals as NetworkManager gives them, one a property.
type standIn struct {
	t    *testing.T
	conn *dbus.Conn

	mu      sync.Mutex
	objects map[dbus.ObjectPath]map[string]properties
	silent  bool // no answer
}

const (
	connectionPath = dbus.ObjectPath(nmPath + "/ActiveConnection/1")
	devicePath     = dbus.ObjectPath(nmPath + "/Devices/1")
	accessPath     = dbus.ObjectPath(nmPath + "/AccessPoint/1")
)

func newStandIn(t *testing.T, bus *sourcetest.Bus) *standIn {
	t.Helper()
	s := &standIn{t: t, conn: bus.Connect(), objects: map[dbus.ObjectPath]map[string]properties{}}
	s.set(nmPath, nmName, "State", uint32(20))
	s.set(nmPath, nmName, "Connectivity", uint32(1))
	s.set(nmPath, nmName, "PrimaryConnection", dbus.ObjectPath("/"))
	s.set(nmPath, nmName, "ActiveConnections", []dbus.ObjectPath{})
	s.set(nmPath, nmName, "Startup", false)
	s.own()
	return s
}

func (s *standIn) own() {
	s.t.Helper()
	if _, err := s.conn.RequestName(nmName, 0); err != nil {
		s.t.Fatal(err)
	}
}

func (s *standIn) leave() {
	s.t.Helper()
	if _, err := s.conn.ReleaseName(nmName); err != nil {
		s.t.Fatal(err)
	}
}

// object answers for a path.
type object struct {
	*standIn
	path dbus.ObjectPath
}

// GetAll is of org.freedesktop.DBus.Properties.
func (o object) GetAll(iface string) (properties, *dbus.Error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.silent {
		o.mu.Unlock()
		<-o.t.Context().Done()
		o.mu.Lock()
	}
	p := properties{}
	for key, value := range o.objects[o.path][iface] {
		p[key] = value
	}
	return p, nil
}

// set changes a property and tells of it.
func (s *standIn) set(path dbus.ObjectPath, iface, key string, value any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.objects[path] == nil {
		s.objects[path] = map[string]properties{}
		s.conn.Export(object{s, path}, path, "org.freedesktop.DBus.Properties")
	}
	if s.objects[path][iface] == nil {
		s.objects[path][iface] = properties{}
	}
	s.objects[path][iface][key] = dbus.MakeVariant(value)
	s.conn.Emit(path, "org.freedesktop.DBus.Properties.PropertiesChanged", iface,
		map[string]dbus.Variant{key: dbus.MakeVariant(value)}, []string{})
}

// connect makes a connection, as to a wireless network.
func (s *standIn) connect(kind, ssid string) {
	s.set(accessPath, nmAccess, "Ssid", []byte(ssid))
	s.set(devicePath, nmDevice, "Interface", "wlan0")
	s.set(devicePath, nmWifi, "ActiveAccessPoint", accessPath)
	s.set(connectionPath, nmActive, "Id", "my "+ssid)
	s.set(connectionPath, nmActive, "Type", kind)
	s.set(connectionPath, nmActive, "State", uint32(activated))
	s.set(connectionPath, nmActive, "Devices", []dbus.ObjectPath{devicePath})
	s.set(nmPath, nmName, "ActiveConnections", []dbus.ObjectPath{connectionPath})
	s.set(nmPath, nmName, "PrimaryConnection", connectionPath)
	s.state(70, 4)
}

func (s *standIn) disconnect() {
	s.set(nmPath, nmName, "PrimaryConnection", dbus.ObjectPath("/"))
	s.set(nmPath, nmName, "ActiveConnections", []dbus.ObjectPath{})
	s.state(20, 1)
}

func (s *standIn) state(state, connectivity uint32) {
	s.set(nmPath, nmName, "State", state)
	s.set(nmPath, nmName, "Connectivity", connectivity)
}

// watching is a reader of the bus, and what it told.
type watching struct {
	t        *testing.T
	managers chan *manager
	log      *sourcetest.Recorder
}

func watchBus(t *testing.T, address string) *watching {
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
	w := &watching{t, make(chan *manager), &sourcetest.Recorder{}}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { watchManager(ctx, w.log.Logf, w.managers) })
	t.Cleanup(done.Wait)
	t.Cleanup(cancel)
	return w
}

// await waits for something to be told.
func (w *watching) await(what string, so func(*manager) bool) {
	w.t.Helper()
	var seen []manager
	end := time.After(sourcetest.Patience)
	for {
		select {
		case m := <-w.managers:
			if so(m) {
				return
			}
			if m != nil {
				seen = append(seen, *m)
			}
		case <-end:
			w.t.Fatalf("waited in vain for %s; seen %+v", what, seen)
		}
	}
}

func (w *watching) awaitView(want view) {
	w.t.Helper()
	w.await(strings.Join(want.env(), " "), func(m *manager) bool { return m != nil && m.view == want })
}

var wifiView = view{"connected-global", "full", "my home", kindWifi, "wlan0"}

func TestNetworkManagersWords(t *testing.T) {
	bus := sourcetest.NewBus(t)
	w := watchBus(t, bus.Address)
	w.await("no NetworkManager", func(m *manager) bool { return m == nil })
	s := newStandIn(t, bus)
	w.awaitView(view{state: "disconnected", connectivity: "none"})
	s.connect(kindWifi, "home")
	w.await("the wireless network", func(m *manager) bool {
		return m != nil && m.view == wifiView && m.primary && m.wifi["wlan0"] == "home"
	})
	s.set(accessPath+"x", nmAccess, "Ssid", []byte("caf\xe9\n"))
	s.set(devicePath, nmWifi, "ActiveAccessPoint", accessPath+"x")
	w.await("another access point", func(m *manager) bool { return m != nil && m.wifi["wlan0"] == `caf\xe9\x0a` })
	s.state(60, 2)
	w.await("a portal", func(m *manager) bool {
		return m != nil && m.view.state == "connected-site" && m.view.connectivity == "portal"
	})
	s.set(devicePath, nmWifi, "Bitrate", uint32(54)) // nobody asks for it
	s.disconnect()
	w.await("no connection", func(m *manager) bool {
		return m != nil && m.view == view{state: "disconnected", connectivity: "none"} && !m.primary && len(m.wifi) == 0
	})
	s.leave()
	w.await("the end of NetworkManager", func(m *manager) bool { return m == nil })
	s.own()
	w.awaitView(view{state: "disconnected", connectivity: "none"})
	bus.Stop()
	w.await("the end of the bus", func(m *manager) bool { return m == nil })
	bus.Start()
	again := newStandIn(t, bus)
	again.connect(kindWifi, "home")
	w.awaitView(wifiView)
	if lines := w.log.Take(); len(lines) > 0 {
		t.Errorf("logged %q", lines)
	}
}

// TestOddNetworkManager has properties of wrong types, objects that are not
// there, and answers that never come.
func TestOddNetworkManager(t *testing.T) {
	usual := answerTime
	answerTime = 300 * time.Millisecond
	t.Cleanup(func() { answerTime = usual }) // after the reader has ended
	bus := sourcetest.NewBus(t)
	s := newStandIn(t, bus)
	s.set(nmPath, nmName, "State", "connected")
	s.set(nmPath, nmName, "Connectivity", uint32(77))
	s.set(nmPath, nmName, "PrimaryConnection", uint32(1))
	s.set(nmPath, nmName, "ActiveConnections", "/")
	w := watchBus(t, bus.Address)
	w.awaitView(view{state: "unknown", connectivity: "unknown"})
	s.connect(kindWifi, "home")
	s.set(connectionPath, nmActive, "Id", []string{"a"})
	s.set(connectionPath, nmActive, "Devices", []string{"a"})
	w.awaitView(view{state: "connected-global", connectivity: "full", kind: kindWifi})
	s.set(connectionPath, nmActive, "Devices", []dbus.ObjectPath{devicePath})
	s.set(devicePath, nmDevice, "Interface", int64(1))
	s.set(accessPath, nmAccess, "Ssid", "a")
	s.set(devicePath, nmWifi, "ActiveAccessPoint", dbus.ObjectPath("/"))
	s.state(10, 3)
	w.awaitView(view{state: "asleep", connectivity: "limited", kind: kindWifi})
	s.set(nmPath, nmName, "ActiveConnections", []dbus.ObjectPath{"/nonesuch"})
	s.set(nmPath, nmName, "PrimaryConnection", dbus.ObjectPath("/nonesuch"))
	s.set(nmPath, nmName, "ActiveConnections", []dbus.ObjectPath{})
	w.awaitView(view{state: "asleep", connectivity: "limited"})

	silent := func(so bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.silent = so
	}
	w.log.Take()
	said := false
	for end := time.Now().Add(sourcetest.Patience); !said; {
		if time.Now().After(end) {
			t.Fatal("nothing was said of no answer")
		}
		silent(true)
		s.state(20, 1)
		for late := time.Now().Add(4 * answerTime); !said && time.Now().Before(late); time.Sleep(5 * time.Millisecond) {
			said = slices.ContainsFunc(w.log.Take(), func(line string) bool { return strings.Contains(line, "cannot ask NetworkManager") })
		}
		silent(false)
		s.state(20, 2)
		w.awaitView(view{state: "disconnected", connectivity: "portal"}) // after which it would be said anew
	}
}

func TestInterestingProperties(t *testing.T) {
	b := &bus{changed: make(chan struct{}, 1)}
	tell := func(name string, body ...any) bool {
		b.signal(&dbus.Message{Headers: map[dbus.HeaderField]dbus.Variant{dbus.FieldMember: dbus.MakeVariant(name)}, Body: body})
		select {
		case <-b.changed:
			return true
		default:
			return false
		}
	}
	props := func(keys ...string) map[string]dbus.Variant {
		m := map[string]dbus.Variant{}
		for _, key := range keys {
			m[key] = dbus.MakeVariant(1)
		}
		return m
	}
	got := []bool{tell("PropertiesChanged", nmName, props("State")), tell("PropertiesChanged", nmWifi, props("Bitrate")),
		tell("PropertiesChanged", nmWifi, props("Bitrate", "ActiveAccessPoint")), tell("PropertiesChanged", nmName, "what"),
		tell("PropertiesChanged"), tell("NameOwnerChanged", nmName, "", ":1.1")}
	if want := []bool{true, false, true, false, true, true}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
