package power

import (
	"context"
	"strings"
	"testing"
	"time"

	"onset/eventsources"
	"onset/eventsources/sourcetest"
)

// onFiles is the source on a machine of files.
type onFiles struct {
	Source
	at places
}

func (s onFiles) Run(ctx context.Context, init eventsources.Init) error {
	return s.runAt(ctx, init, s.at)
}

// TestExamples runs the jobs of docs/SOURCES.md on a real init, with a bus that
// has a fake logind and a machine of files.
func TestExamples(t *testing.T) {
	jobs := sourcetest.Examples(t, "power")
	if len(jobs) != 3 {
		t.Fatalf("%d examples", len(jobs))
	}
	bus, m := sourcetest.NewBus(t), newMachine(t)
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.Address)
	l := newLogin(t, bus, time.Minute, false)
	m.supply("AC", "type=Mains", "online=1")
	m.supply("BAT0", "type=Battery", "status=Discharging", "capacity=3", "capacity_level=Critical")
	keyboard := m.input("event0", keyboardKeys)
	lid := m.input("event1", lidSwitch)
	s := sourcetest.NewSession(t, jobs)
	s.Host(onFiles{at: m.places()})
	low := func(last string) func() bool {
		return func() bool {
			return strings.HasSuffix(s.Log("low"), "somebody should shut down: "+last+"\n") && strings.Contains(s.Initctl("status", "low"), "stop/waiting")
		}
	}
	s.Await("the low battery", low("battery-low"))
	keyboard.Write(event(typeKey, keyPower, 1))
	s.Await("the button", low("power-button"))
	index := func() string { return s.Initctl("status", "index") }
	if !strings.Contains(index(), "stop/waiting") {
		t.Errorf("while there is no lid: %s", index())
	}
	lid.Write(event(typeSwitch, switchLid, 0))
	s.Await("the job while the lid is open", func() bool { return strings.Contains(index(), "start/running") })
	lid.Write(event(typeSwitch, switchLid, 1))
	s.Await("the end of the job", func() bool { return strings.Contains(index(), "stop/waiting") })
	inhibitor := l.inhibitor()
	l.prepare(true)
	released(t, inhibitor)
	s.Await("the job before the suspend", func() bool { return s.Log("nap") == "good night\n" })
	l.prepare(false)
	s.Await("the job after the suspend", func() bool { return s.Log("nap") == "good night\nslept for 0 seconds\n" })
}
