package devctl

import (
	"context"
	"maps"
	"slices"
	"strings"

	"onset/eventsources"
)

// snapshot is what exists at a moment.
type snapshot struct {
	devices    []attached
	interfaces []string
	nodes      []string          // below /dev
	providers  map[string]string // of GEOM: class
	ac         state
}

// attached is a row of the kernel's list of devices that have a driver.
type attached struct{ name, parent, location, pnp string }

// state is that of something which may be unknown.
type state uint8

const (
	unknown state = iota
	off
	on
)

// machine is what is asked of the kernel while records are handled.
type machine interface {
	// class returns the class of a GEOM provider; empty if there is none.
	class(provider string) string
	// tellsPowerButton reports whether the kernel tells process 1 of the power
	// button, which emits the event then.
	tellsPowerButton() bool
	// letSleep says that nothing here stands against a suspend.
	letSleep() error
}

// tracker makes events and facts of records.
type tracker struct {
	init    eventsources.Init
	machine machine
	tree    tree
	held    map[string]*device // by key
	power   map[string]bool    // ac-power and lid-open, if they hold
	// doubtful is how many records to come may tell what a scan has told.
	doubtful int
	blocks   map[string]bool // that went, while their nodes are there
}

func newTracker(init eventsources.Init, m machine) *tracker {
	return &tracker{init: init, machine: m, tree: tree{}, held: map[string]*device{}, power: map[string]bool{}, blocks: map[string]bool{}}
}

// list returns the devices in a snapshot, parents first, and makes its tree
// the present one.
func (t *tracker) list(s *snapshot) (all []*device) {
	t.tree = tree{}
	for _, a := range s.devices {
		t.tree[a.name] = a.parent
	}
	for _, a := range s.devices {
		all = append(all, t.tree.attached(a.name, a.parent, record{vars: parseVars(a.location + " " + a.pnp)}))
	}
	for _, name := range s.interfaces {
		all = append(all, t.tree.network(name))
	}
	for _, name := range slices.Sorted(maps.Keys(s.providers)) {
		all = append(all, disk(name, s.providers[name]))
	}
	for _, name := range s.nodes {
		if _, provided := s.providers[name]; provided {
			continue
		}
		d := node(name)
		if strings.HasPrefix(name, "ugen") {
			d = usb(name)
		}
		if d != nil {
			all = append(all, d)
		}
	}
	return all
}

// begin makes the facts of a snapshot true. announce says that nothing will
// tell the events of what exists.
func (t *tracker) begin(ctx context.Context, s *snapshot, announce bool) error {
	all := t.list(s)
	var facts []eventsources.Fact
	for _, d := range all {
		t.held[d.key()] = d
		facts = append(facts, d.fact())
	}
	if s.ac == on {
		t.power["ac-power"] = true
		facts = append(facts, eventsources.Fact{Name: "ac-power"})
	}
	if err := t.init.Hold(facts); err != nil || !announce {
		return err
	}
	for _, d := range all {
		if err := t.init.Emit(ctx, d.event("add")); err != nil {
			return err
		}
	}
	return nil
}

// rescan tells the differences to a snapshot, after records were lost. The
// next records, as many as doubtful says, may be older than it.
func (t *tracker) rescan(ctx context.Context, s *snapshot, doubtful int) error {
	all := t.list(s)
	exists := map[string]bool{}
	for _, d := range all {
		exists[d.key()] = true
	}
	t.doubtful = 0
	for _, key := range slices.Sorted(maps.Keys(t.held)) {
		if !exists[key] {
			if err := t.vanish(ctx, t.held[key]); err != nil {
				return err
			}
		}
	}
	for _, d := range all {
		if t.held[d.key()] == nil {
			if err := t.appear(ctx, d); err != nil {
				return err
			}
		}
	}
	t.doubtful = doubtful
	if s.ac != unknown {
		return t.level("ac-power", s.ac == on)
	}
	return nil
}

// appear tells of a device that is there now.
func (t *tracker) appear(ctx context.Context, d *device, more ...string) error {
	known := t.held[d.key()] != nil
	if known && t.doubtful > 0 {
		return nil
	}
	if !known {
		t.held[d.key()] = d
		if err := t.init.Assert(d.fact()); err != nil {
			return err
		}
	}
	return t.init.Emit(ctx, d.event("add", more...))
}

// vanish tells of a device that is there no more.
func (t *tracker) vanish(ctx context.Context, d *device, more ...string) error {
	if h := t.held[d.key()]; h != nil {
		d = h
		delete(t.held, d.key())
		if err := t.init.Retract(d.fact()); err != nil {
			return err
		}
	} else if t.doubtful > 0 {
		return nil
	}
	return t.init.Emit(ctx, d.event("remove", more...))
}

// level makes a fact without variables true or false.
func (t *tracker) level(name string, holds bool) error {
	if holds == t.power[name] {
		return nil
	}
	if t.power[name] = holds; holds {
		return t.init.Assert(eventsources.Fact{Name: name})
	}
	return t.init.Retract(eventsources.Fact{Name: name})
}

// handle tells what a record says. An error is init's or of the context; what
// cannot be read is left out.
func (t *tracker) handle(ctx context.Context, line string) error {
	r, ok := parseRecord(line)
	if !ok {
		t.init.Logf("cannot read the record %q", line)
		return nil
	}
	err := t.tell(ctx, &r)
	t.doubtful = max(0, t.doubtful-1)
	return err
}

func (t *tracker) tell(ctx context.Context, r *record) error {
	switch r.kind {
	case '+':
		t.tree[r.device] = r.parent
		return t.appear(ctx, t.tree.attached(r.device, r.parent, *r))
	case '-':
		err := t.vanish(ctx, t.tree.attached(r.device, r.parent, *r))
		delete(t.tree, r.device)
		return err
	case '?':
		return t.init.Emit(ctx, t.tree.attached("", r.parent, *r).event("nomatch"))
	}
	switch r.system {
	case "IFNET":
		return t.network(ctx, r)
	case "DEVFS":
		return t.node(ctx, r)
	case "GEOM":
		return t.disk(ctx, r)
	case "USB":
		return t.usb(ctx, r)
	case "ACPI":
		return t.acpi(ctx, r)
	}
	return t.other(ctx, r)
}

// other is for what has no counterpart.
func (t *tracker) other(ctx context.Context, r *record) error {
	return t.init.Emit(ctx, eventsources.Event{Name: "devctl", Env: append([]string{
		"SYSTEM=" + eventsources.Printable(r.system), "SUBSYSTEM=" + eventsources.Printable(r.subsystem), "TYPE=" + eventsources.Printable(r.what)}, r.env()...)})
}

func (t *tracker) network(ctx context.Context, r *record) error {
	d := t.tree.network(r.subsystem)
	switch r.what {
	case "ATTACH":
		return t.appear(ctx, d)
	case "DETACH":
		return t.vanish(ctx, d)
	case "LINK_UP", "LINK_DOWN":
		return t.init.Emit(ctx, d.event("change", "LINK="+strings.ToLower(strings.TrimPrefix(r.what, "LINK_"))))
	}
	return t.other(ctx, r)
}

// node tells of nodes of /dev. Those of disks are told of by GEOM, before they
// go and after they came.
func (t *tracker) node(ctx context.Context, r *record) error {
	name := r.get("cdev")
	if r.subsystem != "CDEV" || name == "" {
		return t.other(ctx, r)
	}
	d := node(name)
	switch {
	case d == nil || r.what == "MEDIACHANGE":
		return nil
	case r.what == "CREATE" && t.machine.class(name) == "":
		return t.appear(ctx, d)
	case r.what == "DESTROY" && (t.held[d.key()] != nil || !t.blocks[name] && t.held[disk(name, "").key()] == nil):
		return t.vanish(ctx, d)
	}
	delete(t.blocks, name)
	return nil
}

func (t *tracker) disk(ctx context.Context, r *record) error {
	name := r.get("cdev")
	if r.subsystem == "disk" {
		name = r.get("devname")
	}
	switch {
	case name == "":
	case r.subsystem == "disk" || r.what == "MEDIACHANGE":
		return t.init.Emit(ctx, disk(name, t.machine.class(name)).event("change", r.env()...))
	case r.what == "CREATE":
		return t.appear(ctx, disk(name, t.machine.class(name)))
	case r.what == "DESTROY":
		if len(t.blocks) > maxBlocks {
			clear(t.blocks)
		}
		t.blocks[name] = true
		return t.vanish(ctx, disk(name, ""))
	}
	return t.other(ctx, r)
}

// maxBlocks bounds tracker.blocks, where nodes go without a record.
const maxBlocks = 1000

func (t *tracker) usb(ctx context.Context, r *record) error {
	name := r.get("ugen")
	switch {
	case r.subsystem != "DEVICE" || name == "":
	case r.what == "ATTACH":
		return t.appear(ctx, usb(name), r.env()...)
	case r.what == "DETACH":
		return t.vanish(ctx, usb(name), r.env()...)
	}
	return t.other(ctx, r)
}

// acpi tells of buttons, the lid and power (EXTENSIONS §7, source power).
func (t *tracker) acpi(ctx context.Context, r *record) error {
	notify := eventsources.Printable(r.get("notify"))
	err := t.init.Emit(ctx, eventsources.Event{Name: "acpi", Env: []string{
		"CLASS=" + eventsources.Printable(r.subsystem), "DEVICE=" + eventsources.Printable(r.what), "NOTIFY=" + notify}})
	if err != nil {
		return err
	}
	name, is := "", notify != "0x00"
	switch {
	case r.subsystem == "Suspend":
		if err := t.machine.letSleep(); err != nil {
			t.init.Logf("cannot agree to a suspend, which now waits for its time-out: %v", err)
		}
	case r.subsystem == "Button" && !is && !t.machine.tellsPowerButton():
		name = "power-button"
	case r.subsystem == "Lid":
		name, err = pick(is, "lid-opened", "lid-closed"), t.level("lid-open", is)
	case r.subsystem == "ACAD":
		name, err = pick(is, "ac-online", "ac-offline"), t.level("ac-power", is)
	}
	if err != nil || name == "" {
		return err
	}
	return t.init.Emit(ctx, eventsources.Event{Name: name})
}

func pick(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}
