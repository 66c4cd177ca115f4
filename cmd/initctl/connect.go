package main

import (
	"os"
)

const busName = "com.ubuntu.Upstart"

// userMode reports whether a session init is meant (UPSTART §7.1).
func (t *tool) userMode() bool {
	return t.opts.has("user") ||
		t.getenv("UPSTART_SESSION") != "" && !t.opts.has("system") && !t.opts.has("session")
}

// connect returns the connection to the init that environment and options
// choose; all calls of a run share one.
func (t *tool) connect() (*client, error) {
	if t.client != nil {
		return t.client, nil
	}
	var err error
	switch onBus := t.opts.has("system") || t.opts.has("session"); {
	case t.userMode():
		t.client, err = t.private(t.getenv("UPSTART_SESSION"))
	case t.opts.has("session"):
		t.client, err = t.bus("session", t.sessionBus())
	case !onBus && t.uid == 0:
		t.client, err = t.private(t.systemSocket)
	default:
		t.client, err = t.bus("system", t.systemBus())
	}
	return t.client, err
}

func (t *tool) private(address string) (*client, error) {
	if t.opts.has("dest") {
		return nil, usageError("--dest given without --system")
	}
	if address == "" {
		return nil, spoken("UPSTART_SESSION isn't set in the environment. Unable to locate the Upstart instance.")
	}
	c, err := dial(address)
	if err == errLost {
		return nil, err
	}
	if err != nil {
		return nil, &noServer{"Unable to connect to Upstart: " + err.Error()}
	}
	return c, nil
}

// noServer says that no init of ours answers on a private socket.
type noServer struct{ text string }

func (e *noServer) Error() string { return e.text }

func (t *tool) bus(kind, address string) (*client, error) {
	dest := t.opts.value("dest")
	if dest == "" {
		dest = busName
	}
	c, err := dial(address)
	if err == nil {
		err = c.hello(dest)
	}
	if err != nil {
		return nil, spoken("Unable to connect to " + kind + " bus: " + err.Error())
	}
	return c, nil
}

func (t *tool) systemBus() string {
	if a := t.getenv("DBUS_SYSTEM_BUS_ADDRESS"); a != "" {
		return a
	}
	const run = "/run/dbus/system_bus_socket"
	if _, err := os.Stat(run); err == nil {
		return "unix:path=" + run
	}
	return "unix:path=/var" + run
}

func (t *tool) sessionBus() string {
	if a := t.getenv("DBUS_SESSION_BUS_ADDRESS"); a != "" {
		return a
	}
	return "unix:path=" + t.getenv("XDG_RUNTIME_DIR") + "/bus"
}
