// Package devctl is the event source for what FreeBSD's kernel tells of
// devices (devctl(4), EXTENSIONS §7).
//
// Events have the names and variables of udev's where there is a counterpart;
// docs/SOURCES.md has the table. Facts hold for what exists: at the start by a
// scan of the device tree, network interfaces, GEOM providers and /dev, from
// then on by the records. An event comes after the fact it makes, and after
// the end of the fact it ends.
//
// One program at a time may read the kernel's records. Where that is devd, the
// source is a client of devd and gets what is told from then on.
//
// The kernel keeps records from the boot on, also while nobody reads them, in
// a queue that loses the oldest when it is full. It shows how long the queue
// is, so before each record the source knows whether some may have been lost
// since the last. Then it reads what is queued, scans, tells the differences
// to what it knew, and of what was queued only what is no repetition. At a
// start with a full queue all that exists is told as added. Not noticed is a
// record that the kernel had no memory for.
package devctl

import (
	"maps"
	"slices"
	"strings"

	"onset/eventsources"
)

// Source is the source.
type Source struct{}

// Name implements eventsources.Source.
func (Source) Name() string { return "devctl" }

var (
	otherEvents = []string{"devctl", "acpi", "power-button", "lid-opened", "lid-closed", "ac-online", "ac-offline"}
	otherFacts  = []string{"ac-power", "lid-open"}
)

// Concerns implements eventsources.Source.
func (Source) Concerns(c eventsources.Condition) bool {
	if c.Fact {
		return strings.HasSuffix(c.Operand.Name, "-device") || slices.Contains(otherFacts, c.Operand.Name)
	}
	_, verb, _ := strings.Cut(c.Operand.Name, "-device-")
	return slices.Contains(slices.Collect(maps.Values(verbs)), verb) || slices.Contains(otherEvents, c.Operand.Name)
}
