package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"onset/core/control"
)

// answers are what a fake init says, by call: "/jobs/foo Start [A=1] true".
// The manager is "/". A *control.Error is an error reply, []any several
// values, anything else one; what is not there is UnknownMethod.
type answers map[string]any

// done answers a call without values.
var done = []any{}

// fake is an init that answers from a table. It serves one connection at a
// time and logs the calls.
type fake struct {
	address string
	answers answers
	calls   chan string
	change  func(*tool) // of the tools it runs
	t       testing.TB
}

func startFake(t testing.TB, a answers) *fake {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{address: "unix:path=" + dbus.EscapeBusAddressValue(socket), answers: a, calls: make(chan string, 1<<17), t: t}
	stopped := make(chan bool)
	go func() {
		defer close(stopped)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			f.serve(conn)
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-stopped })
	return f
}

func (f *fake) serve(conn net.Conn) {
	in := bufio.NewReader(conn)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		if line == "BEGIN\r\n" {
			break
		}
		if !strings.HasPrefix(line, "\x00AUTH EXTERNAL ") {
			f.t.Errorf("handshake: %q", line)
		}
		io.WriteString(conn, "OK 0123456789abcdef0123456789abcdef\r\n")
	}
	for serial := uint32(1); ; serial++ {
		m, err := dbus.DecodeMessage(in)
		if err != nil {
			return
		}
		key := callKey(m)
		f.calls <- key
		answer, ok := f.answers[key]
		if answer == io.EOF { // an init that dies or starts anew
			return
		}
		if !ok {
			answer = &control.Error{Name: control.ErrUnknownMethod, Message: "unscripted: " + key}
		}
		f.reply(conn, m, serial, answer)
	}
}

func callKey(m *dbus.Message) string {
	path := strings.TrimPrefix(string(m.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)), control.Root)
	member := m.Headers[dbus.FieldMember].Value().(string)
	words := []string{path, member}
	if path == "" {
		words[0] = "/"
	}
	if dest, ok := m.Headers[dbus.FieldDestination].Value().(string); ok {
		words = append([]string{dest}, words...)
	}
	for _, a := range m.Body {
		if v, ok := a.(dbus.Variant); ok {
			a = v.Value()
		}
		words = append(words, strings.TrimPrefix(fmt.Sprint(a), control.InterfaceManager+"."))
	}
	return strings.Join(words, " ")
}

func (f *fake) reply(conn net.Conn, call *dbus.Message, serial uint32, answer any) {
	m := dbus.Message{Type: dbus.TypeMethodReply, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldReplySerial: dbus.MakeVariant(call.Serial()),
	}}
	switch a := answer.(type) {
	case emitted:
		m = a.message()
	case *control.Error:
		m.Type = dbus.TypeError
		m.Headers[dbus.FieldErrorName] = dbus.MakeVariant(a.Name)
		m.Body = []any{a.Message}
	case []any:
		m.Body = a
	default:
		m.Body = []any{a}
	}
	if len(m.Body) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(m.Body...))
	}
	var b bytes.Buffer
	if err := m.EncodeTo(&b, binary.LittleEndian); err != nil {
		f.t.Error(err)
		return
	}
	binary.LittleEndian.PutUint32(b.Bytes()[8:], serial) // godbus lets only its own connections set it
	conn.Write(b.Bytes())
}

// log returns the calls so far.
func (f *fake) log() []string {
	var calls []string
	for len(f.calls) > 0 {
		calls = append(calls, <-f.calls)
	}
	return calls
}

type table = map[string]dbus.Variant

// processes is the property of that name.
func processes(list ...control.ProcessInfo) dbus.Variant {
	rows := []struct {
		Name string
		PID  int32
	}{}
	for _, p := range list {
		rows = append(rows, struct {
			Name string
			PID  int32
		}{p.Name, int32(p.PID)})
	}
	return dbus.MakeVariant(rows)
}

func instanceTable(name, goal, state string, list ...control.ProcessInfo) table {
	return table{"name": dbus.MakeVariant(name), "goal": dbus.MakeVariant(goal),
		"state": dbus.MakeVariant(state), "processes": processes(list...)}
}

func paths(of ...string) []dbus.ObjectPath {
	list := []dbus.ObjectPath{}
	for _, p := range of {
		list = append(list, control.Root+dbus.ObjectPath(p))
	}
	return list
}

func at(of string) dbus.ObjectPath { return paths(of)[0] }

// world is an init with a running singleton foo, a stopped bar, and a job
// inst with instances a and b.
var world = answers{
	"/ GetAllJobs":                        paths("/jobs/foo", "/jobs/bar", "/jobs/inst"),
	"/ GetJobByName foo":                  at("/jobs/foo"),
	"/ GetJobByName bar":                  at("/jobs/bar"),
	"/ GetJobByName inst":                 at("/jobs/inst"),
	"/ GetJobByName nosuch":               control.UnknownJob("nosuch"),
	"/ GetProviders nosuch":               paths(),
	"/jobs/foo GetAllInstances":           paths("/jobs/foo/_"),
	"/jobs/bar GetAllInstances":           paths(),
	"/jobs/inst GetAllInstances":          paths("/jobs/inst/a", "/jobs/inst/b"),
	"/jobs/foo GetInstance []":            at("/jobs/foo/_"),
	"/jobs/bar GetInstance []":            control.UnknownInstance(""),
	"/jobs/inst GetInstance []":           control.ExpansionFailed("Unknown parameter: X", "X=name"),
	"/jobs/inst GetInstance [X=a]":        at("/jobs/inst/a"),
	"/jobs/inst GetInstance [X=c]":        control.UnknownInstance("c"),
	"/jobs/foo GetInstanceByName ":        at("/jobs/foo/_"),
	"/jobs/foo/_ GetAll Instance":         instanceTable("", "start", "running", control.ProcessInfo{Name: "main", PID: 7}),
	"/jobs/inst/a GetAll Instance":        instanceTable("a", "start", "post-start", control.ProcessInfo{Name: "main", PID: 8}, control.ProcessInfo{Name: "post-start", PID: 9}),
	"/jobs/inst/b GetAll Instance":        instanceTable("b", "stop", "pre-stop", control.ProcessInfo{Name: "pre-stop", PID: 10}),
	"/ Get com.ubuntu.Upstart0_6 version": dbus.MakeVariant("init (upstart 1.13.2)"),
}

// result is what a run of the tool left.
type result struct {
	stdout, stderr string
	status         int
}

// runTool runs a command line against the fake, as a user with UPSTART_SESSION.
func (f *fake) runTool(line []string, env map[string]string) result {
	var out, errs bytes.Buffer
	vars := map[string]string{"UPSTART_SESSION": f.address, "COLUMNS": "80"}
	maps.Copy(vars, env)
	t := &tool{commands: commands[:], programs: programs[:], stdout: &out, stderr: &errs, uid: 1000, system: system{euid: 1000, now: time.Now},
		lookup: func(name string) (string, bool) { v, ok := vars[name]; return v, ok }}
	if f.change != nil {
		f.change(t)
	}
	status := t.run(line)
	return result{out.String(), errs.String(), status}
}

// with returns the answers with more of them.
func (a answers) with(more answers) answers {
	all := maps.Clone(a)
	maps.Copy(all, more)
	return all
}

// toolTest is one run: the calls are those that matter, at the end.
type toolTest struct {
	why    string
	line   string // words separated by spaces; '' is an empty one
	env    map[string]string
	more   answers // beside world
	calls  []string
	stdout string
	stderr string
	status int
}

func runToolTests(t *testing.T, tests []toolTest) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			f := startFake(t, world.with(tt.more))
			words := strings.Split(tt.line, " ")
			for i := range words {
				words[i] = strings.ReplaceAll(words[i], "''", "")
			}
			got := f.runTool(words, tt.env)
			if want := (result{tt.stdout, tt.stderr, tt.status}); got != want {
				t.Errorf("%s\ngot  %+v\nwant %+v", tt.line, got, want)
			}
			calls := f.log()
			if n := len(calls) - len(tt.calls); n < 0 || !slices.Equal(calls[n:], tt.calls) {
				t.Errorf("%s: calls\n%q\nwant at the end\n%q", tt.line, calls, tt.calls)
			}
		})
	}
}
