package network

import (
	"context"
	"maps"
	"slices"
	"time"

	"onset/eventsources"
)

// view is the state of the network as a whole, as events tell it.
type view struct {
	state, connectivity      string
	connection, kind, device string // of the primary connection; empty: none, or not known
}

func (v view) env() []string {
	env := []string{"STATE=" + v.state, "CONNECTIVITY=" + v.connectivity}
	for _, pair := range [][2]string{{"CONNECTION=", v.connection}, {"TYPE=", v.kind}, {"DEVICE=", v.device}} {
		if pair[1] != "" {
			env = append(env, pair[0]+pair[1])
		}
	}
	return env
}

// tracker makes events and facts of what the kernel and NetworkManager say.
type tracker struct {
	init     eventsources.Init
	patience time.Duration

	links  map[int]link
	reach  reach
	looked bool // at the kernel
	edges  []edge
	// manager is what NetworkManager says; managed that it did, and what it said
	// last still counts.
	manager *manager
	managed bool

	// What init was told.
	view   view
	online bool
	wifi   map[string]string // SSID by interface

	// wait runs in doubt whether what is seen will last; late is that it is over.
	wait *time.Timer
	late bool
}

// edge is a link that came up or went down, to be told.
type edge struct {
	link
	up bool
}

func newTracker(init eventsources.Init, patience time.Duration) *tracker {
	return &tracker{init: init, patience: patience, links: map[int]link{}, wifi: map[string]string{}}
}

// timer returns the channel that ends doubt.
func (t *tracker) timer() <-chan time.Time {
	if t.wait == nil || t.late {
		return nil
	}
	return t.wait.C
}

// apply takes what the kernel tells.
func (t *tracker) apply(c change) {
	t.looked = true
	listed := map[int]bool{}
	for _, l := range c.links {
		listed[l.index] = true
	}
	if c.all {
		for _, index := range slices.Sorted(maps.Keys(t.links)) {
			if !listed[index] {
				t.setLink(linkChange{link{index: index}, true})
			}
		}
	}
	for _, l := range c.links {
		t.setLink(l)
	}
	if c.reach != nil {
		t.reach = *c.reach
	}
}

// setLink notes what a link is now.
func (t *tracker) setLink(l linkChange) {
	old := t.links[l.index]
	if l.gone {
		delete(t.links, l.index)
		if old.up {
			old.state = "notpresent"
			t.edges = append(t.edges, edge{old, false})
		}
		return
	}
	if l.state == "" {
		l.state = old.state
	}
	if l.address == "" {
		l.address = old.address
	}
	t.links[l.index] = l.link
	renamed := old.up && l.up && old.name != l.name
	if old.up && !l.up || renamed {
		old.state = l.state
		t.edges = append(t.edges, edge{old, false})
	}
	if l.up && !old.up || renamed {
		t.edges = append(t.edges, edge{l.link, true})
	}
}

// setManager takes what NetworkManager says; nil is that it does not run.
func (t *tracker) setManager(m *manager) {
	t.manager = m
	t.managed = t.managed || m != nil
}

func (l *link) fact() eventsources.Fact {
	return eventsources.Fact{Name: "net-device-up", Env: []string{"IFACE=" + l.name, "INTERFACE=" + l.name}}
}

var onlineFact = eventsources.Fact{Name: "network-online"}

// begin makes the facts true, and tells what is.
func (t *tracker) begin(ctx context.Context) error {
	t.view, t.online = t.kernelView()
	v, online, _ := t.judge()
	t.online = online
	var holds []eventsources.Fact
	t.edges = nil
	for _, index := range slices.Sorted(maps.Keys(t.links)) {
		if l := t.links[index]; l.up {
			holds = append(holds, l.fact())
			t.edges = append(t.edges, edge{l, true})
		}
	}
	if online {
		holds = append(holds, onlineFact)
	}
	if err := t.init.Hold(holds); err != nil {
		return err
	}
	if err := t.tellLinks(ctx); err != nil {
		return err
	}
	t.view = v
	if err := t.init.Emit(ctx, eventsources.Event{Name: "network-state-changed", Env: v.env()}); err != nil {
		return err
	}
	return t.tell(ctx)
}

// tell tells what has changed.
func (t *tracker) tell(ctx context.Context) error {
	if err := t.tellLinks(ctx); err != nil {
		return err
	}
	v, online, doubt := t.judge()
	switch {
	case !doubt && t.wait != nil:
		t.wait.Stop()
		t.wait, t.late = nil, false
	case doubt && t.wait == nil:
		t.wait = time.NewTimer(t.patience)
	}
	if err := t.setOnline(online); err != nil {
		return err
	}
	if v != t.view {
		t.view = v
		if err := t.init.Emit(ctx, eventsources.Event{Name: "network-state-changed", Env: v.env()}); err != nil {
			return err
		}
	}
	if t.manager == nil || t.manager.startup && !t.late {
		return nil
	}
	return t.tellWifi(ctx, t.manager.wifi)
}

func (t *tracker) setOnline(online bool) error {
	if online == t.online {
		return nil
	}
	if t.online = online; online {
		return t.init.Assert(onlineFact)
	}
	return t.init.Retract(onlineFact)
}

func (t *tracker) tellLinks(ctx context.Context) error {
	edges := t.edges
	t.edges = nil
	for _, e := range edges {
		change, name := t.init.Retract, "net-device-down"
		if e.up {
			change, name = t.init.Assert, "net-device-up"
		}
		if err := change(e.fact()); err != nil {
			return err
		}
		if err := t.init.Emit(ctx, eventsources.Event{Name: name, Env: e.env()}); err != nil {
			return err
		}
	}
	return nil
}

func (t *tracker) tellWifi(ctx context.Context, now map[string]string) error {
	for name := range now {
		if _, ok := t.wifi[name]; !ok {
			t.wifi[name] = ""
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.wifi)) {
		if t.wifi[name] == now[name] {
			continue
		}
		t.wifi[name] = now[name]
		if err := t.init.Emit(ctx, eventsources.Event{Name: "wifi-changed", Env: []string{"SSID=" + now[name], "INTERFACE=" + name}}); err != nil {
			return err
		}
	}
	return nil
}

// kernelView is what is seen without NetworkManager, and whether there is a
// way out. The words are those NetworkManager has when it does not check.
func (t *tracker) kernelView() (view, bool) {
	best, ok := t.reach.out(t.links)
	switch {
	case ok:
		return view{state: "connected-global", connectivity: "full", device: t.links[best.index].name}, true
	case t.reach.local(t.links):
		return view{state: "connected-local", connectivity: "limited"}, false
	}
	return view{state: "disconnected", connectivity: "none"}, false
}

// judge returns what is to be told now. doubt is that it is what was told
// before, since what is seen may be a state in between.
func (t *tracker) judge() (v view, online, doubt bool) {
	kernel, out := t.kernelView()
	m, keep := t.manager, t.online && out
	switch {
	case m == nil && t.managed && !t.late:
		return t.view, keep, true
	case m == nil:
		t.managed = false
		return kernel, out, false
	case m.full():
		return m.view, true, false
	case m.startup && !t.late:
		return t.view, keep, true
	case m.startup:
		return m.view, keep, true
	case m.undecided():
		return m.view, keep, false
	case m.primary:
		return m.view, false, false
	case out && !t.online && !t.late:
		// A way out that is not NetworkManager's, or that it is about to end.
		return m.view, false, true
	}
	return m.view, out, false
}
