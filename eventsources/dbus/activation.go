package dbus

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"

	wire "github.com/godbus/dbus/v5"

	"onset/eventsources"
	"onset/eventsources/msgbus"
)

// What dbus-daemon --systemd-activation knows of those who start services.
const (
	activatorName      = "org.freedesktop.systemd1"
	activatorInterface = "org.freedesktop.systemd1.Activator"
)

// own takes the name of those who start services, or gives it back.
func (l *link) own(conn *wire.Conn, owner bool) {
	if !owner {
		conn.ReleaseName(activatorName)
		return
	}
	switch reply, err := conn.RequestName(activatorName, 0); {
	case err != nil:
		l.init.Logf("jobs wait for dbus-activation, and the bus does not let this be %s: %v", activatorName, err)
	case reply == wire.RequestNameReplyInQueue:
		l.init.Logf("jobs wait for dbus-activation, and %s is another program, which the bus asks until that goes", activatorName)
	}
}

// request takes what the bus asks of the activator.
func (l *link) request(member string, body []any) {
	if member != "ActivationRequest" || len(body) == 0 {
		return
	}
	unit, ok := body[0].(string)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !ok || l.conn == nil || l.activating[unit] {
		return
	}
	l.activating[unit] = true
	go l.activate(l.conn, unit)
}

// activate has a unit started, and tells the bus if that fails. The bus itself
// sees when a service has its name.
func (l *link) activate(conn *wire.Conn, unit string) {
	env := []string{"UNIT=" + unit}
	if name := l.bus.serviceOf(unit); name != "" {
		env = append(env, "NAME="+name)
	}
	env = l.named(env...)
	fault, text := "org.freedesktop.systemd1.NoSuchUnit", "no job is started on "+activationEvent+" "+strings.Join(env, " ")
	if l.wantsActivation(env) {
		err := l.init.EmitWait(l.ctx, eventsources.Event{Name: activationEvent, Env: env})
		if fault = ""; err != nil {
			fault, text = "org.freedesktop.DBus.Error.Spawn.Failed", err.Error()
		}
	}
	if fault != "" && l.ctx.Err() == nil {
		l.init.Logf("%s is not started: %s", unit, text)
		conn.Send(&wire.Message{Type: wire.TypeSignal, Headers: map[wire.HeaderField]wire.Variant{
			wire.FieldDestination: wire.MakeVariant(msgbus.Driver),
			wire.FieldPath:        wire.MakeVariant(wire.ObjectPath("/org/freedesktop/systemd1")),
			wire.FieldInterface:   wire.MakeVariant(activatorInterface),
			wire.FieldMember:      wire.MakeVariant("ActivationFailure"),
			wire.FieldSignature:   wire.MakeVariant(wire.SignatureOf("", "", "")),
		}, Body: []any{unit, fault, text}}, nil)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.activating, unit)
}

// serviceOf returns the name that a unit serves, by the service files of the
// bus; empty if none says.
func (b Bus) serviceOf(unit string) string {
	dirs := b.Services
	if dirs == nil {
		dirs = b.folders()
	}
	for _, dir := range dirs {
		files, _ := filepath.Glob(filepath.Join(dir, "*.service"))
		for _, file := range files {
			if name, of := readService(file); name != "" && of == unit {
				return name
			}
		}
	}
	return ""
}

// folders returns where dbus-daemon looks for service files, most important
// first (dbus-daemon(1), servicedir).
func (b Bus) folders() (dirs []string) {
	if !b.Session {
		for _, dir := range []string{"/run", "/etc", "/usr/local/share", "/usr/share", "/lib"} {
			dirs = append(dirs, dir+"/dbus-1/system-services")
		}
		return dirs
	}
	home, _ := os.UserHomeDir()
	data := os.Getenv("XDG_DATA_HOME")
	if data == "" {
		data = filepath.Join(home, ".local", "share")
	}
	more := os.Getenv("XDG_DATA_DIRS")
	if more == "" {
		more = "/usr/local/share:/usr/share"
	}
	for _, dir := range append([]string{os.Getenv("XDG_RUNTIME_DIR"), data}, strings.Split(more, ":")...) {
		if dir != "" {
			dirs = append(dirs, filepath.Join(dir, "dbus-1", "services"))
		}
	}
	return dirs
}

// readService returns what a service file says.
func readService(path string) (name, unit string) {
	file, err := os.Open(path)
	if err != nil {
		return "", ""
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), "=")
		switch strings.TrimSpace(key) {
		case "Name":
			name = strings.TrimSpace(value)
		case "SystemdService":
			unit = strings.TrimSpace(value)
		}
	}
	return name, unit
}
