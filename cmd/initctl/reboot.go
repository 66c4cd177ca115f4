package main

import (
	"encoding/binary"
	"os"
	"os/signal"
	"syscall"
	"time"

	"onset/platform/utmp"
)

// power is how a machine ends.
type power uint8

const (
	restart power = iota
	halt
	powerOff
)

// shutdownOptions of shutdown bring the same about.
var shutdownOptions = [...][]string{restart: {"-r", "now"}, halt: {"-h", "-H", "now"}, powerOff: {"-h", "-P", "now"}}

// reboot is the program reboot, halt or poweroff (UPSTART §10.6).
func (t *tool) reboot(args []string) error {
	if err := t.needRoot(); err != nil {
		return err
	}
	how := restart
	switch {
	case t.prog == "poweroff", t.prog == "halt" && t.opts.has("poweroff"):
		how = powerOff
	case t.prog == "halt":
		how = halt
	}
	force := t.opts.has("force")
	if level, _, err := t.runlevels(t.utmp); err == nil && (level == '0' || level == '6') {
		force = true
	}
	if !force && !t.opts.has("wtmp-only") {
		return t.exec(shutdownProgram(), append([]string{"shutdown"}, shutdownOptions[how]...))
	}
	utmp.Shutdown(t.utmp, t.wtmp, time.Now())
	if t.opts.has("wtmp-only") {
		return nil
	}
	if !t.opts.has("no-sync") {
		t.sync()
	}
	argument := ""
	if how == restart && len(args) > 0 {
		argument = args[0]
	}
	if err := t.setPower(how, argument); err != nil {
		t.complain(systemText(err)) // and exit with 0, as callers are used to
	}
	return nil
}

// fifoRequest is sysvinit's request for a runlevel.
func fifoRequest(level byte) []byte {
	b := make([]byte, 384)
	for i, v := range [...]uint32{0x03091969, 1, uint32(level), 5} { // magic, change of runlevel, level, seconds
		binary.NativeEndian.PutUint32(b[4*i:], v)
	}
	return b
}

// minutes starts a clock that ticks each minute, and hears the signals that
// cancel a shutdown; those that a terminal sends are dropped.
func minutes() (ticks <-chan time.Time, interrupts <-chan os.Signal, stop func()) {
	signal.Ignore(syscall.SIGCHLD, syscall.SIGHUP, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU)
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM)
	ticker := time.NewTicker(time.Minute)
	return ticker.C, c, func() { ticker.Stop(); signal.Stop(c) }
}
