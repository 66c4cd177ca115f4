// Package power is the event source for buttons, the lid, mains and batteries
// on Linux, and for a suspend by logind anywhere it runs (EXTENSIONS §§7, 9).
//
// Events: acpi for each notification of ACPI, power-button, sleep-button,
// lid-opened, lid-closed, ac-online, ac-offline, battery-low, suspending (which
// the suspend waits for) and resumed. Facts: ac-power, lid-open. Variables are
// in docs/SOURCES.md. What devctl tells of these on FreeBSD is not told here.
//
// Notifications come from the kernel's generic netlink, and where that is not
// to be had, as in a container, from acpid's socket. Lid and keys come from
// input devices, of which those of ACPI's own buttons are not used, since the
// kernel notifies of these as well. Mains, batteries and the lid are levels:
// each message about them only has them looked at, and a change is told. So
// messages may be lost or come twice.
//
// One goroutine tells init everything but suspending and resumed, which another
// does: buttons work while jobs get ready for a suspend.
package power

import (
	"slices"
	"time"

	"onset/eventsources"
)

// Source is the source.
type Source struct {
	// SuspendTimeout is how long a suspend waits for jobs [10 s].
	SuspendTimeout time.Duration
}

// Name implements eventsources.Source.
func (Source) Name() string { return "power" }

var (
	events = []string{"acpi", "power-button", "sleep-button", "lid-opened", "lid-closed", "ac-online", "ac-offline", "battery-low",
		"suspending", "resumed"}
	facts = []string{"ac-power", "lid-open"}
)

// Concerns implements eventsources.Source.
func (Source) Concerns(c eventsources.Condition) bool {
	if c.Fact {
		return slices.Contains(facts, c.Operand.Name)
	}
	return slices.Contains(events, c.Operand.Name)
}
