package main

import (
	"runtime"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
)

// onBus is world behind a bus: dest is the name init has there.
func onBus(dest string) answers {
	return answers{
		"org.freedesktop.DBus /org/freedesktop/DBus Hello": ":1.1",
		dest + " / Get com.ubuntu.Upstart0_6 version":      dbus.MakeVariant("on the bus"),
	}
}

func TestWhichInitIsAsked(t *testing.T) {
	private := answers{"/ Get com.ubuntu.Upstart0_6 version": dbus.MakeVariant("private")}
	for _, tt := range []struct {
		why     string
		line    string
		uid     int
		env     string // variable that holds the fake's address
		answers answers
		want    string // stdout or stderr
	}{
		{"a session's, by UPSTART_SESSION", "version", 1000, "UPSTART_SESSION", private, "private\n"},
		{"a session's, also as root", "version", 0, "UPSTART_SESSION", private, "private\n"},
		{"a session's, by --user", "version --user --system", 0, "UPSTART_SESSION", private, "private\n"},
		{"the system bus, by --system", "--system version", 0, "DBUS_SYSTEM_BUS_ADDRESS", onBus(busName), "on the bus\n"},
		{"the system bus, as a user", "version", 1000, "DBUS_SYSTEM_BUS_ADDRESS", onBus(busName), "on the bus\n"},
		{"another name", "version --dest=x.y", 1000, "DBUS_SYSTEM_BUS_ADDRESS", onBus("x.y"), "on the bus\n"},
		{"the session bus", "version --session", 0, "DBUS_SESSION_BUS_ADDRESS", onBus(busName), "on the bus\n"},
		{"no session known", "version --user", 0, "DBUS_SESSION_BUS_ADDRESS", nil,
			"initctl: UPSTART_SESSION isn't set in the environment. Unable to locate the Upstart instance.\n"},
		{"a name without a bus", "version --dest=x", 0, "NONE", nil, "initctl: --dest given without --system\n" + hint},
		{"a name without a bus, in a session", "version --dest=x", 1000, "UPSTART_SESSION", nil, "initctl: --dest given without --system\n" + hint},
	} {
		t.Run(tt.why, func(t *testing.T) {
			f := startFake(t, tt.answers)
			var out, errs strings.Builder
			tool := &tool{commands: commands[:], stdout: &out, stderr: &errs, uid: tt.uid,
				lookup: func(name string) (string, bool) {
					if name == tt.env {
						return f.address, true
					}
					return "", false
				}}
			status := tool.run(append([]string{"initctl"}, strings.Fields(tt.line)...))
			if got := out.String() + errs.String(); got != tt.want || (status == 0) != (errs.Len() == 0) {
				t.Errorf("got %d %q, want %q", status, got, tt.want)
			}
		})
	}
}

func TestNobodyAnswers(t *testing.T) {
	for _, tt := range []struct{ variable, line, want string }{
		{"UPSTART_SESSION", "version", "initctl: Unable to connect to Upstart: "},
		{"DBUS_SYSTEM_BUS_ADDRESS", "version --system", "initctl: Unable to connect to system bus: "},
		{"DBUS_SESSION_BUS_ADDRESS", "version --session", "initctl: Unable to connect to session bus: "},
	} {
		for address, why := range map[string]string{
			"unix:path=/nonexistent/socket,guid=1":        "Failed to connect to socket /nonexistent/socket: No such file or directory\n",
			"unix:abstract=/nonexistent/a%20b;tcp:host=x": "Failed to connect to socket /nonexistent/a b: Connection refused\n",
			"tcp:host=localhost":                          "no usable address: tcp:host=localhost\n",
		} {
			if runtime.GOOS != "linux" && strings.Contains(address, "abstract") { // of which others know nothing
				why = "no usable address: " + address + "\n"
			}
			f := &fake{address: address}
			got := f.runTool(append([]string{"initctl"}, strings.Fields(tt.line)...), map[string]string{
				"UPSTART_SESSION": "", tt.variable: address})
			if want := (result{"", tt.want + why, 1}); got != want {
				t.Errorf("%s=%s: got %+v, want %+v", tt.variable, address, got, want)
			}
		}
	}
}
