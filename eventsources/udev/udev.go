// Package udev is the event source for Linux's devices (EXTENSIONS §7, UPSTART
// §9.1).
//
// Events: SUBSYSTEM-device-added, -removed, -changed, and -move, -online,
// -offline, -bind, -unbind, with KERNEL DEVPATH DEVNAME SUBSYSTEM ACTION and
// all else that is said of the device, by name. Facts: SUBSYSTEM-device with
// the same but for what is of one event only, for each device of a subsystem
// that a while names.
//
// Where a udevd runs, its messages are listened to, which come after its rules;
// else the kernel's. When a udevd comes or goes, the source changes over: a
// message that the other side has told of, as its SEQNUM says, is not told
// again, and what fell in between is found by looking at what exists.
//
// At the start facts are made of what exists (/sys, and /run/udev/data for
// what udevd knows). When the kernel had to drop messages, the source first
// tells what it still has, then looks at what exists and tells the
// differences. A fact holds before the event that it comes with, and not any
// more at the event it ends with.
package udev

import (
	"slices"
	"strings"

	"onset/eventsources"
)

// Source is the source. Its fields are options.
type Source struct {
	// All forwards each event, whether or not a job names it.
	All bool
	// NoStrip leaves in names and values what is not printable.
	NoStrip bool
	// Coldplug tells at the start that what exists was added: udevd is asked to,
	// by the kernel, or else the source does it itself.
	Coldplug bool
	// User says that the init is that of a session. That of the system is told
	// at the first start since the boot, as by Coldplug, if there is no udevd.
	User bool
}

// Name implements eventsources.Source.
func (Source) Name() string { return "udev" }

const (
	factSuffix = "-device"
	eventInfix = "-device-"
)

// verbs are the ends of the names of events: all actions of the kernel.
var verbs = []string{"added", "removed", "changed", "move", "online", "offline", "bind", "unbind"}

// Concerns implements eventsources.Source.
func (Source) Concerns(c eventsources.Condition) bool {
	if c.Fact {
		return strings.HasSuffix(c.Operand.Name, factSuffix)
	}
	_, v, _ := strings.Cut(c.Operand.Name, eventInfix)
	return slices.Contains(verbs, v)
}
