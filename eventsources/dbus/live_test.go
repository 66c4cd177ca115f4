package dbus

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	wire "github.com/godbus/dbus/v5"

	"onset/eventsources/sourcetest"
)

// serviceMark in the environment makes the test binary a service on the bus of
// that address.
const serviceMark = "ONSET_TEST_SERVICE"

func TestMain(m *testing.M) {
	if address := os.Getenv(serviceMark); address != "" {
		if err := beService(address); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func beService(address string) error {
	conn, err := wire.Connect(address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.RequestName("org.example.Hello", wire.NameFlagDoNotQueue); err != nil {
		return err
	}
	<-conn.Context().Done()
	return nil
}

const activatingBus = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path=DIR/bus</listen><servicedir>DIR/services</servicedir><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy></busconfig>`

// newActivatingBus starts a bus that asks systemd for services, with some. Its
// configuration has DIR for the folder that it may use.
func newActivatingBus(t *testing.T, config string) Bus {
	t.Helper()
	program, err := exec.LookPath("dbus-daemon")
	if err != nil {
		t.Skip("there is no dbus-daemon here")
	}
	dir := t.TempDir()
	files := map[string]string{"bus.conf": strings.ReplaceAll(config, "DIR", dir),
		"services/org.freedesktop.systemd1.service": "[D-BUS Service]\nName=org.freedesktop.systemd1\nExec=/bin/false\n"}
	for name, unit := range map[string]string{"org.example.Hello": "dbus-org.example.Hello.service", "org.example.Bad": "bad.service", "org.example.None": "none.service"} {
		files["services/"+name+".service"] = "[D-BUS Service]\nName=" + name + "\nExec=/bin/false\nSystemdService=" + unit + "\n"
	}
	if err := os.Mkdir(filepath.Join(dir, "services"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, "--config-file="+filepath.Join(dir, "bus.conf"), "--systemd-activation", "--nofork", "--nopidfile")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return Bus{Address: "unix:path=" + filepath.Join(dir, "bus"), Services: []string{filepath.Join(dir, "services")}}
}

func connect(t *testing.T, address string) *wire.Conn {
	t.Helper()
	for end := time.Now().Add(sourcetest.Patience); ; time.Sleep(5 * time.Millisecond) {
		conn, err := wire.Connect(address)
		if err == nil {
			t.Cleanup(func() { conn.Close() })
			return conn
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// TestExamples runs the jobs of docs/SOURCES.md on a real init.
func TestExamples(t *testing.T) {
	bus := newActivatingBus(t, activatingBus)
	conn := connect(t, bus.Address)
	jobs := sourcetest.Examples(t, "dbus")
	if len(jobs) != 3 {
		t.Fatalf("%d examples", len(jobs))
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	jobs["hello.conf"] = strings.Replace(jobs["hello.conf"], "exec hellod", "exec env "+serviceMark+"="+bus.Address+" "+self, 1)
	jobs["hello.conf"] = strings.Replace(jobs["hello.conf"], "expect dbus org.example.Hello\n", "", 1) // the bus is not init's
	jobs["bad.conf"] = "start on dbus-activation UNIT=bad.service\ntask\nexec false\n"
	s := sourcetest.NewSession(t, jobs)
	s.Host(Source{Buses: []Bus{bus}})
	owner(t, conn, activatorName)

	ping := func(name string) error {
		return conn.Object(name, "/").Call("org.freedesktop.DBus.Peer.Ping", 0).Err
	}
	if err := ping("org.example.Hello"); err != nil {
		t.Errorf("a call to a service that is to be started: %v", err)
	}
	s.Await("the job that needs the name", func() bool { return strings.Contains(s.Initctl("status", "greeter"), "start/running") })
	if status := s.Initctl("status", "hello"); !strings.Contains(status, "start/running") {
		t.Errorf("the service: %s", status)
	}
	for name, want := range map[string]string{"org.example.Bad": "Event failed", "org.example.None": "no job is started on dbus-activation UNIT=none.service NAME=org.example.None"} {
		if err := ping(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a call to %s: %v, want %q", name, err, want)
		}
	}
	s.Initctl("stop", "hello")
	s.Await("the end of the job that needs the name", func() bool { return strings.Contains(s.Initctl("status", "greeter"), "stop/waiting") })

	s.Await("a song", func() bool {
		if err := conn.Emit("/player", "org.example.Player.Started", "Song", uint32(3)); err != nil {
			t.Fatal(err)
		}
		return strings.HasPrefix(s.Log("song-Song"), "Song, track 3\n") // as often as it was sung
	})
}

// TestSystemPolicy wants the file for a system bus to be enough beside what
// the bus of the distribution lets everybody do.
func TestSystemPolicy(t *testing.T) {
	const shipped = "/usr/share/dbus-1/system.conf"
	text, err := os.ReadFile(shipped)
	if err != nil || os.Getuid() != 0 {
		t.Skipf("not root, or no configuration of a system bus: %v", err)
	}
	ours, err := filepath.Abs("../../conf/dbus/onset-sources.conf")
	if err != nil {
		t.Fatal(err)
	}
	config := regexp.MustCompile(`(?s)<!--.*?-->|<(listen|user|pidfile|servicehelper|include|includedir)\b[^>]*>[^<]*</[a-z]+>|<(fork|syslog|standard_system_servicedirs)/>`).
		ReplaceAllString(string(text), "")
	config = strings.Replace(config, "</busconfig>", "<listen>unix:path=DIR/bus</listen><servicedir>DIR/services</servicedir><include>"+ours+"</include>"+
		`<policy context="default"><allow own_prefix="org.example"/><allow send_destination_prefix="org.example"/></policy></busconfig>`, 1)
	bus := newActivatingBus(t, config)
	conn := connect(t, bus.Address)
	w := run(t, Source{Buses: []Bus{bus}}, activationEvent+" NAME=org.example.Hello")
	owner(t, conn, activatorName)
	err = conn.Object("org.example.None", "/").Call("org.freedesktop.DBus.Peer.Ping", 0).Err
	if err == nil || !strings.Contains(err.Error(), "no job is started on") {
		t.Errorf("a failure: %v", err)
	}
	call := conn.Object("org.example.Hello", "/").Go("org.freedesktop.DBus.Peer.Ping", 0, make(chan *wire.Call, 1))
	w.await("wait dbus-activation UNIT=dbus-org.example.Hello.service NAME=org.example.Hello")
	if _, err := connect(t, bus.Address).RequestName("org.example.Hello", 0); err != nil {
		t.Fatal(err)
	}
	if err := (<-call.Done).Err; err != nil {
		t.Errorf("a call: %v", err)
	}
}

// TestNameOfActivator wants the name of the activator to be held only as long
// as a job waits for requests.
func TestNameOfActivator(t *testing.T) {
	bus := newActivatingBus(t, activatingBus)
	conn := connect(t, bus.Address)
	w := run(t, Source{Buses: []Bus{bus}}, readyOperand)
	w.ready(conn, "")
	var owned bool
	has := func() bool {
		if err := conn.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, activatorName).Store(&owned); err != nil {
			t.Fatal(err)
		}
		return owned
	}
	if has() {
		t.Error("the name is taken, and no job waits for requests")
	}
	w.SetConditions(on(readyOperand, activationEvent))
	owner(t, conn, activatorName)
	w.SetConditions(on(readyOperand))
	for end := time.Now().Add(sourcetest.Patience); has(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the name is not given back")
		}
	}
}

// TestActivatorIsAnother wants the log to say that requests go to somebody else.
func TestActivatorIsAnother(t *testing.T) {
	bus := newActivatingBus(t, activatingBus)
	conn := connect(t, bus.Address)
	if _, err := conn.RequestName(activatorName, 0); err != nil {
		t.Fatal(err)
	}
	w := run(t, Source{Buses: []Bus{bus}}, readyOperand, activationEvent)
	w.await("log jobs wait for dbus-activation, and org.freedesktop.systemd1 is another program, which the bus asks until that goes")
	conn.Close()
	other := connect(t, bus.Address)
	owner(t, other, activatorName)
	other.Object("org.example.Hello", "/").Go("org.freedesktop.DBus.Peer.Ping", 0, nil)
	w.await("wait dbus-activation UNIT=dbus-org.example.Hello.service NAME=org.example.Hello")
}
