package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"onset/core/control"
	"onset/platform/utmp"
)

// machine is a fake init as process 1, with records in a directory. What is
// done to the machine is logged with the calls.
func machine(t *testing.T, a answers) (f *fake, utmp, wtmp string) {
	f = startFake(t, a)
	dir := t.TempDir()
	utmp, wtmp = filepath.Join(dir, "utmp"), filepath.Join(dir, "wtmp")
	note := func(words ...any) error { f.calls <- strings.TrimSuffix(fmt.Sprintln(words...), "\n"); return nil }
	f.change = func(tool *tool) {
		tool.uid = 0
		tool.system = system{
			utmp: utmp, wtmp: wtmp, systemSocket: f.address,
			pidFile: filepath.Join(dir, "pid"), nologin: filepath.Join(dir, "nologin"),
			fifos:    []string{filepath.Join(dir, "nofifo"), filepath.Join(dir, "fifo")},
			kill:     func(pid int, sig syscall.Signal) error { return note("kill", pid, int(sig)) },
			exec:     func(path string, argv []string) error { return note("exec", path, argv) },
			sync:     func() { note("sync") },
			setPower: func(how power, argument string) error { return note("power", how, argument) },
			wall:     func(text string) { note("wall", strings.ReplaceAll(text, "\r", "")) },
			now:      func() time.Time { return time.Date(2026, 1, 2, 13, 30, 0, 0, time.Local) },
			clock:    func() (<-chan time.Time, <-chan os.Signal, func()) { panic("not expected to wait") },
			sleeping: asleep(f),
		}
	}
	for _, file := range []string{utmp, wtmp} {
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return f, utmp, wtmp
}

func needRecords(t *testing.T) {
	if utmp.File == "" {
		t.Skip("this system has no records of runlevels")
	}
}

func TestRunlevel(t *testing.T) {
	needRecords(t)
	f, file, _ := machine(t, nil)
	runlevel := func(env map[string]string, args ...string) string {
		r := f.runTool(append([]string{"runlevel"}, args...), env)
		return fmt.Sprint(r.stdout, r.stderr, r.status)
	}
	if got := runlevel(nil); got != "unknown\n1" {
		t.Errorf("without record: %q", got)
	}
	for levels, want := range map[[2]byte]string{{'2', 0}: "N 2\n0", {'2', 'S'}: "S 2\n0", {0, '2'}: "unknown\n1"} {
		utmp.SetRunlevel(file, "", levels[0], levels[1], time.Now())
		if got := runlevel(nil); got != want {
			t.Errorf("record of %q: %q, want %q", levels, got, want)
		}
		if got := runlevel(nil, file); got != want {
			t.Errorf("file with record of %q: %q, want %q", levels, got, want)
		}
	}
	for _, tt := range [][3]string{{"3", "2", "2 3\n0"}, {"5", "", "N 5\n0"}, {"", "", "unknown\n1"}} {
		if got := runlevel(map[string]string{"RUNLEVEL": tt[0], "PREVLEVEL": tt[1]}); got != tt[2] {
			t.Errorf("RUNLEVEL=%s PREVLEVEL=%s: %q, want %q", tt[0], tt[1], got, tt[2])
		}
	}
	if got, want := runlevel(nil, "/nonexistent/utmp"), "runlevel:/nonexistent/utmp: No such file or directory\n1"; got != want {
		t.Errorf("no file: %q, want %q", got, want)
	}
	if got := runlevel(map[string]string{"RUNLEVEL": "3"}, "-q"); got != "0" {
		t.Errorf("quietly: %q", got)
	}
	if got := runlevel(nil, "-q", "/nonexistent/utmp"); got != "1" {
		t.Errorf("quietly failing: %q", got)
	}
}

func TestTelinit(t *testing.T) {
	for _, tt := range []struct {
		why, line string
		answers   answers
		calls     []string
		stderr    string
	}{
		{why: "a level", line: "2", answers: answers{"/ EmitEvent runlevel [RUNLEVEL=2 PREVLEVEL=N] false": done}},
		{why: "single user", line: "s", answers: answers{"/ EmitEvent runlevel [RUNLEVEL=S PREVLEVEL=N] false": done}},
		{why: "with variables", line: "-e A=1 0 -t 5 -e B=2", answers: answers{"/ EmitEvent runlevel [RUNLEVEL=0 PREVLEVEL=N A=1 B=2] false": done}},
		{why: "refused", line: "2", answers: answers{"/ EmitEvent runlevel [RUNLEVEL=2 PREVLEVEL=N] false": control.SystemError("No")}, stderr: "telinit: No\n"},
		{why: "reload", line: "q", calls: []string{"kill 1 1"}},
		{why: "re-exec", line: "u", answers: answers{"/ Restart": io.EOF}, calls: []string{"/ Restart"}},
		{why: "re-exec refused", line: "U", answers: answers{"/ Restart": control.SystemError("No")}, stderr: "telinit: No\n"},
		{why: "nothing", line: "", stderr: "telinit: missing runlevel\nTry `telinit --help' for more information.\n"},
		{why: "no level", line: "7", stderr: "telinit: illegal runlevel: 7\nTry `telinit --help' for more information.\n"},
		{why: "two levels", line: "23", stderr: "telinit: illegal runlevel: 23\nTry `telinit --help' for more information.\n"},
	} {
		t.Run(tt.why, func(t *testing.T) {
			f, _, _ := machine(t, tt.answers)
			got := f.runTool(append([]string{"/sbin/telinit"}, strings.Fields(tt.line)...), nil)
			status := 0
			if tt.stderr != "" {
				status = 1
			}
			if want := (result{"", tt.stderr, status}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if calls := f.log(); tt.calls != nil && !slices.Equal(calls, tt.calls) {
				t.Errorf("calls %q, want %q", calls, tt.calls)
			}
		})
	}
	f := startFake(t, nil)
	if got := f.runTool([]string{"telinit", "2"}, nil); got != (result{"", "telinit: Need to be root\n", 1}) {
		t.Errorf("as a user: %+v", got)
	}
}

// TestRestartedSignalEndsTheWait: a connection may outlive a re-exec.
func TestRestartedSignalEndsTheWait(t *testing.T) {
	f := startFake(t, answers{"/ Restart": emitted("Restarted")})
	c, err := dial(f.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if err := c.callForSignal(request{manager, control.Restart.Spec(), nil}, "Restarted"); err != nil {
		t.Error(err)
	}
}

func TestTelinitRecordsLevels(t *testing.T) {
	needRecords(t)
	f, _, wtmp := machine(t, answers{
		"/ EmitEvent runlevel [RUNLEVEL=2 PREVLEVEL=N] false": done,
		"/ EmitEvent runlevel [RUNLEVEL=3 PREVLEVEL=2] false": done,
	})
	for _, level := range []string{"2", "3"} {
		if got := f.runTool([]string{"telinit", level}, nil); got != (result{}) {
			t.Fatalf("%s: %+v", level, got)
		}
	}
	if got := f.runTool([]string{"runlevel"}, nil); got != (result{"2 3\n", "", 0}) {
		t.Errorf("recorded %+v", got)
	}
	if text, err := os.ReadFile(wtmp); err != nil || len(text) == 0 {
		t.Errorf("the log has %q, %v", text, err)
	}
}

// emitted is an answer that is a signal of the manager instead.
type emitted string

func (s emitted) message() dbus.Message {
	return dbus.Message{Type: dbus.TypeSignal, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath:      dbus.MakeVariant(dbus.ObjectPath(manager)),
		dbus.FieldInterface: dbus.MakeVariant(control.InterfaceManager),
		dbus.FieldMember:    dbus.MakeVariant(string(s)),
	}}
}
