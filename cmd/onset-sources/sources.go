package main

import (
	"onset/eventsources"
	"onset/eventsources/dbus"
	"onset/eventsources/devctl"
	"onset/eventsources/event"
	"onset/eventsources/file"
	"onset/eventsources/local"
	"onset/eventsources/network"
	"onset/eventsources/power"
	"onset/eventsources/socket"
	timers "onset/eventsources/time"
	"onset/eventsources/udev"
)

// sources are all there are, each with what it tells in its package comment.
// They are made once, by the process that runs them.
var sources = func(o *options) []eventsources.Source {
	return []eventsources.Source{
		dbus.Source{Always: o.always, Once: o.bridge, Buses: o.buses()},
		devctl.Source{},
		event.Source{Always: o.bridge},
		file.Source{User: o.user},
		local.Source{Event: o.event, Path: o.path, AnyUser: o.anyUser},
		network.Source{},
		power.Source{SuspendTimeout: o.suspendTimeout},
		socket.New(),
		timers.Source{},
		udev.Source{All: o.bridge, NoStrip: o.noStrip, Coldplug: o.coldplug, User: o.user},
	}
}
