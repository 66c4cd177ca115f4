package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"onset/eventsources/sourcetest"
)

// bridgeJob is the job of UPSTART §9.8 for the bus of a session, but for when it
// starts.
const bridgeJob = `description "Bridge DBus signals to upstart"
start on go
stop on gone
emits dbus
expect daemon
respawn
env DBUS_SESSION_BUS_ADDRESS=%s
exec PATH/upstart-dbus-bridge --daemon --session --user --bus-name session
`

func TestPackagedBridge(t *testing.T) {
	bus := sourcetest.NewBus(t)
	s := sourcetest.NewSession(t, map[string]string{
		"upstart-dbus-session-bridge.conf": fmt.Sprintf(bridgeJob, bus.Address),
		"heard.conf":                       "start on dbus SIGNAL=Hello BUS=session\ntask\nexec echo heard $ARG0\n",
	})
	self, err := os.Executable()
	if err == nil {
		err = os.Symlink(self, s.Path("upstart-dbus-bridge"))
	}
	if err != nil {
		t.Fatal(err)
	}
	s.Initctl("emit", "go") // until it runs
	status := strings.TrimSpace(s.Initctl("status", "upstart-dbus-session-bridge"))
	files, _ := filepath.Glob(s.Path("run", "upstart-dbus-bridge.*.pid"))
	pid, _ := os.ReadFile(strings.Join(files, ""))
	if len(files) != 1 || !strings.HasSuffix(status, "start/running, process "+strings.TrimSpace(string(pid))) {
		t.Fatalf("%q; pid file %q: %q; log: %s", status, files, pid, s.Log("upstart-dbus-session-bridge"))
	}
	if text := s.Log("upstart-dbus-session-bridge"); text != "" {
		t.Errorf("it says %q", text)
	}
	s.Await("the job of a signal", func() bool {
		if err := bus.Connect().Emit("/a", "com.example.Test.Hello", "you"); err != nil {
			t.Fatal(err)
		}
		return strings.HasPrefix(s.Log("heard"), "heard you\n")
	})
	s.Initctl("emit", "gone")
	if _, err := os.Stat(files[0]); !os.IsNotExist(err) {
		t.Errorf("its pid file at the end: %v", err)
	}
}
