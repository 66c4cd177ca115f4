package power

import (
	"context"
	"strconv"
	"strings"
	"time"

	"onset/eventsources"
)

// teller makes events and facts of what is heard and looked at. It belongs to
// one goroutine.
type teller struct {
	init     eventsources.Init
	supplies string          // folder
	inputs   *inputs         // nil where there are none
	held     map[string]bool // facts, as far as they are known
	charge   map[string]int  // of batteries
	draining bool            // some battery is used
	pressed  map[string]press
}

// press is a line of acpid about a button.
type press struct {
	input bool // of an input device, not of ACPI
	at    time.Time
}

// samePress is how far the two lines are apart that acpid has for a press of a
// button that is ACPI's and an input device.
const samePress = time.Second

func newTeller(init eventsources.Init, supplies string, in *inputs) *teller {
	return &teller{init: init, supplies: supplies, inputs: in, held: map[string]bool{}, charge: map[string]int{}, pressed: map[string]press{}}
}

// notified tells of a notification; acpid says that it passed it on, at that
// time.
func (t *teller) notified(ctx context.Context, n notification, acpid bool, now time.Time) error {
	if err := t.init.Emit(ctx, eventsources.Event{Name: "acpi", Env: n.env()}); err != nil {
		return err
	}
	switch {
	case n.class == "button/power" || n.class == "button/sleep":
		if acpid && t.again(n, now) {
			return nil
		}
		return t.emit(ctx, strings.TrimPrefix(n.class, "button/")+"-button")
	case n.class == "button/lid" && (n.notify == "open" || n.notify == "close"):
		return t.setLid(ctx, n.notify == "open")
	case n.class == "ac_adapter" || n.class == "battery":
		return t.look(ctx)
	}
	return nil
}

// again reports whether a press was told already. ACPI's devices have a colon
// in their names, those of acpid's own input lines have none.
func (t *teller) again(n notification, now time.Time) bool {
	p := press{!strings.Contains(n.device, ":"), now}
	last, known := t.pressed[n.class]
	if known && last.input != p.input && now.Sub(last.at) < samePress {
		delete(t.pressed, n.class)
		return true
	}
	t.pressed[n.class] = p
	return false
}

// begin makes true what holds now.
func (t *teller) begin(ctx context.Context) error {
	list, err := readSupplies(t.supplies)
	if err != nil {
		return err
	}
	var hold []eventsources.Fact
	if t.held["ac-power"] = onMains(list); t.held["ac-power"] {
		hold = append(hold, eventsources.Fact{Name: "ac-power"})
	}
	if lid := t.inputs.lid(); lid != noLid {
		if t.held["lid-open"] = lid == opened; lid == opened {
			hold = append(hold, eventsources.Fact{Name: "lid-open"})
		}
	}
	if err := t.init.Hold(hold); err != nil {
		return err
	}
	return t.batteries(ctx, list)
}

// look looks at mains and batteries and tells what is new.
func (t *teller) look(ctx context.Context) error {
	list, err := readSupplies(t.supplies)
	if err != nil {
		return err
	}
	if err := t.level(ctx, "ac-power", onMains(list), "ac-online", "ac-offline"); err != nil {
		return err
	}
	return t.batteries(ctx, list)
}

// batteries tells of each that has become low, or critical.
func (t *teller) batteries(ctx context.Context, list []supply) error {
	was := t.charge
	t.charge, t.draining = map[string]int{}, false
	for _, s := range list {
		now := s.charge()
		t.charge[s.name], t.draining = now, t.draining || s.discharging()
		if now <= was[s.name] {
			continue
		}
		env := []string{"BATTERY=" + s.name, "LEVEL=" + levelWords[now]}
		if s.capacity >= 0 {
			env = append(env, "CAPACITY="+strconv.Itoa(s.capacity))
		}
		if err := t.init.Emit(ctx, eventsources.Event{Name: "battery-low", Env: env}); err != nil {
			return err
		}
	}
	return nil
}

// lookAtLid tells of the lid, if it can be seen. One that is seen for the first
// time has not moved.
func (t *teller) lookAtLid(ctx context.Context) error {
	lid := t.inputs.lid()
	if _, known := t.held["lid-open"]; known && lid != noLid {
		return t.setLid(ctx, lid == opened)
	}
	if lid == opened {
		t.held["lid-open"] = true
		return t.init.Assert(eventsources.Fact{Name: "lid-open"})
	}
	return nil
}

func (t *teller) setLid(ctx context.Context, open bool) error {
	return t.level(ctx, "lid-open", open, "lid-opened", "lid-closed")
}

// level makes a fact true or false, and tells the change by one of two events.
func (t *teller) level(ctx context.Context, name string, holds bool, yes, no string) error {
	if was, known := t.held[name]; known && was == holds {
		return nil
	}
	fact := eventsources.Fact{Name: name}
	if t.held[name] = holds; holds {
		if err := t.init.Assert(fact); err != nil {
			return err
		}
		return t.emit(ctx, yes)
	}
	if err := t.init.Retract(fact); err != nil {
		return err
	}
	return t.emit(ctx, no)
}

func (t *teller) emit(ctx context.Context, name string) error {
	return t.init.Emit(ctx, eventsources.Event{Name: name})
}
