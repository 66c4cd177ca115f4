package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"onset/core/engine"
	"onset/core/job"
	"onset/platform/manager"
)

// options is the command line (UPSTART §8.1).
type options struct {
	dirs        manager.Dirs
	console     job.Console
	chroots     bool
	noCgroups   bool
	noDBus      bool
	noInherit   bool
	noLog       bool
	noStartup   bool
	startup     string
	session     bool // test mode
	user        bool
	restart     bool
	stateFD     int
	writeState  bool
	noWatch     bool
	priority    engine.Priority
	debugStanza bool
	single      bool // a shell first, see singleUser
	help        bool
	version     bool
}

var consoles = map[string]job.Console{
	"log": job.ConsoleLog, "none": job.ConsoleNone, "output": job.ConsoleOutput, "owner": job.ConsoleOwner,
}

// parseOptions reads the command line. Unknown options and plain arguments
// are ignored: the kernel passes on what it does not know itself.
func parseOptions(args []string) (o options, err error) {
	o = options{startup: "startup", stateFD: -1, priority: engine.Message}
	_, o.writeState = os.LookupEnv("UPSTART_WRITE_STATEFILE")
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		name, value, has := strings.Cut(arg, "=")
		if set := o.valued(name); set != nil {
			if !has && len(args) > 0 {
				value, args = args[0], args[1:]
			}
			if err := set(value); err != nil {
				return o, err
			}
			continue
		}
		o.flag(arg)
	}
	return o, nil
}

// valued returns what takes the value of an option, or nil if it has none.
func (o *options) valued(name string) func(string) error {
	list := func(l *[]string) func(string) error {
		return func(v string) error { *l = append(*l, v); return nil }
	}
	one := func(s *string) func(string) error {
		return func(v string) error { *s = v; return nil }
	}
	switch name {
	case "--append-confdir":
		return list(&o.dirs.Append)
	case "--prepend-confdir":
		return list(&o.dirs.Prepend)
	case "--confdir":
		return list(&o.dirs.Conf)
	case "--logdir":
		return one(&o.dirs.Log)
	case "--startup-event":
		return one(&o.startup)
	case "--default-console":
		return o.setConsole
	case "--state-fd":
		return func(v string) error {
			n, err := strconv.Atoi(v)
			if o.stateFD = n; err != nil {
				return fmt.Errorf("invalid descriptor specified: %s", v)
			}
			return nil
		}
	}
	return nil
}

func (o *options) setConsole(v string) error {
	c, ok := consoles[v]
	if !ok {
		return fmt.Errorf("invalid console type specified: %s", v)
	}
	o.console = c
	return nil
}

func (o *options) flag(arg string) {
	switch arg {
	case "--chroot-sessions":
		o.chroots = true
	case "--no-cgroups":
		o.noCgroups = true
	case "--no-dbus":
		o.noDBus = true
	case "--no-inherit-env":
		o.noInherit = true
	case "--no-log":
		o.noLog = true
	case "--no-startup-event":
		o.noStartup = true
	case "--no-watch":
		o.noWatch = true
	case "--session":
		o.session = true
	case "--write-state-file":
		o.writeState = true
	case "--user":
		o.user = true
	case "--restart":
		o.restart = true
	case "-q", "--quiet", "--error":
		o.priority = engine.Error
	case "-v", "--verbose":
		o.priority = engine.Info
	case "--debug":
		o.priority, o.debugStanza = engine.Debug, true
	case "-s":
		o.single = true
	case "--help":
		o.help = true
	case "--version":
		o.version = true
	}
}
