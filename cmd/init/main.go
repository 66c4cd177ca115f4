//go:build linux

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

	"onset/core/engine"
	"onset/core/env"
	"onset/platform/linux"
	"onset/platform/manager"
	"onset/platform/posix"
)

const version = "upstart 1.13.2"

func main() {
	posix.StageMain()
	signals := manager.ClaimSignals()
	runtime.LockOSThread()
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
		fmt.Printf("%s (%s)\n", prog, version)
		return
	}
	mode := modeOf(o)
	if mode == engine.System {
		demandProcessOne(log)
	}
	if err := run(o, mode, prog, log, signals); err != nil {
		fatal(log, err.Error())
	}
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
func run(o options, mode engine.Mode, prog string, log *manager.Logger, signals *manager.Signals) error {
	if mode == engine.System {
		linux.PrepareMachine(!o.restart, func(text string) { log.Log(engine.Warn, text) })
	}
	c, err := config(o, mode, prog)
	if err != nil {
		return err
	}
	c.Log, c.Signals = log.Log, signals
	if o.restart {
		c.Told = append(c.Told, engine.Restarted)
	}
	if os.Getpid() != 1 {
		if err := linux.BecomeSubreaper(); err != nil {
			log.Log(engine.Warn, "Unable to become a subreaper: "+err.Error())
			c.Told = append(c.Told, engine.SubreaperFailed)
		}
	}
	if c.State, err = readState(o.stateFD); err != nil {
		log.Log(engine.Error, "Failed to read serialisation data - reverting to stateless re-exec")
		c.State = nil
	}
	kernel, err := newKernel(func(text string) { log.Log(engine.Warn, text) })
	if err != nil {
		return err
	}
	if mode == engine.Session {
		file, err := manager.NewSessionFile(c.Engine.Env, os.Getpid(), c.Address)
		if err != nil {
			log.Log(engine.Error, err.Error())
		}
		defer file.Remove()
	}
	m, err := manager.New(kernel, c)
	if err != nil {
		return err
	}
	if mode == engine.System {
		linux.LeaveConsole()
		if err := log.ToKernel(); err != nil {
			log.Log(engine.Warn, "cannot log to the kernel: "+err.Error())
		}
	}
	for {
		if _, ok := m.Run().(engine.Exit); ok {
			return nil
		}
		err := reexec(m, o)
		log.Log(engine.Error, fmt.Sprintf("Failed to re-execute %s: %s", prog, err))
	}
}

func newKernel(warn func(string)) (manager.Kernel, error) {
	poller, err := linux.NewPoller()
	if err != nil {
		return manager.Kernel{}, err
	}
	umask := syscall.Umask(0)
	syscall.Umask(umask)
	processes, err := linux.NewProcesses(poller, linux.Options{Umask: umask, Warn: warn})
	return manager.Kernel{Poller: poller, Processes: processes, Clock: linux.Clock}, err
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
		Address: address(mode),
		Engine: engine.Options{
			Mode: mode, PID: os.Getpid(), UID: os.Getuid(), Program: prog, Version: version,
			Signals: linux.Signals, Env: own, InheritEnv: !o.noInherit, Console: o.console, NoLog: o.noLog,
			LogDir: manager.LogDir(mode, o.dirs, own), ChrootSessions: o.chroots && os.Getenv("UPSTART_NO_SESSIONS") == "",
			LogPriority: o.priority, DebugStanza: o.debugStanza, AppArmor: linux.AppArmorUsable(),
		},
	}
	c.Engine.Address = c.Address
	if !o.noStartup && !o.restart {
		c.Engine.StartupEvent = o.startup
	}
	return c, nil
}

// address is that of the private socket (UPSTART §6.1).
func address(mode engine.Mode) string {
	switch mode {
	case engine.System:
		return "unix:abstract=/com/ubuntu/upstart"
	case engine.Session:
		return "unix:abstract=/com/ubuntu/upstart-session/" + strconv.Itoa(os.Getuid()) + "/" + strconv.Itoa(os.Getpid())
	}
	return ""
}

const usage = `Usage: init [OPTION]...
The init of a machine, or of a session.

      --append-confdir=DIR    look for job files here last
      --prepend-confdir=DIR   look for job files here first
      --confdir=DIR           look for job files here instead of the default
      --chroot-sessions       let chroots have jobs of their own
      --default-console=WHAT  console of jobs that name none [log]
      --logdir=DIR            where job output is logged [/var/log/upstart]
      --no-dbus               do not connect to a message bus
      --no-inherit-env        start jobs with PATH and TERM only (session)
      --no-log                do not log job output
      --no-startup-event      do not emit an event at start-up
      --no-watch              do not watch configuration directories
      --startup-event=NAME    event to emit at start-up [startup]
      --session               use the session bus, for tests
      --user                  be the init of a session
  -q, --quiet                 only errors
  -v, --verbose               more messages
      --help                  display this help and exit
      --version               output version information and exit
`

// reexec replaces this image by the binary that is there now, with its state
// in a descriptor.
func reexec(m *manager.Manager, o options) error {
	left, err := m.Legacy()
	if err != nil {
		return err
	}
	fd, err := linux.Memory("onset-state", left)
	if err != nil {
		m.Keep()
		return err
	}
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
	args = append(args, "--state-fd", strconv.Itoa(fd), "--restart")
	self, err := linux.OwnBinary()
	if err == nil {
		err = syscall.Exec(self, args, os.Environ())
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
	return linux.ReadMemory(f)
}
