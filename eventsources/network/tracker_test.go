package network

import (
	"slices"
	"strings"
	"testing"
	"time"

	"onset/core/expr"
	"onset/eventsources"
	"onset/eventsources/sourcetest"
)

// rig is a tracker and what it told. Its patience is longer than a test; pass
// ends it.
type rig struct {
	*tracker
	t    *testing.T
	init *sourcetest.Recorder
}

func newRig(t *testing.T) *rig {
	init := &sourcetest.Recorder{}
	return &rig{newTracker(init, time.Hour), t, init}
}

func (r *rig) begin(want ...string) {
	r.t.Helper()
	r.check(r.tracker.begin(r.t.Context()), want)
}

func (r *rig) kernel(c change, want ...string) {
	r.t.Helper()
	r.apply(c)
	r.check(r.tell(r.t.Context()), want)
}

func (r *rig) manager(m *manager, want ...string) {
	r.t.Helper()
	r.setManager(m)
	r.check(r.tell(r.t.Context()), want)
}

// pass ends the wait, which there has to be.
func (r *rig) pass(want ...string) {
	r.t.Helper()
	if r.timer() == nil {
		r.t.Error("nothing is waited for")
	}
	r.late = true
	r.check(r.tell(r.t.Context()), want)
}

func (r *rig) check(err error, want []string) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
	if got := r.init.Take(); !slices.Equal(got, want) {
		r.t.Errorf("told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

var (
	lo   = linkChange{link: link{index: 1, name: "lo", up: true, loopback: true, state: "unknown"}}
	eth  = linkChange{link: link{index: 2, name: "eth0", up: true, state: "up", address: "02:00:00:00:00:02"}}
	wlan = linkChange{link: link{index: 3, name: "wlan0", up: true, state: "up", address: "02:00:00:00:00:03"}}
)

func down(l linkChange) linkChange {
	l.up, l.state = false, "down"
	return l
}

func gone(l linkChange) linkChange { return linkChange{link{index: l.index}, true} }

// by is a way out by IPv4 through each of these links, the first is the best.
func by(links ...linkChange) *reach {
	r := &reach{}
	for i, l := range links {
		r.addresses = append(r.addresses, address{index: l.index})
		r.ways = append(r.ways, way{index: l.index, metric: uint32(100 * i)})
	}
	return r
}

func all(r *reach, links ...linkChange) change { return change{links: links, all: true, reach: r} }
func some(links ...linkChange) change          { return change{links: links} }

const (
	ethFact  = "fact net-device-up IFACE=eth0 INTERFACE=eth0"
	ethUp    = "emit net-device-up IFACE=eth0 INTERFACE=eth0 OPERSTATE=up ADDRESS=02:00:00:00:00:02"
	ethDown  = "emit net-device-down IFACE=eth0 INTERFACE=eth0 OPERSTATE=down ADDRESS=02:00:00:00:00:02"
	ethGone  = "emit net-device-down IFACE=eth0 INTERFACE=eth0 OPERSTATE=notpresent ADDRESS=02:00:00:00:00:02"
	loFact   = "fact net-device-up IFACE=lo INTERFACE=lo"
	loUp     = "emit net-device-up IFACE=lo INTERFACE=lo OPERSTATE=unknown"
	nothing  = "emit network-state-changed STATE=disconnected CONNECTIVITY=none"
	byKernel = "emit network-state-changed STATE=connected-global CONNECTIVITY=full DEVICE=eth0"
)

func TestStart(t *testing.T) {
	r := newRig(t)
	r.apply(all(by(eth), lo, eth, down(wlan)))
	r.begin(loFact, ethFact, "fact network-online", loUp, ethUp, byKernel)
	r.kernel(all(by(eth), lo, eth, down(wlan))) // the same again
}

func TestLinks(t *testing.T) {
	r := newRig(t)
	r.apply(all(by(), lo, down(eth)))
	r.begin(loFact, loUp, nothing)
	r.kernel(some(eth), ethFact, ethUp)
	r.kernel(some(eth))
	r.kernel(some(down(eth), eth, down(eth)), "no "+ethFact, ethDown, ethFact, ethUp, "no "+ethFact, ethDown)
	r.kernel(some(eth), ethFact, ethUp)
	bare := eth // as messages of wireless devices are
	bare.state, bare.address = "", ""
	r.kernel(some(bare))
	r.kernel(some(gone(eth)), "no "+ethFact, ethGone)
	r.kernel(some(gone(eth)))
	r.kernel(some(down(wlan)))
	r.kernel(some(gone(wlan)))
}

func TestRenamedLink(t *testing.T) {
	r := newRig(t)
	r.apply(all(by(), eth))
	r.begin(ethFact, ethUp, nothing)
	renamed := eth
	renamed.name = "lan"
	r.kernel(some(renamed), "no "+ethFact, strings.Replace(ethDown, "=down", "=up", 1),
		"fact net-device-up IFACE=lan INTERFACE=lan", strings.ReplaceAll(ethUp, "eth0", "lan"))
}

// TestMissedMessages tells the differences to a list.
func TestMissedMessages(t *testing.T) {
	r := newRig(t)
	r.apply(all(by(), lo, eth, down(wlan)))
	r.begin(loFact, ethFact, loUp, ethUp, nothing)
	r.kernel(all(by(), lo, wlan), "no "+ethFact, ethGone, "fact net-device-up IFACE=wlan0 INTERFACE=wlan0",
		"emit net-device-up IFACE=wlan0 INTERFACE=wlan0 OPERSTATE=up ADDRESS=02:00:00:00:00:03")
}

func TestWayOut(t *testing.T) {
	v4, v6 := address{index: 2}, address{index: 2, v6: true}
	for _, c := range []struct {
		name  string
		links []linkChange
		reach reach
		want  string
	}{
		{"both", []linkChange{lo, eth}, reach{[]address{v4}, []way{{index: 2}}}, byKernel},
		{"IPv6", []linkChange{lo, eth}, reach{[]address{v6}, []way{{index: 2, v6: true}}}, byKernel},
		{"families differ", []linkChange{lo, eth}, reach{[]address{v6}, []way{{index: 2}}},
			"emit network-state-changed STATE=connected-local CONNECTIVITY=limited"},
		{"no route", []linkChange{lo, eth}, reach{[]address{v4}, nil},
			"emit network-state-changed STATE=connected-local CONNECTIVITY=limited"},
		{"no address", []linkChange{lo, eth}, reach{nil, []way{{index: 2}}}, nothing},
		{"link down", []linkChange{lo, down(eth)}, reach{[]address{v4}, []way{{index: 2}}}, nothing},
		{"no link", []linkChange{lo}, reach{[]address{v4}, []way{{index: 2}}}, nothing},
		{"loopback", []linkChange{lo}, reach{[]address{{index: 1}}, []way{{index: 1}}}, nothing},
		{"address of another link", []linkChange{lo, eth, wlan}, reach{[]address{{index: 3}}, []way{{index: 2}}}, byKernel},
		{"the best", []linkChange{lo, eth, wlan},
			reach{[]address{v4, v6}, []way{{3, true, 0}, {3, false, 600}, {2, false, 100}, {2, true, 0}}}, byKernel},
		{"the best that is up", []linkChange{lo, eth, down(wlan)},
			reach{[]address{v4}, []way{{3, false, 1}, {2, false, 100}}}, byKernel},
	} {
		r := newRig(t)
		r.apply(all(&c.reach, c.links...))
		if err := r.tracker.begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		lines := r.init.Take()
		if got := lines[len(lines)-1]; got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if online := slices.Contains(r.init.Facts(), "network-online"); online != (c.want == byKernel) {
			t.Errorf("%s: online %v", c.name, online)
		}
	}
}

func TestOnlineByTheKernel(t *testing.T) {
	r := newRig(t)
	r.apply(all(by(), eth, wlan))
	r.tracker.begin(t.Context())
	r.init.Take()
	r.kernel(change{reach: by(eth)}, "fact network-online", byKernel)
	r.kernel(change{reach: by(wlan, eth)}, strings.Replace(byKernel, "eth0", "wlan0", 1))
	r.kernel(change{reach: by(eth, wlan)}, byKernel)
	r.kernel(change{reach: by()}, "no fact network-online", nothing)
	r.kernel(change{reach: by(eth)}, "fact network-online", byKernel)
	r.kernel(some(down(eth)), "no "+ethFact, ethDown, "no fact network-online", nothing)
}

// says is what NetworkManager says with its primary connection on eth0, or
// without any where the words of its state say so.
func says(state, connectivity string) *manager {
	m := &manager{view: view{state: state, connectivity: connectivity}}
	if state == "connected-global" || state == "connected-site" {
		m.primary = true
		m.view.connection, m.view.kind, m.view.device = "home", "802-3-ethernet", "eth0"
	}
	return m
}

const (
	managed      = "emit network-state-changed STATE=connected-global CONNECTIVITY=full CONNECTION=home TYPE=802-3-ethernet DEVICE=eth0"
	portal       = "emit network-state-changed STATE=connected-site CONNECTIVITY=portal CONNECTION=home TYPE=802-3-ethernet DEVICE=eth0"
	connecting   = "emit network-state-changed STATE=connecting CONNECTIVITY=none"
	disconnected = "emit network-state-changed STATE=disconnected CONNECTIVITY=none"
)

// managedRig has begun on a machine that NetworkManager manages.
func managedRig(t *testing.T, kernel *reach, m *manager) *rig {
	t.Helper()
	r := newRig(t)
	r.apply(all(kernel, eth))
	r.setManager(m)
	if err := r.tracker.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.init.Take()
	return r
}

func TestOnlineByNetworkManager(t *testing.T) {
	r := managedRig(t, by(), says("disconnected", "none"))
	r.manager(says("connecting", "none"), connecting)
	r.kernel(change{reach: by(eth)}) // not before it was looked at
	r.manager(says("connected-site", "portal"), portal)
	r.manager(says("connected-global", "full"), "fact network-online", managed)
	r.manager(says("connected-site", "portal"), "no fact network-online", portal)
	r.manager(says("connected-global", "full"), "fact network-online", managed)
	roaming := says("connected-global", "full")
	roaming.view.connection = "office"
	r.manager(roaming, strings.Replace(managed, "home", "office", 1))
	r.manager(says("disconnected", "none"), disconnected) // another's way out, for all it knows
	r.kernel(change{reach: by()}, "no fact network-online")
}

// TestAnothersWayOut is of a connection that NetworkManager has not made.
func TestAnothersWayOut(t *testing.T) {
	r := managedRig(t, by(), says("disconnected", "none"))
	r.kernel(change{reach: by(eth)})
	r.pass("fact network-online")
	r.manager(says("connecting", "none"), connecting) // something else
	r.manager(says("disconnected", "none"), disconnected)
	r.kernel(change{reach: by()}, "no fact network-online")
	r.kernel(change{reach: by(eth)})
	r.kernel(change{reach: by()})
	if r.timer() != nil {
		t.Error("nothing was to be waited for")
	}
}

// TestDisconnected is of NetworkManager that says so before the kernel does.
func TestDisconnected(t *testing.T) {
	r := managedRig(t, by(eth), says("connected-global", "full"))
	local := says("connected-global", "limited")
	local.view.state = "connected-local"
	r.manager(local, "no fact network-online",
		"emit network-state-changed STATE=connected-local CONNECTIVITY=limited CONNECTION=home TYPE=802-3-ethernet DEVICE=eth0")
	r.manager(says("connected-local", "limited"), "emit network-state-changed STATE=connected-local CONNECTIVITY=limited")
	r.kernel(change{reach: by()})
}

func TestRestartedNetworkManager(t *testing.T) {
	r := managedRig(t, by(eth), says("connected-global", "full"))
	starting := says("disconnected", "unknown")
	starting.startup = true
	limited := says("connected-site", "limited")
	limited.startup = true
	early := says("connected-global", "full")
	early.startup, early.view.state = true, "disconnected"
	unseen := says("connected-global", "none")
	r.manager(nil)
	r.manager(starting)
	r.manager(early)
	r.manager(limited)
	r.manager(unseen, strings.Replace(managed, "=full", "=none", 1))
	r.manager(says("connected-global", "full"), managed)
	if r.timer() != nil {
		t.Error("it still waits")
	}
	r.manager(nil)
	r.kernel(change{reach: by()}, "no fact network-online")
	r.kernel(change{reach: by(eth)})
	r.pass("fact network-online", byKernel)
}

func TestNetworkManagerThatGoes(t *testing.T) {
	r := managedRig(t, by(eth), says("connected-site", "portal"))
	r.manager(nil)
	r.pass("fact network-online", byKernel)
	starting := says("connecting", "none")
	starting.startup = true
	r.manager(starting)
	r.pass(connecting)
	r.manager(says("connected-site", "portal"), "no fact network-online", portal)
}

func TestWifi(t *testing.T) {
	on := func(ssid string) *manager {
		m := says("connected-global", "full")
		if m.wifi = map[string]string{}; ssid != "" {
			m.wifi["wlan0"] = ssid
		}
		return m
	}
	r := managedRig(t, by(eth), on(""))
	r.manager(on("home"), "emit wifi-changed SSID=home INTERFACE=wlan0")
	r.manager(on("home"))
	r.manager(nil)
	r.manager(on("home"))
	r.manager(on("office"), "emit wifi-changed SSID=office INTERFACE=wlan0")
	r.manager(on(""), "emit wifi-changed SSID= INTERFACE=wlan0")
	r.manager(on(""))
}

func TestPrintable(t *testing.T) {
	for raw, want := range map[string]string{
		"home": "home", "Café ☕": "Café ☕", `a\b`: `a\\b`, "a\x00b\n": `a\x00b\x0a`, "\xff\xc3": `\xff\xc3`,
		"\u202eevil": `\xe2\x80\xaeevil`, "": "",
	} {
		if got := printable(raw); got != want {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
	}
}

func TestConcerns(t *testing.T) {
	for _, c := range []struct {
		name string
		fact bool
		want bool
	}{
		{"net-device-up", false, true}, {"net-device-up", true, true}, {"net-device-down", false, true}, {"net-device-down", true, false},
		{"network-online", true, true}, {"network-online", false, false}, {"network-state-changed", false, true},
		{"wifi-changed", false, true}, {"net-device-added", false, false}, {"net-device", true, false},
	} {
		if got := (Source{}).Concerns(eventsources.Condition{Fact: c.fact, Operand: expr.Node{Name: c.name}}); got != c.want {
			t.Errorf("%s, fact %v: %v", c.name, c.fact, got)
		}
	}
}
