package sourcetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// openBus is the configuration of a bus that lets everybody do everything.
const openBus = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>ADDRESS</listen><auth>EXTERNAL</auth><policy context="default">
<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`

// Bus is a message bus of Debian's that lets everybody do everything. It can
// be stopped and started again at the same address.
type Bus struct {
	Address string

	t      testing.TB
	config string
	cmd    *exec.Cmd
}

// NewBus starts a message bus, which ends with the test. Without dbus-daemon
// the test is skipped.
func NewBus(t testing.TB) *Bus {
	t.Helper()
	if _, err := exec.LookPath("dbus-daemon"); err != nil {
		t.Skip("there is no dbus-daemon here")
	}
	dir := t.TempDir()
	b := &Bus{Address: "unix:path=" + filepath.Join(dir, "bus"), t: t, config: filepath.Join(dir, "bus.conf")}
	text := []byte(strings.Replace(openBus, "ADDRESS", b.Address, 1))
	if err := os.WriteFile(b.config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	b.Start()
	t.Cleanup(b.Stop)
	return b
}

// Start starts the bus after Stop.
func (b *Bus) Start() {
	b.t.Helper()
	b.cmd = exec.Command("dbus-daemon", "--config-file="+b.config, "--nofork", "--nopidfile")
	if err := b.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	for end := time.Now().Add(Patience); ; time.Sleep(5 * time.Millisecond) {
		conn, err := dbus.Connect(b.Address)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(end) {
			b.t.Fatalf("the bus does not answer: %v", err)
		}
	}
}

// Stop ends the bus, and with it all connections.
func (b *Bus) Stop() {
	if b.cmd != nil {
		b.cmd.Process.Kill()
		b.cmd.Wait()
		b.cmd = nil
	}
}

// Connect returns a connection, which ends with the test.
func (b *Bus) Connect() *dbus.Conn {
	b.t.Helper()
	conn, err := dbus.Connect(b.Address)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.Close() })
	return conn
}
