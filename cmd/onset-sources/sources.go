package main

import (
	"onset/eventsources"
	"onset/eventsources/devctl"
	"onset/eventsources/power"
	"onset/eventsources/socket"
	"onset/eventsources/udev"
)

// sources are all there are, each with what it tells in its package comment.
var sources = []eventsources.Source{
	devctl.Source{},
	power.Source{},
	socket.New(),
	udev.Source{},
}
