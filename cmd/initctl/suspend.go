package main

import (
	"errors"
	"os"
	"strconv"
	"time"

	"onset/core/control"
	"onset/platform/suspend"
)

// sleeping is how the machine sleeps.
type sleeping struct {
	supported func(suspend.Method) error
	lock      func() (*os.File, error)
	enter     func(suspend.Method) error
	clock     func() time.Duration
}

func realSleeping() sleeping {
	return sleeping{suspend.Supported, suspend.Lock, suspend.Enter, suspend.Clock}
}

// Logind and elogind on the system bus (org.freedesktop.login1(5)), with their
// methods and whether to ask the user for a password.
const (
	login        = "org.freedesktop.login1"
	loginPath    = "/org/freedesktop/login1"
	loginManager = login + ".Manager"
	interactive  = true
)

var loginMethods = map[suspend.Method]string{suspend.Suspend: "Suspend", suspend.Hibernate: "Hibernate"}

// suspend is the command of that name (EXTENSIONS §9).
func (t *tool) suspend([]string) error {
	method := suspend.Suspend
	if t.opts.has("hibernate") {
		method = suspend.Hibernate
	}
	timeout := suspend.Timeout
	if t.opts.has("suspend-timeout") {
		n, err := strconv.ParseUint(t.opts.value("suspend-timeout"), 10, 31)
		if err != nil {
			return usageError("illegal time value: " + t.opts.value("suspend-timeout"))
		}
		timeout = time.Duration(n) * time.Second
	}
	if c := t.login(); c != nil {
		defer c.close()
		_, err := c.do(loginRequest(loginMethods[method], interactive))
		return err
	}
	return t.sleepHere(method, timeout)
}

func loginRequest(name string, args ...any) request {
	spec := &control.MethodSpec{Interface: loginManager, Name: name}
	for range args {
		spec.In = append(spec.In, control.Arg{Name: "interactive", Type: "b"})
	}
	return request{loginPath, spec, args}
}

// login returns a connection to logind, or nil where there is none.
func (t *tool) login() *client {
	c, err := dial(t.systemBus())
	if err != nil {
		return nil
	}
	const bus = "org.freedesktop.DBus"
	if err = c.hello(bus); err == nil {
		has := &control.MethodSpec{Interface: bus, Name: "NameHasOwner", In: []control.Arg{{Name: "name", Type: "s"}}}
		var there bool
		if there, err = only[bool](c.do(request{"/org/freedesktop/DBus", has, []any{login}})); err == nil && there {
			c.dest = login
			return c
		}
	}
	c.close()
	return nil
}

// sleepHere has jobs get ready, puts the machine to sleep and tells jobs of the
// end of it, which comes also when it did not sleep.
func (t *tool) sleepHere(method suspend.Method, timeout time.Duration) error {
	if err := t.needRoot(); err != nil {
		return err
	}
	if err := t.sleeping.supported(method); err != nil {
		return err
	}
	lock, err := t.sleeping.lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := t.suspending(method, timeout); err != nil {
		return err
	}
	before := t.sleeping.clock()
	failed := t.sleeping.enter(method)
	slept := t.sleeping.clock() - before
	err = t.emitOnce("resumed", []string{"METHOD=" + string(method), suspend.Slept(slept)}, false, time.Time{})
	if failed != nil {
		t.complain("Cannot " + string(method) + ": " + systemText(failed))
		failed = errQuiet
	}
	return errors.Join(failed, err)
}

// suspending emits the event before a suspend and waits for its jobs. It fails
// only where init is not to be had.
func (t *tool) suspending(method suspend.Method, timeout time.Duration) error {
	end := time.Now().Add(timeout)
	err := t.emitOnce("suspending", []string{"METHOD=" + string(method)}, timeout > 0, end)
	none := &noServer{}
	answer := &control.Error{}
	switch {
	case err == nil:
	case errors.As(err, &none):
		return err
	case errors.As(err, &answer) || time.Now().Before(end):
		t.complain(err.Error() + "; the suspend goes on")
	default:
		t.complain("jobs are not ready after " + timeout.String() + "; the suspend goes on")
	}
	return nil
}

// emitOnce emits an event by a connection of its own, which waits no longer
// than until a time, if there is one.
func (t *tool) emitOnce(name string, env []string, wait bool, end time.Time) error {
	c, err := t.private(t.systemSocket)
	if err != nil {
		return err
	}
	defer c.close()
	if wait {
		c.conn.SetReadDeadline(end)
	}
	_, err = c.call(manager, control.EmitEvent, name, env, wait)
	return err
}
