package main

import (
	"os"

	"onset/eventsources"
	"onset/eventsources/devctl"
	"onset/eventsources/file"
	"onset/eventsources/network"
	"onset/eventsources/power"
	"onset/eventsources/socket"
	timers "onset/eventsources/time"
	"onset/eventsources/udev"
)

// inSession says that the init is not that of the machine.
var inSession = os.Getenv("UPSTART_SESSION") != ""

// sources are all there are, each with what it tells in its package comment.
var sources = []eventsources.Source{
	devctl.Source{},
	file.Source{User: inSession},
	network.Source{},
	power.Source{},
	socket.New(),
	timers.Source{},
	udev.Source{User: inSession},
}
