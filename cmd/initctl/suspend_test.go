package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"onset/core/control"
	"onset/platform/suspend"
)

// asleep is a machine that sleeps an hour at once, and notes it.
func asleep(f *fake) sleeping {
	var clock time.Duration
	return sleeping{
		supported: func(suspend.Method) error { return nil },
		lock:      func() (*os.File, error) { return os.Open(os.DevNull) },
		enter: func(m suspend.Method) error {
			f.calls <- "sleep by " + string(m)
			clock += time.Hour
			return nil
		},
		clock: func() time.Duration { return clock },
	}
}

// alter changes how the machine of f sleeps.
func (f *fake) alter(change func(*sleeping)) {
	before := f.change
	f.change = func(t *tool) {
		before(t)
		change(&t.sleeping)
	}
}

const (
	suspending = "/ EmitEvent suspending [METHOD=suspend] true"
	resumed    = "/ EmitEvent resumed [METHOD=suspend SLEPT=3600] false"
	sleeps     = "sleep by suspend"
)

// noBus has no logind.
var noBus = map[string]string{"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent"}

func TestSuspend(t *testing.T) {
	awake := strings.Replace(resumed, "3600", "0", 1)
	failed := func(of ...string) answers {
		a := answers{}
		for _, key := range of {
			a[key] = done
		}
		a[suspending] = &control.Error{Name: control.ErrEventFailed, Message: "Event failed"}
		return a
	}
	for name, tt := range map[string]struct {
		line    string
		answers answers
		alter   func(*sleeping)
		want    result
		calls   []string
	}{
		"jobs get ready": {"suspend", answers{suspending: done, resumed: done}, nil, result{}, []string{suspending, sleeps, resumed}},
		"on disk": {"suspend --hibernate", answers{"/ EmitEvent suspending [METHOD=hibernate] true": done,
			"/ EmitEvent resumed [METHOD=hibernate SLEPT=3600] false": done}, nil, result{},
			[]string{"/ EmitEvent suspending [METHOD=hibernate] true", "sleep by hibernate", "/ EmitEvent resumed [METHOD=hibernate SLEPT=3600] false"}},
		"jobs may take no time": {"suspend --suspend-timeout=0", answers{strings.Replace(suspending, "true", "false", 1): done, resumed: done}, nil,
			result{}, []string{strings.Replace(suspending, "true", "false", 1), sleeps, resumed}},
		"a job fails": {"suspend", failed(resumed), nil, result{"", "initctl: Event failed; the suspend goes on\n", 0},
			[]string{suspending, sleeps, resumed}},
		"init starts anew": {"suspend", answers{suspending: io.EOF, resumed: done}, nil,
			result{"", "initctl: " + errLost.Error() + "; the suspend goes on\n", 0}, []string{suspending, sleeps, resumed}},
		"the kernel refuses": {"suspend", answers{suspending: done, awake: done},
			func(s *sleeping) {
				s.enter = func(suspend.Method) error { return &os.PathError{Op: "write", Path: "x", Err: syscall.EBUSY} }
			}, result{"", "initctl: Cannot suspend: Device or resource busy\n", 1}, []string{suspending, awake}},
		"not by this kernel": {"suspend", nil, func(s *sleeping) {
			s.supported = func(m suspend.Method) error { return fmt.Errorf("this kernel cannot %s", m) }
		}, result{"", "initctl: this kernel cannot suspend\n", 1}, nil},
		"another suspend": {"suspend", nil, func(s *sleeping) {
			s.lock = func() (*os.File, error) { return nil, suspend.ErrBusy }
		}, result{"", "initctl: a suspend is under way already\n", 1}, nil},
		"odd time": {"suspend --suspend-timeout=-1", nil, nil,
			result{"", "initctl: illegal time value: -1\nTry `initctl --help' for more information.\n", 1}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f, _, _ := machine(t, tt.answers)
			if tt.alter != nil {
				f.alter(tt.alter)
			}
			if got := f.runTool(append([]string{"initctl"}, strings.Fields(tt.line)...), noBus); got != tt.want {
				t.Errorf("%+v", got)
			}
			if got := f.log(); !slices.Equal(got, tt.calls) {
				t.Errorf("did %q", got)
			}
		})
	}
}

// TestSuspendDoesNotWaitForEver has jobs that never get ready.
func TestSuspendDoesNotWaitForEver(t *testing.T) {
	f, _, _ := machine(t, answers{suspending: emitted("EventEmitted"), resumed: done})
	want := result{"", "initctl: jobs are not ready after 1s; the suspend goes on\n", 0}
	if got := f.runTool([]string{"initctl", "suspend", "--suspend-timeout=1"}, noBus); got != want {
		t.Errorf("%+v", got)
	}
	if got := f.log(); !slices.Equal(got, []string{suspending, sleeps, resumed}) {
		t.Errorf("did %q", got)
	}
}

func TestSuspendNeedsRights(t *testing.T) {
	f, _, _ := machine(t, nil)
	before := f.change
	f.change = func(t *tool) { before(t); t.uid, t.euid = 1000, 1000 }
	if got := f.runTool([]string{"initctl", "suspend"}, noBus); got != (result{"", "initctl: Need to be root\n", 1}) {
		t.Errorf("%+v", got)
	}
}

func TestSuspendWithoutInit(t *testing.T) {
	f, _, _ := machine(t, nil)
	before := f.change
	f.change = func(t *tool) { before(t); t.systemSocket = "unix:path=/nonexistent" }
	got := f.runTool([]string{"initctl", "suspend"}, noBus)
	if got.status != 1 || !strings.Contains(got.stderr, "Unable to connect to Upstart") || len(f.log()) > 0 {
		t.Errorf("%+v", got)
	}
}

// TestSuspendByLogind leaves all to logind, which a user may ask.
func TestSuspendByLogind(t *testing.T) {
	const bus = "org.freedesktop.DBus /org/freedesktop/DBus "
	ask := login + " " + loginPath + " "
	for line, tt := range map[string]struct {
		call   string
		answer any
		want   result
	}{
		"suspend":             {ask + "Suspend true", done, result{}},
		"suspend --hibernate": {ask + "Hibernate true", &control.Error{Name: login + ".SleepVerbNotSupported", Message: "Sleep verb \"hibernate\" not supported"}, result{"", "initctl: Sleep verb \"hibernate\" not supported\n", 1}},
	} {
		f := startFake(t, answers{bus + "Hello": ":1.1", bus + "NameHasOwner " + login: true, tt.call: tt.answer})
		f.change = func(t *tool) { t.uid = 1000 }
		env := map[string]string{"DBUS_SYSTEM_BUS_ADDRESS": f.address}
		if got := f.runTool(append([]string{"initctl"}, strings.Fields(line)...), env); got != tt.want {
			t.Errorf("%s: %+v", line, got)
		}
		if got := f.log(); !slices.Equal(got, []string{bus + "Hello", bus + "NameHasOwner " + login, tt.call}) {
			t.Errorf("%s: %q", line, got)
		}
	}
	f, _, _ := machine(t, answers{bus + "Hello": ":1.1", bus + "NameHasOwner " + login: false, suspending: done, resumed: done})
	env := map[string]string{"DBUS_SYSTEM_BUS_ADDRESS": f.address}
	if got := f.runTool([]string{"initctl", "suspend"}, env); got != (result{}) || !slices.Contains(f.log(), sleeps) {
		t.Errorf("a bus without logind: %+v", got)
	}
}
