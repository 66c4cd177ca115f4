package bus

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"onset/core/control"
)

// program returns the path of a program that the test needs.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("SKIPPED: %s is not installed here: %v", name, err)
	}
	return path
}

// run runs a program and returns what it printed.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%s%v", out, err)
	}
	return string(out)
}

func wantText(t *testing.T, got string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(got, text) {
			t.Errorf("no %q in\n%s", text, got)
		}
	}
}

func TestLibdbus(t *testing.T) {
	send := program(t, "dbus-send")
	w := newWorld(t, nil)
	ask := func(args ...string) string {
		return run(t, send, append([]string{"--peer=" + w.address, "--print-reply", "--type=method_call"}, args...)...)
	}
	wantText(t, ask(control.Root, "com.ubuntu.Upstart0_6.GetAllJobs"), `object path "/com/ubuntu/Upstart/jobs/foo_2dbar"`)
	wantText(t, ask(control.Root, "com.ubuntu.Upstart0_6.EmitEvent", "string:e", "array:string:A=1", "boolean:true"), "method return")
	wantText(t, ask(control.Root, "org.freedesktop.DBus.Properties.GetAll", "string:"), `string "processes"`, "int32 7")
	wantText(t, ask(control.Root, "com.ubuntu.Upstart0_6.No", "int32:1"), "Error org.freedesktop.DBus.Error.UnknownMethod",
		`Method "No" with signature "i" on interface "com.ubuntu.Upstart0_6" doesn't exist`)
	wantText(t, ask("/", "org.freedesktop.DBus.Introspectable.Introspect"), `<node name="com"/>`)
	id, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		t.Logf("SKIPPED: machine ID: %v", err)
		return
	}
	wantText(t, ask("/", "org.freedesktop.DBus.Peer.GetMachineId"), strings.TrimSpace(string(id)))
}

func TestGDBus(t *testing.T) {
	gdbus := program(t, "gdbus")
	w := newWorld(t, nil)
	ask := func(verb string, args ...string) string {
		return run(t, gdbus, append([]string{verb, "--address", w.address, "--dest", "com.ubuntu.Upstart", "--object-path", control.Root}, args...)...)
	}
	wantText(t, ask("call", "--method", "com.ubuntu.Upstart0_6.GetAllJobs"), "objectpath '/com/ubuntu/Upstart/jobs/foo_2dbar'")
	wantText(t, ask("call", "--method", "com.ubuntu.Upstart0_6.GetJobByName", "b"), "com.ubuntu.Upstart0_6.Error.UnknownJob", "Unknown job: b")
	wantText(t, ask("introspect"), "EmitEventWithFile", "JobAdded")
}

// pythonWithDBus returns a Python that has the bindings of libdbus.
func pythonWithDBus(t *testing.T) string {
	t.Helper()
	out := ""
	for _, python := range []string{program(t, "python3"), "/usr/bin/python3"} {
		if out = run(t, python, "-c", "import dbus"); out == "" {
			return python
		}
	}
	t.Skipf("SKIPPED: python3-dbus is not installed here: %s", out)
	return ""
}

func TestPythonDBus(t *testing.T) {
	python := pythonWithDBus(t)
	w := newWorld(t, nil)
	script := `
import dbus, dbus.connection, os, sys
c = dbus.connection.Connection(sys.argv[1])
o = c.get_object(object_path="/com/ubuntu/Upstart")
i = dbus.Interface(o, "com.ubuntu.Upstart0_6")
print(i.GetAllJobs())
r, f = os.pipe()
i.EmitEventWithFile("e", dbus.Array([], signature="s"), True, dbus.types.UnixFd(f))
print(dbus.Interface(o, "org.freedesktop.DBus.Properties").GetAll(""))
`
	wantText(t, run(t, python, "-c", script, w.address), "/com/ubuntu/Upstart/jobs/foo_2dbar", "'processes'")
	for _, a := range w.handled() {
		if a.Method == control.EmitEventWithFile && a.File < 3 {
			t.Errorf("descriptor %d", a.File)
		}
		closeCall(&a.Call)
	}
}

// freeBus is the policy of a bus that lets everybody do everything.
const freeBus = `<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>`

// startBus starts a message bus that lets everybody do everything.
func startBus(t *testing.T) (address string, stop func()) {
	t.Helper()
	return runBus(t, program(t, "dbus-daemon"), t.TempDir(), freeBus)
}

// runBus starts a message bus in a directory.
func runBus(t *testing.T, daemon, dir, policy string) (address string, stop func()) {
	t.Helper()
	config := filepath.Join(dir, "bus.conf")
	address = "unix:path=" + filepath.Join(dir, "bus")
	text := `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><listen>` + address + `</listen><auth>EXTERNAL</auth>` + policy + `</busconfig>`
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(daemon, "--config-file="+config, "--nofork", "--nopidfile")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cmd.Process.Kill()
			cmd.Wait()
		}
	}
	t.Cleanup(stop)
	eventually(t, "the bus listens", func() bool {
		fd, err := connect(address)
		if err == nil {
			unix.Close(fd)
		}
		return err == nil
	})
	return address, stop
}

// join connects the server to a bus.
func (w *world) join(address string, lost func()) error {
	done := make(chan error, 1)
	w.within(func() {
		w.ConnectBus(Bus{Address: address, Label: "D-Bus system bus", Name: "com.ubuntu.Upstart",
			Done: func(err error) { done <- err }, Lost: lost})
	})
	return <-done
}

func (w *world) onBus(address string) (*dbus.Conn, dbus.BusObject) {
	w.t.Helper()
	c, err := dbus.Connect(address)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	return c, c.Object("com.ubuntu.Upstart", control.Root)
}

func TestMessageBus(t *testing.T) {
	address, stop := startBus(t)
	w := newWorld(t, nil)
	lost := make(chan struct{})
	if err := w.join(address, func() { close(lost) }); err != nil {
		t.Fatal(err)
	}
	if err := w.join(address, nil); err != nil {
		t.Errorf("a second time: %v", err)
	}
	c, init := w.onBus(address)
	if err := c.AddMatchSignal(dbus.WithMatchSender("com.ubuntu.Upstart")); err != nil {
		t.Fatal(err)
	}
	signals := make(chan *dbus.Signal, 10)
	c.Signal(signals)
	var paths []dbus.ObjectPath
	for range 3 {
		if err := init.Call("com.ubuntu.Upstart0_6.GetAllJobs", 0).Store(&paths); err != nil || len(paths) != 2 {
			t.Fatal(paths, err)
		}
	}
	if err := init.Call("com.ubuntu.Upstart0_6.GetJobByName", 0, "b").Err; err == nil || err.Error() != "Unknown job: b" {
		t.Error(err)
	}
	who := w.handled()[0].Caller
	if who.UID != os.Geteuid() || who.PID != os.Getpid() || who.Conn == 0 {
		t.Errorf("%+v", who)
	}
	w.within(func() { w.Publish(control.Restarted()) })
	for s := range signals {
		if s.Name == "com.ubuntu.Upstart0_6.Restarted" {
			break
		}
	}
	c.Close()
	eventually(t, "the engine hears that the caller is gone", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.hangups) == 1 && w.hangups[0] == who.Conn
	})
	stop()
	<-lost
	w.wantLog("Disconnected from D-Bus system bus")
}

func TestBusNameTaken(t *testing.T) {
	address, _ := startBus(t)
	first, second := newWorld(t, nil), newWorld(t, nil)
	if err := first.join(address, nil); err != nil {
		t.Fatal(err)
	}
	if err := second.join(address, nil); err == nil || err.Error() != "Name already taken" {
		t.Error(err)
	}
	if err := second.join("unix:path="+filepath.Join(t.TempDir(), "none"), nil); err == nil || err.Error() != "no such file or directory" {
		t.Error(err)
	}
}

func TestBigMessageDoesNotCostTheBus(t *testing.T) {
	address, _ := startBus(t)
	w := newWorld(t, nil)
	if err := w.join(address, nil); err != nil {
		t.Fatal(err)
	}
	_, init := w.onBus(address)
	init.Go("com.ubuntu.Upstart0_6.GetJobByName", dbus.FlagNoReplyExpected, nil, strings.Repeat("x", 3*maxMessage))
	if err := init.Call("org.freedesktop.DBus.Peer.Ping", 0).Err; err != nil {
		t.Error(err)
	}
	w.wantLog("left out")
}

func TestManyCallersOverABus(t *testing.T) {
	address, _ := startBus(t)
	w := newWorld(t, nil)
	if err := w.join(address, nil); err != nil {
		t.Fatal(err)
	}
	var c *dbus.Conn
	for range 40 { // each a caller of its own, some with facts
		var init dbus.BusObject
		c, init = w.onBus(address)
		if err := init.Call("com.ubuntu.Upstart0_6.AssertFact", 0, "f", []string{}).Err; err != nil {
			t.Fatal(err)
		}
	}
	var known int
	w.within(func() { known = len(w.bus.guests) })
	if known != 40 {
		t.Errorf("%d callers known, want 40", known)
	}
	c.Close()
	eventually(t, "the one that left is forgotten", func() bool {
		w.within(func() { known = len(w.bus.guests) })
		return known == 39
	})
}

func TestUpdateActivation(t *testing.T) {
	address, _ := startBus(t)
	w := newWorld(t, nil)
	if err := w.join(address, nil); err != nil {
		t.Fatal(err)
	}
	w.within(func() { w.UpdateActivation([]string{"A=1=2", "B"}) })
	eventually(t, "the bus answers", func() (done bool) {
		w.within(func() { done = w.bus != nil && len(w.bus.calls) == 0 })
		return done
	})
	if len(w.log) > 1 || w.log[0] != "Connected to D-Bus system bus" {
		t.Error(w.log)
	}
}
