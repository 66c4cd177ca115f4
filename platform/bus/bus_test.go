package bus

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"onset/core/control"
	"onset/platform/posix"
)

func TestCallsAndReplies(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial()
	tests := []struct {
		why, path, method string
		args              []any
		want              any // nil: no value; a string that begins with "error ": its name and text
	}{
		{"paths", control.Root, "com.ubuntu.Upstart0_6.GetAllJobs", nil,
			[]dbus.ObjectPath{"/com/ubuntu/Upstart/jobs/foo_2dbar", "/com/ubuntu/Upstart/jobs/a"}},
		{"path", control.Root, "com.ubuntu.Upstart0_6.GetJobByName", []any{"foo-bar"}, dbus.ObjectPath("/com/ubuntu/Upstart/jobs/foo_2dbar")},
		{"error", control.Root, "com.ubuntu.Upstart0_6.GetJobByName", []any{"b"}, "error com.ubuntu.Upstart0_6.Error.UnknownJob Unknown job: b"},
		{"nothing", control.Root, "com.ubuntu.Upstart0_6.EmitEvent", []any{"e", []string{"A=1"}, true}, nil},
		{"variant", control.Root, "org.freedesktop.DBus.Properties.Get", []any{"", "version"}, dbus.MakeVariant("init (upstart 1.13.2)")},
		{"variant of structures", control.Root + "/jobs/a/_", "org.freedesktop.DBus.Properties.Get", []any{"", "processes"},
			dbus.MakeVariantWithSignature([][]any{{"main", int32(7)}}, dbus.ParseSignatureMust("a(si)"))},
		{"dictionary, text that is not UTF-8", control.Root + "/jobs/a/_", "org.freedesktop.DBus.Properties.GetAll", []any{""},
			map[string]dbus.Variant{"name": dbus.MakeVariant("x\uFFFD"),
				"processes": dbus.MakeVariantWithSignature([][]any{{"main", int32(7)}}, dbus.ParseSignatureMust("a(si)"))}},
		{"structures", control.Root, "com.ubuntu.Upstart0_6.GetFacts", nil, [][]any{{"f", []string{"A=1"}, "o"}}},
		{"strings", control.Root, "com.ubuntu.Upstart0_6.ListEnv", []any{[]string{}}, []string{"A=1", "B=\uFFFD"}},
		{"wrong arguments", control.Root, "com.ubuntu.Upstart0_6.GetJobByName", []any{"a", "b"},
			"error org.freedesktop.DBus.Error.InvalidArgs Invalid arguments to GetJobByName method"},
		{"wrong type", control.Root, "com.ubuntu.Upstart0_6.GetJobByName", []any{dbus.ObjectPath("/a")},
			"error org.freedesktop.DBus.Error.InvalidArgs Invalid arguments to GetJobByName method"},
		{"variant for a string", control.Root, "com.ubuntu.Upstart0_6.GetJobByName", []any{dbus.MakeVariant("a")},
			"error org.freedesktop.DBus.Error.InvalidArgs Invalid arguments to GetJobByName method"},
		{"arguments for none", control.Root, "com.ubuntu.Upstart0_6.GetAllJobs", []any{"a"},
			"error org.freedesktop.DBus.Error.InvalidArgs Invalid arguments to GetAllJobs method"},
		{"unknown property", control.Root, "org.freedesktop.DBus.Properties.Get", []any{"", "no"},
			"error org.freedesktop.DBus.Error.UnknownProperty Unknown property: no"},
		{"set", control.Root, "org.freedesktop.DBus.Properties.Set", []any{"", "log_priority", dbus.MakeVariant("info")}, nil},
		{"unknown method", control.Root, "com.ubuntu.Upstart0_6.No", []any{"a"}, "error org.freedesktop.DBus.Error.UnknownMethod " +
			"Method \"No\" with signature \"s\" on interface \"com.ubuntu.Upstart0_6\" doesn't exist\n"},
		{"unknown object", "/com/other", "com.ubuntu.Upstart0_6.GetAllJobs", nil, "error org.freedesktop.DBus.Error.UnknownMethod " +
			"Method \"GetAllJobs\" with signature \"\" on interface \"com.ubuntu.Upstart0_6\" doesn't exist\n"},
		{"introspection of nothing", "/com/other", "org.freedesktop.DBus.Introspectable.Introspect", nil, "error org.freedesktop.DBus.Error.UnknownMethod " +
			"Method \"Introspect\" with signature \"\" on interface \"org.freedesktop.DBus.Introspectable\" doesn't exist\n"},
		{"introspection of the root", "/", "org.freedesktop.DBus.Introspectable.Introspect", nil, control.IntrospectPath([]string{"com"})},
		{"introspection on the way", "/com/ubuntu", "org.freedesktop.DBus.Introspectable.Introspect", nil, control.IntrospectPath([]string{"Upstart"})},
		{"introspection of the jobs", "/com/ubuntu/Upstart/jobs", "org.freedesktop.DBus.Introspectable.Introspect", nil,
			control.IntrospectPath([]string{"a", "foo_2dbar"})},
		{"introspection of an object", control.Root, "org.freedesktop.DBus.Introspectable.Introspect", nil,
			control.Introspect(control.Object{}, []string{"jobs"})},
		{"ping", "/anything", "org.freedesktop.DBus.Peer.Ping", nil, nil},
		{"more than a socket takes", control.Root, "com.ubuntu.Upstart0_6.GetState", nil, strings.Repeat("x", 1<<20)},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			call := c.Object("", dbus.ObjectPath(tt.path)).Call(tt.method, 0, tt.args...)
			if text, ok := tt.want.(string); ok && strings.HasPrefix(text, "error ") {
				e, _ := call.Err.(dbus.Error)
				if got := fmt.Sprintf("error %s %v", e.Name, e.Error()); got != text {
					t.Errorf("got %q, %v", got, call.Err)
				}
				return
			}
			want := []any{}
			if tt.want != nil {
				want = append(want, tt.want)
			}
			if call.Err != nil || len(call.Body) != len(want) || len(want) > 0 && !reflect.DeepEqual(call.Body, want) {
				t.Errorf("got %#v, %v, want %#v", call.Body, call.Err, want)
			}
		})
	}
}

func TestCallerIsDescribed(t *testing.T) {
	w := newWorld(t, func(w *world) { w.o.ChrootSessions = true })
	if err := manager(w.dial()).Call("com.ubuntu.Upstart0_6.GetAllJobs", 0).Err; err != nil {
		t.Fatal(err)
	}
	w.dial()
	who := w.handled()[0].Caller
	command := strings.Join(os.Args, " ")
	pid := os.Getpid()
	if !tellsPeers() {
		pid, command = -1, ""
	}
	if who.UID != os.Geteuid() || who.PID != pid || who.Conn != 1 || who.ID == 0 || who.Session != "" {
		t.Errorf("%+v", who)
	}
	if !strings.HasPrefix(command, who.Command) || who.Command == "" && command != "" {
		t.Errorf("command %q, want %q", who.Command, command)
	}
}

func TestNoReplyWhereNoneIsExpected(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial()
	for range 3 {
		manager(c).Call("com.ubuntu.Upstart0_6.GetAllJobs", dbus.FlagNoReplyExpected)
		manager(c).Call("com.ubuntu.Upstart0_6.No", dbus.FlagNoReplyExpected)
	}
	if err := manager(c).Call("org.freedesktop.DBus.Peer.Ping", 0).Err; err != nil {
		t.Fatal(err)
	}
	var sent uint32
	w.within(func() { sent = w.serial })
	if sent != 1 {
		t.Errorf("%d messages sent, want 1", sent)
	}
}

func TestSignalsReachEverybody(t *testing.T) {
	w := newWorld(t, nil)
	var heard []chan *dbus.Signal
	for i := range 3 {
		c := w.dial()
		if i > 0 { // like a client of a bus
			if err := c.Hello(); err != nil || !strings.HasPrefix(c.Names()[0], ":1.") {
				t.Fatal(err, c.Names())
			}
			if err := c.AddMatchSignal(dbus.WithMatchInterface(control.InterfaceManager)); err != nil {
				t.Fatal(err)
			}
		} else if err := manager(c).Call("org.freedesktop.DBus.Peer.Ping", 0).Err; err != nil {
			t.Fatal(err)
		}
		ch := make(chan *dbus.Signal, 10)
		c.Signal(ch)
		heard = append(heard, ch)
	}
	inst := control.InstanceObject("", "foo", "")
	w.within(func() {
		w.Publish(control.JobAdded(control.ClassObject("", "foo")))
		w.Publish(control.EventEmitted("e", []string{"A=\xff"}))
		w.Publish(control.Failed(inst, -1))
		w.Publish(control.Restarted())
	})
	for i, ch := range heard {
		var got []string
		for range 4 {
			s := <-ch
			got = append(got, fmt.Sprint(s.Path, " ", s.Name, s.Body))
		}
		want := []string{
			"/com/ubuntu/Upstart com.ubuntu.Upstart0_6.JobAdded[/com/ubuntu/Upstart/jobs/foo]",
			"/com/ubuntu/Upstart com.ubuntu.Upstart0_6.EventEmitted[e [A=\uFFFD]]",
			"/com/ubuntu/Upstart/jobs/foo/_ com.ubuntu.Upstart0_6.Instance.Failed[-1]",
			"/com/ubuntu/Upstart com.ubuntu.Upstart0_6.Restarted[]",
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("client %d: %q", i, got)
		}
	}
}

func TestDescriptorsArePassed(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial()
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer posix.CloseAll(pipe[:])
	err := manager(c).Call("com.ubuntu.Upstart0_6.EmitEventWithFile", 0, "e", []string{}, false, dbus.UnixFD(pipe[1])).Err
	if err != nil {
		t.Fatal(err)
	}
	fd := w.handled()[0].File
	defer unix.Close(fd)
	if fd < 3 || fd == pipe[1] {
		t.Fatalf("descriptor %d", fd)
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %#x, %v", flags, err)
	}
	if _, err := unix.Write(fd, []byte("x")); err != nil {
		t.Error(err)
	}
}

func TestSurplusDescriptorsAreClosed(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial()
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[0])
	fd := dbus.UnixFD(pipe[1])
	for _, call := range []*dbus.Call{
		manager(c).Call("com.ubuntu.Upstart0_6.No", 0, fd, fd),
		manager(c).Call("com.ubuntu.Upstart0_6.GetAllJobs", 0, fd),
		manager(c).Call("com.ubuntu.Upstart0_6.EmitEvent", 0, "e", []string{}, fd),
		manager(c).Call("org.freedesktop.DBus.Properties.Set", 0, "", "log_priority", dbus.MakeVariant(fd)),
	} {
		if call.Err == nil {
			t.Error("no error")
		}
	}
	unix.Close(pipe[1])
	if n, err := unix.Read(pipe[0], make([]byte, 1)); n != 0 || err != nil {
		t.Errorf("read %d, %v: somebody holds the other end", n, err)
	}
}

func TestRepliesMayComeLate(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial()
	job := c.Object("", "/com/ubuntu/Upstart/jobs/a")
	call := job.Go("com.ubuntu.Upstart0_6.Job.Start", 0, nil, []string{}, true)
	if err := job.Call("com.ubuntu.Upstart0_6.Job.Stop", 0, []string{}, false).Err; err != nil {
		t.Fatal(err)
	}
	first := w.handled()[0]
	w.within(func() { w.Respond(first.ID, first.Conn, control.Reply{Err: control.JobFailed(control.StartFailed)}) })
	if err := (<-call.Done).Err; err == nil || err.Error() != "Job failed to start" {
		t.Error(err)
	}
	job.Go("com.ubuntu.Upstart0_6.Job.Start", 0, nil, []string{}, true)
	c.Close()
	eventually(t, "the engine hears of the end", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return reflect.DeepEqual(w.hangups, []uint64{first.Conn})
	})
	w.within(func() { w.Respond(first.ID, first.Conn, control.Reply{}) })
}
