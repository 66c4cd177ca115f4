package network

import (
	"context"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"onset/eventsources/sourcetest"
)

func init() { busPatience = 500 * time.Millisecond }

// running is the source, and what it told.
type running struct {
	t     *testing.T
	init  *sourcetest.Recorder
	lines []string // since the last await
}

// noBus is an address where there is no bus.
const noBus = "unix:path=/nonexistent/bus"

// runSource runs the source beside a bus.
func runSource(t *testing.T, address string) *running {
	t.Helper()
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
	k, err := openKernel(receiveBuffer)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{t: t, init: &sourcetest.Recorder{}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx, r.init, k, time.Second) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	r.await("emit network-state-changed ")
	return r
}

// await waits for a line that begins so, and returns all up to it.
func (r *running) await(prefix string) []string {
	r.t.Helper()
	for end := time.Now().Add(sourcetest.Patience); ; time.Sleep(time.Millisecond) {
		r.lines = append(r.lines, r.init.Take()...)
		if i := slices.IndexFunc(r.lines, func(l string) bool { return strings.HasPrefix(l, prefix) }); i >= 0 {
			before := slices.Clone(r.lines[:i+1])
			r.lines = r.lines[i+1:]
			return before
		}
		if time.Now().After(end) {
			r.t.Fatalf("waited in vain for %q in\n%s\nfacts:\n%s", prefix, strings.Join(r.lines, "\n"), strings.Join(r.init.Facts(), "\n"))
		}
	}
}

func (r *running) online() bool { return slices.Contains(r.init.Facts(), "network-online") }

// TestBusThatHangs wants a bus that takes connections and does not answer to
// keep the source from nothing, not from ending either.
func TestBusThatHangs(t *testing.T) {
	name := filepath.Join(t.TempDir(), "bus")
	l, err := net.Listen("unix", name)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	runSource(t, "unix:path="+name)
}
