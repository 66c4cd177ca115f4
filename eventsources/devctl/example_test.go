package devctl

import (
	"context"
	"strings"
	"testing"

	"onset/eventsources"
	"onset/eventsources/sourcetest"
)

// replayed is the source with records of a test instead of the kernel's.
type replayed struct {
	Source
	records <-chan string
}

func (r replayed) Run(ctx context.Context, init eventsources.Init) error {
	t := newTracker(init, &fake{disks: map[string]string{"da0": "DISK", "da0p1": "PART", "ada0": "DISK"}, button: true})
	if err := t.begin(ctx, &snapshot{interfaces: []string{"em0"}}, false); err != nil {
		return err
	}
	for {
		select {
		case line := <-r.records:
			if err := t.handle(ctx, line); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// TestExamples runs the jobs of docs/SOURCES.md on a real init.
func TestExamples(t *testing.T) {
	jobs := sourcetest.Examples(t, "devctl")
	if len(jobs) != 2 {
		t.Fatalf("%d examples", len(jobs))
	}
	s := sourcetest.NewSession(t, jobs)
	records := make(chan string)
	s.Host(replayed{records: records})
	for _, line := range []string{
		"!system=IFNET subsystem=em0 type=LINK_UP", "!system=IFNET subsystem=lo0 type=LINK_UP",
		"!system=GEOM subsystem=DEV type=CREATE cdev=ada0",
		"!system=DEVFS subsystem=CDEV type=CREATE cdev=da0", "!system=GEOM subsystem=DEV type=CREATE cdev=da0",
		"!system=DEVFS subsystem=CDEV type=CREATE cdev=da0p1", "!system=GEOM subsystem=DEV type=CREATE cdev=da0p1",
	} {
		records <- line
	}
	s.Await("the disk", func() bool { return s.Log("stick-da0") == "/dev/da0 is here\n" })
	s.Await("the link", func() bool { return s.Log("link-em0") == "em0 has a link\n" })
	if list := s.Initctl("list"); strings.Count(list, "stick (") != 1 || strings.Contains(s.Initctl("list"), "lo0") {
		t.Errorf("list:\n%s", list)
	}
	records <- "!system=GEOM subsystem=DEV type=DESTROY cdev=da0"
	s.Await("the end of the disk", func() bool { return strings.Contains(s.Initctl("list"), "stick stop/waiting") })
}
