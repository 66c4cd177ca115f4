package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const shutdownHint = "Try `shutdown --help' for more information.\n"

func TestShutdownNow(t *testing.T) {
	event := func(level, more string) string {
		return "/ EmitEvent runlevel [RUNLEVEL=" + level + " PREVLEVEL=N" + more + "] false"
	}
	for _, tt := range []struct {
		line   string
		banner string
		event  string
	}{
		{"now", "maintenance NOW!\n", event("1", "")},
		{"-r now", "reboot NOW!\n", event("6", "")},
		{"-h now for a reason", "halt NOW!\nfor a reason \n", event("0", "")},
		{"-h -H now", "halt NOW!\n", event("0", " INIT_HALT=HALT")},
		{"-r -hP 0", "power off NOW!\n", event("0", " INIT_HALT=POWEROFF")},
		{"-P -r -f -t 5 +0", "reboot NOW!\n", event("6", "")},
		{"-g now go home", "maintenance NOW!\ngo home \n", event("1", "")},
		{"13:30 -h", "halt NOW!\n", event("0", "")},
		{"-k -r 1", "reboot in 1 minute!\n", ""},
		{"-k -h 13:29", "halt in 1439 minutes!\n", ""},
	} {
		t.Run(tt.line, func(t *testing.T) {
			f, _, _ := machine(t, answers{tt.event: done})
			if got := f.runTool(append([]string{"shutdown"}, strings.Fields(tt.line)...), nil); got != (result{}) {
				t.Errorf("%+v", got)
			}
			want := []string{"wall \nThe system is going down for " + tt.banner}
			want[0] = strings.Replace(want[0], "wall \n", "wall ", 1)
			if tt.event != "" {
				want = append(want, tt.event)
			}
			if got := f.log(); !slices.Equal(got, want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

func TestShutdownRefuses(t *testing.T) {
	for line, want := range map[string]string{
		"":           "time expected\n" + shutdownHint,
		"-r":         "time expected\n" + shutdownHint,
		"soon":       "illegal time value\n" + shutdownHint,
		"-g soon":    "illegal time value\n" + shutdownHint,
		"24:00":      "illegal hour value\n" + shutdownHint,
		"x:00":       "illegal hour value\n" + shutdownHint,
		"23:60":      "illegal minute value\n" + shutdownHint,
		"23:":        "illegal minute value\n" + shutdownHint,
		"-c":         "Cannot find pid of running shutdown\n",
		"--reboot 0": "invalid option: --reboot\n" + shutdownHint,
	} {
		f, _, _ := machine(t, nil)
		got := f.runTool(append([]string{"shutdown"}, strings.Fields(line)...), nil)
		if got != (result{"", "shutdown: " + want, 1}) {
			t.Errorf("%q: %+v", line, got)
		}
		if calls := f.log(); len(calls) > 0 {
			t.Errorf("%q: did %q", line, calls)
		}
	}
	f := startFake(t, nil)
	if got := f.runTool([]string{"shutdown", "now"}, nil); got != (result{"", "shutdown: Need to be root\n", 1}) {
		t.Errorf("as a user: %+v", got)
	}
}

// clockOf makes the tools of f wait on channels of the test.
func (f *fake) clockOf(ticks chan time.Time, interrupts chan os.Signal) {
	change := f.change
	f.change = func(t *tool) {
		change(t)
		t.clock = func() (<-chan time.Time, <-chan os.Signal, func()) {
			if _, err := os.Stat(t.pidFile); err == nil {
				f.t.Error("another shutdown could interrupt before that is taken")
			}
			return ticks, interrupts, func() {}
		}
	}
}

func TestShutdownCountsDown(t *testing.T) {
	f, utmp, _ := machine(t, answers{"/ EmitEvent runlevel [RUNLEVEL=0 PREVLEVEL=N] false": done})
	ticks := make(chan time.Time, 12)
	for range 12 {
		ticks <- time.Time{}
	}
	f.clockOf(ticks, nil)
	if got := f.runTool([]string{"shutdown", "-h", "12"}, nil); got != (result{}) {
		t.Errorf("%+v", got)
	}
	var want []string
	for _, n := range []int{12, 9, 8, 7, 6, 5, 4, 3, 2} {
		want = append(want, fmt.Sprintf("wall The system is going down for halt in %d minutes!\n", n))
	}
	want = append(want, "wall The system is going down for halt in 1 minute!\n", "wall The system is going down for halt NOW!\n",
		"/ EmitEvent runlevel [RUNLEVEL=0 PREVLEVEL=N] false")
	if got := f.log(); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for _, name := range []string{"pid", "nologin"} {
		if _, err := os.Stat(filepath.Join(filepath.Dir(utmp), name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", name, err)
		}
	}
}

func TestShutdownIsCancelled(t *testing.T) {
	f, utmp, _ := machine(t, nil)
	dir := filepath.Dir(utmp)
	ticks, interrupts := make(chan time.Time), make(chan os.Signal)
	f.clockOf(ticks, interrupts)
	over := make(chan result)
	go func() { over <- f.runTool([]string{"shutdown", "-r", "+4", "bye"}, nil) }()
	ticks <- time.Time{}
	if got := <-f.calls; got != "wall The system is going down for reboot in 4 minutes!\nbye \n" {
		t.Errorf("banner %q", got)
	}
	if got := <-f.calls; got != "wall The system is going down for reboot in 3 minutes!\nbye \n" {
		t.Errorf("next banner %q", got)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "nologin")); err != nil || !strings.Contains(string(text), "in 3 minutes!") {
		t.Errorf("nologin: %q, %v", text, err)
	}

	other := &fake{address: f.address, change: f.change}
	busy := result{"", "shutdown: Another shutdown is already running\n", 1}
	if got := other.runTool([]string{"shutdown", "now"}, nil); got != busy {
		t.Errorf("another: %+v", got)
	}
	<-f.calls // kill with signal 0
	if got := other.runTool([]string{"shutdown", "-c", "stay"}, nil); got != (result{}) {
		t.Errorf("cancel: %+v", got)
	}
	want := []string{fmt.Sprintf("kill %d 2", os.Getpid()), "wall stay \n"}
	if got := f.log(); !slices.Equal(got, want) {
		t.Errorf("cancel did %q, want %q", got, want)
	}
	interrupts <- syscall.SIGINT
	if got := <-over; got != (result{"Shutdown cancelled\n", "", 0}) {
		t.Errorf("cancelled: %+v", got)
	}
	for _, name := range []string{"pid", "nologin"} {
		if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", name, err)
		}
	}
}

func TestUsersAreTold(t *testing.T) {
	var told []int
	for left := 300; left >= 0; left-- {
		if wantsWarning(left) {
			told = append(told, left)
		}
	}
	want := []int{300, 240, 180, 150, 120, 90, 60, 45, 30, 15, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0}
	if !slices.Equal(told, want) {
		t.Errorf("got %v, want %v", told, want)
	}
}

func TestShutdownOfAnotherInit(t *testing.T) {
	f, utmp, _ := machine(t, nil)
	change := f.change
	f.change = func(tool *tool) { change(tool); tool.systemSocket = "unix:path=/nonexistent/socket" }
	if got := f.runTool([]string{"shutdown", "now"}, nil); got != (result{"", "shutdown: Unable to shutdown system\n", 1}) {
		t.Errorf("without any: %+v", got)
	}
	fifo := filepath.Join(filepath.Dir(utmp), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if got := f.runTool([]string{"shutdown", "-r", "now"}, nil); got != (result{}) {
		t.Errorf("by FIFO: %+v", got)
	}
	b := make([]byte, 1000)
	n, err := in.Read(b)
	words := [4]uint32{}
	for i := range words {
		words[i] = binary.NativeEndian.Uint32(b[4*i:])
	}
	if err != nil || n != 384 || words != [4]uint32{0x03091969, 1, '6', 5} {
		t.Errorf("request of %d bytes, %#x, %v", n, words, err)
	}
}

func TestReboot(t *testing.T) {
	for _, tt := range []struct {
		line  string
		level string
		want  []string
		wtmp  bool
	}{
		{"reboot", "2", []string{"exec /sbin/shutdown [shutdown -r now]"}, false},
		{"halt -n", "2", []string{"exec /sbin/shutdown [shutdown -h -H now]"}, false},
		{"halt -p -d -i -h", "2", []string{"exec /sbin/shutdown [shutdown -h -P now]"}, false},
		{"poweroff", "2", []string{"exec /sbin/shutdown [shutdown -h -P now]"}, false},
		{"reboot -f", "2", []string{"sync", "power 0 "}, true},
		{"reboot -fn recovery", "2", []string{"power 0 recovery"}, true},
		{"halt", "0", []string{"sync", "power 1 "}, true},
		{"poweroff", "6", []string{"sync", "power 2 "}, true},
		{"reboot -w", "2", nil, true},
	} {
		t.Run(tt.line, func(t *testing.T) {
			f, _, wtmp := machine(t, nil)
			if got := f.runTool(strings.Fields(tt.line), map[string]string{"RUNLEVEL": tt.level}); got != (result{}) {
				t.Errorf("%+v", got)
			}
			for i := range tt.want {
				tt.want[i] = strings.Replace(tt.want[i], "/sbin/shutdown", shutdownProgram(), 1)
			}
			if got := f.log(); !slices.Equal(got, tt.want) {
				t.Errorf("did %q, want %q", got, tt.want)
			}
			if text, err := os.ReadFile(wtmp); err != nil || (len(text) > 0) != tt.wtmp {
				t.Errorf("wtmp has %q, %v", text, err)
			}
		})
	}
	f := startFake(t, nil)
	if got := f.runTool([]string{"halt", "-f"}, nil); got != (result{"", "halt: Need to be root\n", 1}) {
		t.Errorf("as a user: %+v", got)
	}
}
