package main

import (
	"errors"
	"flag"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"onset/eventsources/dbus"
	"onset/platform/address"
)

const usage = `Usage: onset-sources [OPTION]... [SOURCE]...
Turns what happens to the machine into events and facts.

Without a SOURCE, each source runs while a job has a condition on what it tells.

      --address=ADDRESS  D-Bus address of init's private socket
      --user             the init of this session ($UPSTART_SESSION); so without the option where that is set
      --coldplug         tell of devices that are there already, too (udev)
      --suspend-timeout=SECONDS
                         how long jobs may take to get ready for a suspend [10] (power)
      --list             print the names of the sources
      --help             print this
      --version          print the version

Under the name of a bridge of Upstart's it runs one source, with that bridge's options.
`

// options are a command line.
type options struct {
	program string   // the name it was called by, without a directory
	address string   // of init
	named   []string // sources
	bridge  bool     // of Upstart's
	user    bool     // the init of a session

	list, help, version, daemon bool
	ignored                     bool // see level

	// Of sources.
	always, noStrip, coldplug, anyUser bool
	busName, event, path               string
	busSession, busSystem              bool
	suspendTimeout                     time.Duration
}

// bridges are the options of Upstart's bridges (UPSTART §9), by the source that
// has a bridge's role: upstart-SOURCE-bridge.
var bridges = map[string]string{
	"udev":   "daemon no-strip user",
	"socket": "daemon",
	"file":   "daemon user",
	"dbus":   "always daemon bus-name user session system",
	"event":  "daemon",
	"local":  "daemon event path any-user",
}

// level are options of all of Upstart's tools. There is no more and no less to
// say here: they are taken so that command lines with them go on to work.
const level = "q quiet v verbose debug"

// own are the options of onset-sources.
const own = "address user list coldplug suspend-timeout"

var (
	errNoSession = errors.New("--user, and UPSTART_SESSION is not set")
	// As Upstart's bridges say it.
	errNoBridge     = errors.New("UPSTART_SESSION isn't set in environment")
	errDisconnected = upstartText("Disconnected from Upstart")
)

// upstartText is an error in the words of UPSTART §9.
type upstartText string

func (t upstartText) Error() string { return string(t) }

// parse reads a command line; session is the value of UPSTART_SESSION.
func parse(program string, args []string, session string) (*options, error) {
	o := &options{program: program}
	accepted := own
	if source, ok := strings.CutSuffix(strings.TrimPrefix(program, "upstart-"), "-bridge"); ok && bridges[source] != "" {
		o.bridge, o.named, accepted = true, []string{source}, bridges[source]+" "+level
	}
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	for _, name := range append(strings.Fields(accepted), "help", "version") {
		switch v := o.field(name).(type) {
		case *bool:
			flags.BoolVar(v, name, false, "")
		case *string:
			flags.StringVar(v, name, "", "")
		case *time.Duration:
			flags.Func(name, "", func(text string) error {
				n, err := strconv.ParseUint(text, 10, 31)
				if *v = time.Duration(n) * time.Second; err != nil {
					return errors.New("not a number of seconds")
				}
				return nil
			})
		}
	}
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	switch {
	case !o.bridge:
		o.named = flags.Args()
	case flags.NArg() > 0:
		return nil, errors.New("unexpected argument " + flags.Arg(0))
	case o.help || o.version:
	case o.named[0] == "local" && o.event == "":
		return nil, upstartText("Must specify event name")
	case o.named[0] == "local" && o.path == "":
		return nil, upstartText("Must specify socket path")
	}
	return o, o.findInit(session)
}

// field is where an option goes.
func (o *options) field(name string) any {
	if slices.Contains(strings.Fields(level), name) {
		return &o.ignored
	}
	return map[string]any{
		"address": &o.address, "user": &o.user, "list": &o.list, "help": &o.help, "version": &o.version, "daemon": &o.daemon,
		"always": &o.always, "no-strip": &o.noStrip, "any-user": &o.anyUser, "bus-name": &o.busName, "event": &o.event,
		"path": &o.path, "coldplug": &o.coldplug, "suspend-timeout": &o.suspendTimeout, "session": &o.busSession, "system": &o.busSystem,
	}[name]
}

// findInit chooses the init. Bridges have the one of the system but by --user;
// the one that proxies events of the system is for sessions alone.
func (o *options) findInit(session string) error {
	inSession := o.user || !o.bridge && session != "" || o.bridge && o.named[0] == "event"
	switch {
	case o.address != "" || o.list || o.help || o.version:
	case !inSession:
		o.address = address.System
	case session != "":
		o.address, o.user = session, true
	case o.bridge:
		return errNoBridge
	default:
		return errNoSession
	}
	return nil
}

// buses are those that the source of buses hears of.
func (o *options) buses() []dbus.Bus {
	switch {
	case o.bridge:
		return []dbus.Bus{{Name: o.busName, Session: !o.busSystem && (o.busSession || o.user)}}
	case o.user:
		return dbus.Sessions
	}
	return dbus.System
}
