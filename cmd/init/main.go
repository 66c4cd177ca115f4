//go:build linux || freebsd

//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0

// Command init is the init of a machine (process 1), or of a user's session
// with --user. See init(8) and UPSTART §8.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"onset/core/control"
	"onset/core/engine"
	"onset/core/env"
	"onset/platform/address"
	"onset/platform/keeper"
	"onset/platform/manager"
	"onset/platform/posix"
)

// init keeps main on the first thread, which is the process to the kernel:
// forks, waits and traces belong to it.
func init() { runtime.LockOSThread() }

func main() {
	posix.StageMain()
	claimed := manager.ClaimSignals()
	o, err := parseOptions(os.Args[1:])
	prog := filepath.Base(os.Args[0])
	log := manager.NewLogger(prog)
	switch {
	case err != nil:
		fatal(log, err.Error())
	case o.help:
		fmt.Print(usage)
		return
	case o.version:
		fmt.Printf("%s (%s)\n", prog, control.Upstart)
		return
	}
	mode := modeOf(o)
	kept, err := keeper.Attach()
	if err != nil {
		fatal(log, err.Error())
	}
	if mode == engine.System && kept == nil {
		demandProcessOne(log)
		os.Exit(keep(o, log))
	}
	limitThreads(2) // the loop, and what serves it
	manager.GiveBackMemory()
	if err := run(o, mode, prog, log, claimed, kept); err != nil {
		fatal(log, err.Error())
	}
}

// keep is the life of process 1: see package keeper.
func keep(o options, log *manager.Logger) int {
	startFirst()
	shell := consoleShell()
	if o.single && singleUser && shell == nil {
		log.Log(engine.Error, "No shell first: the console is not secure, see ttys(5)")
	}
	self := firstBinary()
	args := plainArgs()
	return keeper.Run(keeper.Options{
		Path: self, Args: args, Env: os.Environ(),
		Self:  append([]string{self}, args...),
		Shell: shell, ShellFirst: o.single && singleUser, Console: "/dev/console", Container: inContainer(),
	})
}

func fatal(log *manager.Logger, text string) {
	log.Log(engine.Fatal, text)
	os.Exit(1)
}

func modeOf(o options) engine.Mode {
	switch {
	case o.user:
		return engine.Session
	case o.session || os.Getenv("UPSTART_USE_SESSION_BUS") != "":
		return engine.Test
	}
	return engine.System
}

// demandProcessOne leaves a call of init that is not the init of a machine to
// telinit (UPSTART §8.1).
func demandProcessOne(log *manager.Logger) {
	if os.Getuid() != 0 {
		fatal(log, "Need to be root")
	}
	if os.Getpid() > 1 {
		syscall.Exec("/sbin/telinit", os.Args, os.Environ())
		fatal(log, "Not being executed as init")
	}
}

// run is the life of one image: it ends when a session ends, and is replaced
// by the next image at a re-exec.
func run(o options, mode engine.Mode, prog string, log *manager.Logger, claimed *manager.Signals, kept *keeper.Client) error {
	again := o.restart || kept != nil && kept.Life > 1 // what is missing here was told
	warn := func(text string) {
		if !again && o.priority <= engine.Warn {
			log.Log(engine.Warn, text)
		}
	}
	state, err := readState(o.stateFD)
	if err != nil {
		log.Log(engine.Error, "Failed to read serialisation data - reverting to stateless re-exec")
	}
	if kept != nil {
		if state == nil {
			manager.PutBack(kept.Stored, func(text string) { log.Log(engine.Warn, text) })
		}
		prepareMachine(!again, warn)
	}
	c, err := config(o, mode, prog)
	if err != nil {
		return err
	}
	c.Log, c.Signals, c.Keeper, c.State = log.Log, claimed, kept, state
	if kept != nil {
		c.Engine.PID = 1
	} else if err := posix.AdoptOrphans(); err != nil {
		warn("Unable to become a subreaper: " + err.Error())
		c.Told = append(c.Told, engine.SubreaperFailed)
	}
	var m *manager.Manager
	kernel, forget, err := newKernel(kernelOptions{
		umask: ownUmask(), machine: kept != nil, quiet: o.priority > engine.Info, noCgroups: o.noCgroups, warn: warn,
		notice: func(token uint64, text string) { m.Remark(token, text) },
	})
	defer forget()
	if err != nil {
		return err
	}
	if mode == engine.Session {
		file, err := manager.NewSessionFile(c.Engine.Env, os.Getpid(), c.Address)
		if err != nil {
			log.Log(engine.Error, err.Error())
		}
		defer file.Remove()
		defer address.Remove(c.Address)
	}
	if m, err = manager.New(kernel, c); err != nil {
		return err
	}
	if kept != nil {
		if write, err := systemLog(); err != nil {
			log.ToSystem(posix.LogToStandard)
			warn("cannot log to the system, so messages stay here: " + err.Error())
		} else {
			posix.LeaveConsole()
			log.ToSystem(write)
		}
	}
	again = false
	return serve(m, prog, log, kept)
}

// serve runs the manager until there is nothing more to do.
func serve(m *manager.Manager, prog string, log *manager.Logger, kept *keeper.Client) error {
	if kept != nil && upgraded() {
		kept.Reexec()
	}
	for {
		if _, ok := m.Run().(engine.Exit); ok {
			if kept != nil {
				return kept.Exit(0)
			}
			return nil
		}
		err := reexec(m, kept)
		log.Log(engine.Error, fmt.Sprintf("Failed to re-execute %s: %s", prog, err))
	}
}

func ownUmask() int {
	umask := syscall.Umask(0)
	syscall.Umask(umask)
	return umask
}

// kernelOptions are what a back end is told of this init; see newKernel.
type kernelOptions struct {
	umask     int  // of this process
	machine   bool // it is the manager of a keeper
	quiet     bool // less than informational messages are wanted
	noCgroups bool
	warn      func(string)
	notice    func(token uint64, text string) // what the job of a token has to do without
}

func config(o options, mode engine.Mode, prog string) (manager.Config, error) {
	own := env.Table(os.Environ())
	sources, err := manager.SourceList(mode, o.dirs, own)
	if err != nil {
		return manager.Config{}, err
	}
	c := manager.Config{
		Sources: sources,
		Watch:   !o.noWatch,
		NoBus:   o.noDBus,
		OpenPTY: posix.OpenPTY,
		Engine: engine.Options{
			Mode: mode, PID: os.Getpid(), UID: os.Getuid(), Program: prog, Version: control.Upstart,
			Signals: signals, Env: own, InheritEnv: !o.noInherit, Console: o.console, NoLog: o.noLog,
			LogDir: manager.LogDir(mode, o.dirs, own), ChrootSessions: o.chroots && os.Getenv("UPSTART_NO_SESSIONS") == "",
			LogPriority: o.priority, DebugStanza: o.debugStanza, AppArmor: appArmorUsable(),
		},
	}
	switch mode {
	case engine.System:
		c.Address = address.System
	case engine.Session:
		runtimeDir, _ := own.Lookup("XDG_RUNTIME_DIR")
		if c.Address, err = address.Session(runtimeDir); err != nil {
			return c, err
		}
	}
	c.Engine.Address = c.Address
	c.Engine.NotifySocket = manager.NotifyAddress(mode, own, os.Getpid())
	if !o.noStartup && !o.restart {
		c.Engine.StartupEvent = o.startup
	}
	if o.writeState {
		c.StateFile = filepath.Join(c.Engine.LogDir, "upstart.state")
	}
	if o.restart {
		c.Told = append(c.Told, engine.Restarted)
	}
	return c, nil
}

const usage = `Usage: init [OPTION]...
The init of a machine, or of a session.

      --append-confdir=DIR    look for job files here last
      --prepend-confdir=DIR   look for job files here first
      --confdir=DIR           look for job files here instead of the default
      --chroot-sessions       let chroots have jobs of their own
      --default-console=WHAT  console of jobs that name none [log]
      --logdir=DIR            where job output is logged [/var/log/upstart]
      --no-cgroups            do not use cgroups, neither to limit jobs nor to track them
      --no-dbus               do not connect to a message bus
      --no-inherit-env        start jobs with PATH and TERM only (session)
      --no-log                do not log job output
      --no-startup-event      do not emit an event at start-up
      --no-watch              do not watch configuration directories
      --startup-event=NAME    event to emit at start-up [startup]
      --session               use the session bus, for tests
      --user                  be the init of a session
  -s                          a shell on the console first, with only its parent running (FreeBSD)
      --write-state-file      write the state that a re-exec passes on to LOGDIR/upstart.state
  -q, --quiet                 only errors
  -v, --verbose               more messages
      --debug                 all messages, and have the stanza debug take effect
      --help                  display this help and exit
      --version               output version information and exit
`

// plainArgs are the arguments without those that a re-exec adds.
func plainArgs() []string {
	args := []string{os.Args[0]}
	for i := 1; i < len(os.Args); i++ {
		switch {
		case os.Args[i] == "--state-fd":
			i++
		case os.Args[i] == "--restart", strings.HasPrefix(os.Args[i], "--state-fd="):
		default:
			args = append(args, os.Args[i])
		}
	}
	return args
}

// limitThreads bounds how many threads run Go code at a time, each of which has
// caches of its own, unless somebody has chosen.
func limitThreads(n int) {
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) > n {
		runtime.GOMAXPROCS(n)
	}
}

// reexec replaces this image by the binary that is there now, with its state
// in a descriptor.
func reexec(m *manager.Manager, kept *keeper.Client) error {
	left, err := m.Legacy()
	if err != nil {
		return err
	}
	fd, err := posix.InheritedMemory("onset-state", left)
	if err != nil {
		m.Keep()
		return err
	}
	args := plainArgs()
	args = append(args, "--state-fd", strconv.Itoa(fd), "--restart")
	environ := os.Environ()
	if kept != nil {
		environ = append(environ, kept.Inherit())
	}
	self, err := ownBinary()
	if err == nil {
		err = syscall.Exec(self, args, environ)
	}
	syscall.Close(fd)
	m.Keep()
	return err
}

func readState(fd int) ([]byte, error) {
	if fd < 0 {
		return nil, nil
	}
	f := os.NewFile(uintptr(fd), "state")
	defer f.Close()
	return posix.ReadMemory(f)
}
