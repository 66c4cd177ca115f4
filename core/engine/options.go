package engine

import (
	"onset/core/env"
	"onset/core/job"
)

// Mode is which kind of init this is.
type Mode uint8

// The modes (UPSTART, reading conventions).
const (
	System  Mode = iota // the init of a machine
	Session             // the init of a user
	Test                // unprivileged, on the session bus
)

// Options are what the command line, the environment and the kernel decide
// before the first input. They do not change while an engine lives.
type Options struct {
	Mode    Mode
	PID     int
	UID     int
	Program string // basename of argv[0], for the version property
	Version string // version text clients parse: "upstart 1.13.2"
	Signals job.Signals

	Env        env.Table // environment of init itself
	InheritEnv bool      // session: jobs start from all of Env
	Address    string    // private socket, for UPSTART_SESSION

	Console        job.Console // default of the console stanza
	NoLog          bool
	LogDir         string
	StartupEvent   string // empty: none
	ChrootSessions bool
	LogPriority    Priority
	DebugStanza    bool   // honour the debug stanza
	AppArmor       bool   // the apparmor stanzas can work (UPSTART §4.6)
	NotifySocket   string // address of the sd_notify socket; empty: none
}
