package manager

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"onset/core/engine"
	"onset/core/env"
	"onset/core/job"
	"onset/platform"
	"onset/platform/linux"
)

// peeksRights says that who peeks at a message gets its descriptors.
const peeksRights = true

// tellsSender is 1 where the kernel tells which process sent a message.
const tellsSender = 1

func newPoller(t *testing.T) platform.Poller {
	t.Helper()
	poller, err := linux.NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(poller.Close)
	return poller
}

func TestNotifyStrangers(t *testing.T) {
	w := newNotifyWorld(t)
	address := w.bound()
	send(t, address, strings.Repeat("X=1\n", 5000))
	send(t, address, "READY=1\x00")
	w.spinUntilEmpty()
	w.family.strange = true
	for range 5 {
		send(t, address, "READY=1")
	}
	w.spinUntilEmpty()
	w.family.strange = false
	send(t, address, "WATCHDOG=1")
	w.wantLines("WATCHDOG=1")
	w.wantWarnings(map[string]int{errNotice.Error(): 1, errBinary.Error(): 1, errStranger.Error(): 1})
}

func TestNotifyAddresses(t *testing.T) {
	w := newNotifyWorld(t)
	path := w.address
	if got := w.bound(); got != path {
		t.Errorf("%q, want %q", got, path)
	}
	abstract := "@" + path[1:]
	for name, change := range map[string]func(*job.Spec){
		"a chroot": func(s *job.Spec) { s.Attrs.Chroot = "/r" }, "a session": func(s *job.Spec) { s.Root = "/r" },
	} {
		if got, err := w.spec(change); got != abstract || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	send(t, abstract, "AT=abstract")
	w.wantLines("AT=abstract")
}

func TestNotifyWithoutDirectory(t *testing.T) {
	w := newNotifyWorld(t)
	if err := os.WriteFile(filepath.Dir(w.address), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	address := w.bound()
	if address != "@"+w.address[1:] {
		t.Errorf("%q", address)
	}
	send(t, address, "READY=1")
	w.wantLines("READY=1")
}

func TestNotifyAddress(t *testing.T) {
	long := "/" + strings.Repeat("x", 100)
	for _, tt := range []struct {
		mode engine.Mode
		dir  string
		want string
	}{
		{engine.System, "/run/user/0", "/run/onset/notify"}, {engine.Session, "/run/user/7", "/run/user/7/onset/notify-42"},
		{engine.Session, "", "@onset/notify/42"}, {engine.Session, long, "@onset/notify/42"}, {engine.Test, "relative", "@onset/notify/42"},
	} {
		if got := NotifyAddress(tt.mode, env.Table{"XDG_RUNTIME_DIR=" + tt.dir}, 42); got != tt.want {
			t.Errorf("%v %q: %q", tt.mode, tt.dir, got)
		}
	}
}
