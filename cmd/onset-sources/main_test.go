package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"onset/eventsources/dbus"
	"onset/platform/address"
)

func TestCommandLines(t *testing.T) {
	const session = "unix:path=/s"
	for _, c := range []struct {
		line    string
		session string
		want    string // address, and the sources named
		err     string
	}{
		{"onset-sources", "", address.System, ""},
		{"onset-sources devctl time", "", address.System + " devctl time", ""},
		{"onset-sources", session, session, ""},
		{"onset-sources --user", session, session, ""},
		{"onset-sources --user", "", "", "--user, and UPSTART_SESSION is not set"},
		{"onset-sources --address=unix:path=/a devctl", session, "unix:path=/a devctl", ""},
		{"onset-sources --what", "", "", "not defined: -what"},
		{"onset-sources --coldplug --suspend-timeout=5 udev power", "", address.System + " udev power", ""},
		{"onset-sources --suspend-timeout=soon", "", "", "invalid value \"soon\" for flag -suspend-timeout: not a number of seconds"},
		{"onset-sources --no-strip", "", "", "not defined: -no-strip"},

		{"upstart-udev-bridge --daemon --no-strip", session, address.System + " udev", ""},
		{"upstart-udev-bridge --user", session, session + " udev", ""},
		{"upstart-udev-bridge --user", "", "", "UPSTART_SESSION isn't set in environment"},
		{"upstart-udev-bridge --always", "", "", "not defined: -always"},
		{"upstart-udev-bridge --debug -v --verbose -q --quiet", "", address.System + " udev", ""},
		{"onset-sources --debug", "", "", "not defined: -debug"},
		{"upstart-udev-bridge more", "", "", "unexpected argument more"},
		{"upstart-socket-bridge --daemon", session, address.System + " socket", ""},
		{"upstart-socket-bridge --user", session, "", "not defined: -user"},
		{"upstart-file-bridge --daemon --user", session, session + " file", ""},
		{"upstart-dbus-bridge --daemon --session --user --bus-name session", session, session + " dbus", ""},
		{"upstart-dbus-bridge --always --system", "", address.System + " dbus", ""},
		{"upstart-event-bridge --daemon", session, session + " event", ""},
		{"upstart-event-bridge", "", "", "UPSTART_SESSION isn't set in environment"},
		{"upstart-local-bridge --path=/p", "", "", "Must specify event name"},
		{"upstart-local-bridge --event=e", "", "", "Must specify socket path"},
		{"upstart-local-bridge --event=e --path=/p --any-user", session, address.System + " local", ""},
	} {
		words := strings.Fields(c.line)
		got, err := parse(words[0], words[1:], c.session)
		if c.err != "" {
			if err == nil || !strings.HasSuffix(err.Error(), c.err) {
				t.Errorf("%s: %v, want %q", c.line, err, c.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.line, err)
		} else if text := strings.Join(append([]string{got.address}, got.named...), " "); text != c.want {
			t.Errorf("%s: %q; want %q", c.line, text, c.want)
		}
	}
}

// TestBusOfBridge has the default of UPSTART §9.4.
func TestBusOfBridge(t *testing.T) {
	for line, want := range map[string]dbus.Bus{
		"":                                   {},
		"--system --bus-name system":         {Name: "system"},
		"--user":                             {Session: true},
		"--user --system --bus-name=s":       {Name: "s"},
		"--session --bus-name session":       {Name: "session", Session: true},
		"--user --session --bus-name mybus ": {Name: "mybus", Session: true},
	} {
		o, err := parse("upstart-dbus-bridge", strings.Fields(line), "unix:path=/s")
		if err != nil {
			t.Fatal(err)
		}
		if got := o.buses(); len(got) != 1 || got[0].Name != want.Name || got[0].Session != want.Session {
			t.Errorf("%q: %+v", line, got)
		}
	}
}

func TestPIDFile(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", "/run/user/1")
	t.Setenv("HOME", "/home/a")
	check := func(want string, args ...string) {
		t.Helper()
		o, err := parse("upstart-file-bridge", args, "unix:abstract=/com/ubuntu/upstart-session/1000/4711")
		if err != nil || o.pidFile() != want {
			t.Errorf("%q: %q, %v; want %q", args, o.pidFile(), err, want)
		}
	}
	check("/var/run/upstart-file-bridge.pid")
	check("/run/user/1/upstart-file-bridge.4711.pid", "--user")
	t.Setenv("XDG_RUNTIME_DIR", "")
	check("/home/a/upstart-file-bridge.4711.pid", "--user")
}

func TestVersion(t *testing.T) {
	for _, program := range []string{"onset-sources", "upstart-local-bridge"} {
		var out bytes.Buffer
		if err := run(program, []string{"--version"}, &out); err != nil || out.String() != program+" (onset, compatible with upstart 1.13.2)\n" {
			t.Errorf("%q, %v", out.String(), err)
		}
	}
}

func TestUnknownSource(t *testing.T) {
	if err := run("onset-sources", []string{"--address=unix:path=/nonexistent", "nonesuch"}, nil); err == nil || !strings.Contains(err.Error(), `no source "nonesuch"`) {
		t.Errorf("%v", err)
	}
}

func TestManualIsComplete(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "man", "onset-sources.8"))
	if err != nil {
		t.Fatal(err)
	}
	docs, err := os.ReadFile(filepath.Join("..", "..", "docs", "SOURCES.md"))
	if err != nil {
		t.Fatal(err)
	}
	var list bytes.Buffer
	if err := run("onset-sources", []string{"--list"}, &list); err != nil {
		t.Fatal(err)
	}
	names := strings.Fields(list.String())
	for _, word := range slices.Concat(names, regexp.MustCompile(`--[a-z]+`).FindAllString(usage, -1)) {
		if !strings.Contains(strings.ReplaceAll(string(page), `\-`, "-"), word) {
			t.Errorf("onset-sources.8 does not tell of %s", word)
		}
	}
	for _, name := range names {
		if !strings.Contains(string(docs), "## "+name+"\n") {
			t.Errorf("docs/SOURCES.md does not tell of %s", name)
		}
	}
}
