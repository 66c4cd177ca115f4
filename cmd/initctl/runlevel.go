package main

import (
	"errors"
	"io/fs"
	"syscall"
	"time"

	"onset/core/control"
	"onset/platform/utmp"
)

// noLevel stands for a runlevel that is not known.
const noLevel = 'N'

// runlevels returns the current runlevel and the one before, from the
// environment or the records of a file (UPSTART §10.1).
func (t *tool) runlevels(file string) (current, previous byte, err error) {
	if v, ok := t.lookup("RUNLEVEL"); ok {
		return levelOf(v), levelOf(t.getenv("PREVLEVEL")), nil
	}
	now, before, err := utmp.Runlevel(file)
	return orNone(now), orNone(before), err
}

func levelOf(v string) byte {
	if v == "" {
		return noLevel
	}
	return v[0]
}

// orNone is a level as a record has it.
func orNone(level byte) byte {
	if level == 0 {
		return noLevel
	}
	return level
}

// runlevel is the program runlevel (UPSTART §10.4).
func (t *tool) runlevel(args []string) error {
	file := t.utmp
	if len(args) > 0 {
		file = args[0]
	}
	current, previous, err := t.runlevels(file)
	switch {
	case err == nil && current != noLevel:
		t.print(string([]byte{previous, ' ', current, '\n'}))
		return nil
	case err == nil || errors.Is(err, syscall.ESRCH):
		t.print("unknown\n")
		return errQuiet
	}
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		err = p.Err
	}
	if t.opts.has("quiet") {
		return errQuiet
	}
	return errors.New(file + ": " + systemText(err))
}

// telinit is the program telinit (UPSTART §10.3).
func (t *tool) telinit(args []string) error {
	if len(args) == 0 {
		return usageError("missing runlevel")
	}
	if len(args[0]) != 1 || !isLevel(args[0][0]) {
		return usageError("illegal runlevel: " + args[0])
	}
	if err := t.needRoot(); err != nil {
		return err
	}
	switch level := args[0][0]; level {
	case 'q', 'Q':
		return t.kill(1, syscall.SIGHUP)
	case 'u', 'U':
		return t.reexec()
	case 's':
		return t.changeRunlevel('S', t.opts["env"])
	default:
		return t.changeRunlevel(level, t.opts["env"])
	}
}

// needRoot refuses anybody else. A program that is setuid becomes root wholly.
func (t *tool) needRoot() error {
	if t.euid == 0 && t.uid != 0 && syscall.Setuid(0) == nil {
		t.uid = 0
	}
	if t.uid != 0 {
		return spoken("Need to be root")
	}
	return nil
}

func isLevel(c byte) bool {
	switch c {
	case 's', 'S', 'q', 'Q', 'u', 'U':
		return true
	}
	return '0' <= c && c <= '6'
}

// changeRunlevel records the new level and emits its event, without waiting
// for what that starts (UPSTART §10.2).
func (t *tool) changeRunlevel(level byte, env []string) error {
	previous, _, _ := t.runlevels(t.utmp) // noLevel if it fails
	var err error
	if t.client, err = t.private(t.systemSocket); err != nil {
		return err
	}
	before := previous
	if before == noLevel {
		before = 0
	}
	utmp.SetRunlevel(t.utmp, t.wtmp, level, before, time.Now())
	all := append([]string{"RUNLEVEL=" + string(rune(level)), "PREVLEVEL=" + string(rune(previous))}, env...)
	return t.tell(manager, control.EmitEvent, "runlevel", all, false)
}

// reexec asks init to start itself anew and waits until it is back: there is
// no reply, the connection ends or brings the signal of the new image.
func (t *tool) reexec() error {
	c, err := t.private(t.systemSocket)
	if err != nil {
		return err
	}
	err = c.callForSignal(request{manager, control.Restart.Spec(), nil}, control.Signals[control.SignalRestarted].Name)
	c.close()
	for errors.Is(err, errLost) {
		time.Sleep(100 * time.Millisecond)
		if c, e := dial(t.systemSocket); e == nil {
			c.close()
			return nil
		}
	}
	return err
}
