package power

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"onset/eventsources/sourcetest"
)

// equal compares what was told with what was to be told.
func equal(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// machine is a folder in the place of /sys, /dev and /run.
type machine struct {
	t   *testing.T
	dir string
}

func newMachine(t *testing.T) machine { return machine{t, t.TempDir()} }

func (m machine) places() places {
	return places{m.dir + "/sys", m.dir + "/dev", m.dir + "/acpid", m.dir + "/run"}
}

// write makes files of a folder, KEY=VALUE each.
func (m machine) write(dir string, files ...string) {
	m.t.Helper()
	for _, f := range files {
		name, value, _ := strings.Cut(f, "=")
		path := filepath.Join(m.dir, dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil {
			err = os.WriteFile(path, []byte(value+"\n"), 0o644)
		}
		if err != nil {
			m.t.Fatal(err)
		}
	}
}

func (m machine) supply(name string, files ...string) {
	m.write("sys/class/power_supply/"+name, files...)
}

// input makes an input device, which is a FIFO, and returns its other end.
func (m machine) input(name string, files ...string) *os.File {
	m.t.Helper()
	m.write("sys/class/input/"+name+"/device", files...)
	path := filepath.Join(m.dir, "dev/input", name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = syscall.Mkfifo(path, 0o600)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { file.Close() })
	return file
}

// event is the kernel's record of one.
func event(kind, code uint16, value uint32) []byte {
	b := make([]byte, inputEventSize)
	binary.NativeEndian.PutUint16(b[inputEventSize-8:], kind)
	binary.NativeEndian.PutUint16(b[inputEventSize-6:], code)
	binary.NativeEndian.PutUint32(b[inputEventSize-4:], value)
	return b
}

func (m machine) teller(init *sourcetest.Recorder) *teller {
	return newTeller(init, m.dir+"/sys/class/power_supply", &inputs{open: map[string]*input{}})
}

func TestMains(t *testing.T) {
	m, init := newMachine(t), &sourcetest.Recorder{}
	m.supply("AC", "type=Mains", "online=1")
	m.supply("BAT0", "type=Battery", "status=Full", "capacity=100")
	tr := m.teller(init)
	if err := tr.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	equal(t, init.Take(), "fact ac-power")
	look := func(online, status string, want ...string) {
		t.Helper()
		m.supply("AC", "online="+online)
		m.supply("BAT0", "status="+status)
		if err := tr.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		equal(t, init.Take(), want...)
	}
	look("1", "Full")
	look("0", "Discharging", "no fact ac-power", "emit ac-offline")
	look("0", "Discharging")
	look("1", "Charging", "fact ac-power", "emit ac-online")
}

func TestOnMains(t *testing.T) {
	for name, c := range map[string]struct {
		list []supply
		want bool
	}{
		"nothing":                          {nil, true},
		"mains":                            {[]supply{{kind: "Mains", online: true}}, true},
		"mains away":                       {[]supply{{kind: "Mains"}}, false},
		"one of two":                       {[]supply{{kind: "Mains"}, {kind: "Mains", online: true}}, true},
		"by USB":                           {[]supply{{kind: "Mains"}, {kind: "USB", online: true}}, true},
		"a free USB port says nothing":     {[]supply{{kind: "USB"}}, true},
		"battery alone":                    {[]supply{{kind: "Battery", status: "Discharging"}}, false},
		"battery that rests":               {[]supply{{kind: "Battery", status: "Not charging"}}, true},
		"mains though a battery is helped": {[]supply{{kind: "Mains", online: true}, {kind: "Battery", status: "Discharging"}}, true},
	} {
		if got := onMains(c.list); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestBatteryBecomesLow(t *testing.T) {
	m, init := newMachine(t), &sourcetest.Recorder{}
	tr := m.teller(init)
	if err := tr.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	init.Take()
	set := func(want string, files ...string) {
		t.Helper()
		m.supply("BAT0", files...)
		if err := tr.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := slices.DeleteFunc(init.Take(), func(l string) bool { return strings.Contains(l, "ac-") })
		if strings.Join(got, "|") != want {
			t.Errorf("%q: told %q", files, got)
		}
	}
	set("", "type=Battery", "status=Discharging", "capacity=50", "capacity_level=Normal")
	if !tr.draining {
		t.Error("batteries that are used are not looked at")
	}
	set("emit battery-low BATTERY=BAT0 LEVEL=low CAPACITY=10", "capacity=10")
	set("", "capacity=9")
	set("emit battery-low BATTERY=BAT0 LEVEL=critical CAPACITY=9", "capacity_level=Critical")
	set("", "capacity_level=Low")
	set("", "status=Charging")
	set("emit battery-low BATTERY=BAT0 LEVEL=low CAPACITY=9", "status=Discharging")
	set("", "capacity_level=Normal", "capacity=20")
	set("emit battery-low BATTERY=BAT0 LEVEL=low CAPACITY=20", "capacity_alert_min=25")
	set("", "present=0")
	set("emit battery-low BATTERY=BAT0 LEVEL=low", "present=1", "capacity=?", "capacity_level=Low")
	m.supply("hidpp_battery_0", "type=Battery", "scope=Device", "status=Discharging", "capacity=1")
	set("")
}

// TestAcpidTellsAPressTwice has acpid's lines, which are two where a button of
// ACPI is an input device.
func TestAcpidTellsAPressTwice(t *testing.T) {
	const acpi, input = "button/power LNXPWRBN:00 00000080 00000001", "button/power PBTN 00000080 00000000"
	for name, c := range map[string]struct {
		lines   []string
		presses int
	}{
		"both":           {[]string{input, acpi}, 1},
		"the other way":  {[]string{acpi, input}, 1},
		"twice both":     {[]string{input, acpi, input, acpi}, 2},
		"mixed":          {[]string{input, acpi, acpi, input}, 2},
		"ACPI alone":     {[]string{acpi, acpi, acpi}, 3},
		"input alone":    {[]string{input, input}, 2},
		"key, then both": {[]string{input, "", input, acpi}, 2},
		"a second later": {[]string{input, "", acpi}, 2},
	} {
		init := &sourcetest.Recorder{}
		tr := newMachine(t).teller(init)
		now := time.Now()
		for _, line := range c.lines {
			if line == "" {
				now = now.Add(samePress)
				continue
			}
			n, _ := parseLine(line)
			if err := tr.notified(t.Context(), n, true, now); err != nil {
				t.Fatal(err)
			}
		}
		presses := 0
		for _, l := range init.Take() {
			if l == "emit power-button" {
				presses++
			}
		}
		if presses != c.presses {
			t.Errorf("%s: %d presses", name, presses)
		}
	}
}

// start runs the source on a machine.
func start(t *testing.T, m machine) *sourcetest.Recorder {
	t.Helper()
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+m.dir+"/bus")
	init := &sourcetest.Recorder{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Source{}.runAt(ctx, init, m.places()) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return init
}

// await collects lines until one is there, and returns them.
func await(t *testing.T, init *sourcetest.Recorder, line string) (lines []string) {
	t.Helper()
	for end := time.Now().Add(sourcetest.Patience); ; time.Sleep(time.Millisecond) {
		lines = append(lines, init.Take()...)
		if i := slices.Index(lines, line); i >= 0 {
			return lines
		}
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %q in\n%s", line, strings.Join(lines, "\n"))
		}
	}
}

// Bitmaps of sysfs on 64 bits: of a keyboard, of ACPI's button, of a lid.
const (
	keyboardKeys = "capabilities/key=402000000 3803078f800d001 feffffdfffefffff fffffffffffffffe"
	powerKey     = "capabilities/key=10000000000000 0"
	lidSwitch    = "capabilities/sw=1"
)

func TestInputs(t *testing.T) {
	m := newMachine(t)
	keyboard := m.input("event0", keyboardKeys, "phys=isa0060/serio0/input0")
	lid := m.input("event1", lidSwitch, "phys=PNP0C0D/button/input0")
	acpi := m.input("event2", powerKey, "phys=LNXPWRBN/button/input0")
	init := start(t, m)
	await(t, init, "fact ac-power")
	write := func(to io.Writer, events ...[]byte) {
		t.Helper()
		if _, err := to.Write(slices.Concat(events...)); err != nil {
			t.Fatal(err)
		}
	}
	write(acpi, event(typeKey, keyPower, 1)) // of which the kernel notifies
	write(lid, event(typeSwitch, switchLid, 0), event(typeSyn, 0, 0))
	equal(t, await(t, init, "fact lid-open"), "fact lid-open")
	write(lid, event(typeSwitch, switchLid, 1), event(typeSyn, 0, 0))
	equal(t, await(t, init, "emit lid-closed"), "no fact lid-open", "emit lid-closed")
	write(keyboard, event(typeKey, 30, 1), event(typeKey, keySleep, 1), event(typeKey, keySleep, 2), event(typeKey, keySleep, 0),
		event(typeKey, keyPower, 1), event(typeKey, keyPower, 0))
	equal(t, await(t, init, "emit power-button"), "emit sleep-button", "emit power-button")
	write(lid, event(typeSwitch, switchLid, 0))
	equal(t, await(t, init, "emit lid-opened"), "fact lid-open", "emit lid-opened")
	// A device goes, and another has its name at once.
	if err := os.Remove(m.dir + "/dev/input/event0"); err != nil {
		t.Fatal(err)
	}
	next := m.input("event0", keyboardKeys)
	keyboard.Close()
	write(next, event(typeKey, keyPower, 1))
	equal(t, await(t, init, "emit power-button"), "emit power-button")
}

func TestBitmaps(t *testing.T) {
	for _, c := range []struct {
		bitmap string
		bit    int
		want   bool
	}{{"10000000000000 0", keyPower, true}, {"0", keyPower, false}, {"", 0, false}, {"1", 0, true}, {"zz 1", 64, false},
		{"402000000 3803078f800d001 feffffdfffefffff fffffffffffffffe", keySleep, true}} {
		if got := has(c.bitmap, c.bit); got != c.want {
			t.Errorf("%q bit %d: %v", c.bitmap, c.bit, got)
		}
	}
}

// TestDeviceThatCannotBeOpened wants it told once.
func TestDeviceThatCannotBeOpened(t *testing.T) {
	m := newMachine(t)
	m.write("sys/class/input/event7/device", lidSwitch)
	init := &sourcetest.Recorder{}
	in := &inputs{class: m.dir + "/sys/class/input", nodes: m.dir + "/dev/input", open: map[string]*input{}, refused: map[string]bool{}, logf: init.Logf}
	for range 3 {
		in.scan(t.Context(), func(*input, []byte) {})
	}
	if got := init.Take(); len(got) != 1 || !strings.Contains(got[0], "event7") {
		t.Errorf("%q", got)
	}
}

// TestAcpid has a source that does not hear the kernel read a fake acpid, which
// comes, goes and comes again.
func TestAcpid(t *testing.T) {
	m := newMachine(t)
	init := &sourcetest.Recorder{}
	ctx, cancel := context.WithCancel(context.Background())
	r := &run{init: init, at: m.places(), heard: make(chan news)}
	done := make(chan struct{})
	go func() { defer close(done); r.hearAcpid(ctx) }()
	tr, told := m.teller(init), make(chan error, 1)
	go func() {
		for {
			select {
			case tell := <-r.heard:
				if err := tell(ctx, tr); err != nil {
					told <- err
				}
			case <-ctx.Done():
				told <- nil
				return
			}
		}
	}()
	defer func() {
		cancel()
		<-done
		if err := <-told; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}()
	for round := range 2 {
		l, err := net.Listen("unix", m.dir+"/acpid")
		if err != nil {
			t.Fatal(err)
		}
		accepted := make(chan net.Conn, 1)
		go func() { conn, _ := l.Accept(); accepted <- conn }()
		conn := connected(t, init, accepted)
		fmt.Fprint(conn, "button/lid LID close\nbutton/power PB")
		await(t, init, "emit acpi CLASS=button/lid DEVICE=LID NOTIFY=close")
		fmt.Fprint(conn, "TN 00000080 00000000\nrubbish\n\nmore\nbutton/lid LID open\n")
		lines := await(t, init, "emit lid-opened")
		if !slices.Contains(lines, "emit power-button") || !slices.Contains(lines, `log cannot read acpid's line "rubbish"`) {
			t.Errorf("round %d: %q", round, lines)
		}
		if n := strings.Count(strings.Join(lines, "\n"), "log "); n != 1 {
			t.Errorf("round %d: %d lines of rubbish are told", round, n)
		}
		conn.Close()
		l.Close()
	}
}

// connected has jobs start until the source is connected.
func connected(t *testing.T, init *sourcetest.Recorder, accepted <-chan net.Conn) net.Conn {
	t.Helper()
	for end := time.Now().Add(sourcetest.Patience); time.Now().Before(end); {
		jobStarted(init)
		select {
		case conn := <-accepted:
			return conn
		case <-time.After(time.Millisecond):
		}
	}
	t.Fatal("nobody connects")
	return nil
}
