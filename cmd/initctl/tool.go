package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"syscall"
	"time"

	"onset/core/control"
	"onset/platform/address"
	"onset/platform/utmp"
)

// ownVersion is what --version prints behind the program's name.
const ownVersion = "onset, compatible with " + control.Upstart

// tool is one run of the program.
type tool struct {
	commands []command                   // of initctl
	programs []command                   // that are something else under their name
	lookup   func(string) (string, bool) // an environment variable
	uid      int
	stdout   io.Writer // buffered by main
	stderr   io.Writer
	system   // the machine

	prog   string // the name it was called under
	opts   options
	order  []string // of the options, see parser
	client *client  // nil before connect
}

// system is where and how a machine is changed.
type system struct {
	euid             int
	utmp, wtmp       string
	pidFile, nologin string   // of a shutdown that waits
	fifos            []string // of sysvinit
	systemSocket     string   // address of process 1

	kill     func(pid int, sig syscall.Signal) error
	exec     func(path string, argv []string) error
	sync     func()
	setPower func(how power, argument string) error
	wall     func(text string)
	now      func() time.Time
	clock    func() (ticks <-chan time.Time, interrupts <-chan os.Signal, stop func())
	sleeping sleeping
}

// realSystem is the machine we run on.
func realSystem() system {
	return system{
		euid: os.Geteuid(),
		utmp: utmp.File, wtmp: utmp.LogFile,
		pidFile: "/var/run/shutdown.pid", nologin: "/etc/nologin",
		fifos:        []string{"/run/initctl", "/dev/initctl"},
		systemSocket: address.System,
		kill:         syscall.Kill,
		exec:         func(path string, argv []string) error { return syscall.Exec(path, argv, os.Environ()) },
		sync:         func() { syscall.Sync() },
		setPower:     setPower,
		wall:         func(text string) { wallAll(utmp.Lines(utmp.File), text) },
		now:          time.Now,
		clock:        minutes,
		sleeping:     realSleeping(),
	}
}

// commonOptions are accepted by every command.
var commonOptions = []option{
	{short: 'q', long: "quiet", help: "reduce output to errors only"},
	{short: 'v', long: "verbose", help: "increase output to include informational messages"},
	{long: "debug", hidden: true},
	{long: "help", help: "display this help and exit"},
	{long: "version", help: "output version information and exit"},
}

// globalOptions choose the init to talk to.
var globalOptions = []option{
	{long: "user", help: "talk to the session init in UPSTART_SESSION"},
	{long: "session", help: "use the D-Bus session bus to connect to init"},
	{long: "system", help: "use the D-Bus system bus to connect to init"},
	{long: "dest", value: "NAME", help: "well-known name of init on the bus"},
}

// run runs one command line and returns the exit status.
func (t *tool) run(argv []string) int {
	t.prog = "initctl"
	if len(argv) > 0 {
		t.prog = path.Base(argv[0])
		argv = argv[1:]
	}
	cmd, args, err := t.parse(argv)
	if stop := errStop(""); errors.As(err, &stop) {
		t.explain(cmd, string(stop))
		if cmd != nil && cmd.name == "init-checkconf" {
			return 1 // so the original
		}
		return 0
	}
	if err == nil {
		err = t.check(cmd, args)
	}
	if err == nil {
		err = cmd.run(t, args)
	}
	if t.client != nil {
		t.client.close()
	}
	return t.report(err)
}

// parse finds the command and its arguments.
func (t *tool) parse(line []string) (*command, []string, error) {
	cmd := find(t.programs, t.prog)
	p := parser{known: slices.Clone(commonOptions)}
	if cmd == nil {
		cmd = find(t.commands, t.prog)
		p.known = append(p.known, globalOptions...)
	}
	first := 0 // argument of the command
	if cmd != nil {
		p.known = append(p.known, cmd.options...)
	} else {
		first = 1
		p.onArg = func(n int, arg string) ([]option, error) {
			if n > 1 {
				return nil, nil
			}
			if cmd = find(t.commands, arg); cmd == nil {
				return nil, usageError("invalid command: " + arg)
			}
			return cmd.options, nil
		}
	}
	err := p.parse(line)
	t.opts, t.order = p.given, p.order
	if err == nil && cmd == nil {
		err = usageError("missing command")
	}
	if err != nil {
		return cmd, nil, err
	}
	return cmd, p.args[first:], nil
}

func find(table []command, name string) *command {
	for i := range table {
		if table[i].name == name {
			return &table[i]
		}
	}
	return nil
}

// check demands the argument a command cannot do without.
func (t *tool) check(cmd *command, args []string) error {
	if cmd.needs != "" && len(args) == 0 {
		return usageError("missing " + cmd.needs)
	}
	return nil
}

// spoken is an error printed as it is, in the words of the specification.
type spoken string

func (e spoken) Error() string { return string(e) }

// errQuiet makes the exit status 1 and says nothing: the output has said it.
var errQuiet = errors.New("")

// report prints an error and returns the exit status.
func (t *tool) report(err error) int {
	if err == nil {
		return 0
	}
	if !errors.Is(err, errQuiet) {
		t.complain(err.Error())
	}
	if usage := usageError(""); errors.As(err, &usage) {
		fmt.Fprintf(t.stderr, "Try `%s --help' for more information.\n", t.prog)
	}
	return 1
}

// complain prints a warning or an error.
func (t *tool) complain(message string) {
	io.WriteString(t.stderr, control.Prefixed(t.prog, message)+"\n")
}

// print writes a result unless --quiet.
func (t *tool) print(text string) {
	if !t.opts.has("quiet") {
		io.WriteString(t.stdout, text) // main's Flush reports the error
	}
}

// getenv returns an environment variable, "" if unset.
func (t *tool) getenv(name string) string {
	v, _ := t.lookup(name)
	return v
}
