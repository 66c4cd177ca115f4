package udev

import (
	"context"
	"strings"
	"testing"

	"onset/eventsources"
	"onset/eventsources/sourcetest"
)

// replayed is the source with messages of a test.
type replayed struct {
	Source
	messages <-chan uevent
}

func (r replayed) Run(ctx context.Context, init eventsources.Init) error {
	t := newTracker(init, r.Source)
	for {
		list, changed := init.Conditions()
		if err := t.begin(wanted(list, false), nil); err != nil {
			return err
		}
		select {
		case u := <-r.messages:
			if err := t.handle(ctx, u); err != nil {
				return err
			}
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// TestExamples runs the jobs of docs/SOURCES.md on a real init.
func TestExamples(t *testing.T) {
	jobs := sourcetest.Examples(t, "udev")
	if len(jobs) != 2 {
		t.Fatalf("%d examples", len(jobs))
	}
	s := sourcetest.NewSession(t, jobs)
	messages := make(chan uevent)
	s.Host(replayed{messages: messages})
	say := func(action, path, subsystem string, more ...string) {
		messages <- message(action, path, subsystem, more...)
	}
	stick, port := "/devices/usb1/block/sdb", "/devices/usb1/tty/ttyUSB0"
	say("add", "/devices/ata1/block/sda", "block", "DEVTYPE=disk", "ID_BUS=ata", "DEVNAME=sda")
	say("add", stick, "block", "DEVTYPE=disk", "ID_BUS=usb", "DEVNAME=sdb")
	say("add", stick+"/sdb1", "block", "DEVTYPE=partition", "ID_BUS=usb", "DEVNAME=sdb1")
	say("add", port, "tty", "DEVNAME=ttyUSB0")
	s.Await("the stick", func() bool { return s.Log("stick-sdb") == "/dev/sdb is here\n" })
	s.Await("the port", func() bool { return s.Log("port-ttyUSB0") == "/dev/ttyUSB0 is here\n" })
	if list := s.Initctl("list"); strings.Count(list, "stick (") != 1 {
		t.Errorf("list:\n%s", list)
	}
	say("change", stick, "block", "DEVTYPE=disk", "ID_BUS=usb", "DEVNAME=sdb", "ID_FS_LABEL=holiday")
	say("remove", port, "tty", "DEVNAME=ttyUSB0")
	s.Await("the end of the port", func() bool { return strings.Contains(s.Initctl("list"), "port stop/waiting") })
	if got := s.Log("stick-sdb"); got != "/dev/sdb is here\n" {
		t.Errorf("the stick's job did not run on: %q", got)
	}
	say("remove", stick, "block", "DEVTYPE=disk", "ID_BUS=usb", "DEVNAME=sdb")
	s.Await("the end of the stick", func() bool { return strings.Contains(s.Initctl("list"), "stick stop/waiting") })
}
