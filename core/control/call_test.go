package control

import (
	"reflect"
	"strings"
	"testing"
)

// sample has a value of each argument type as a codec yields it.
var sample = map[string]any{"s": "x", "b": true, "as": []string{"A=1"}, "h": 7, "v": "info"}

// kindOf returns a kind of object that has the interface.
func kindOf(iface string) ObjectKind {
	for kind, own := range ownInterface {
		if own == iface {
			return ObjectKind(kind)
		}
	}
	return Manager
}

func samples(spec *MethodSpec) []any {
	var args []any
	for _, a := range spec.In {
		if a.To == ToName && spec.Interface == InterfaceProperties {
			args = append(args, "log_priority")
		} else if a.To == ToInterface {
			args = append(args, "")
		} else {
			args = append(args, sample[a.Type])
		}
	}
	return args
}

func TestEveryMethodTakesItsSignatureAndNoOther(t *testing.T) {
	for m := range Methods {
		spec := &Methods[m]
		t.Run(spec.Interface+"."+spec.Name, func(t *testing.T) {
			target := Object{Kind: kindOf(spec.Interface)}
			if got, ok := Lookup(target.Kind, spec.Interface, spec.Name); !ok || got != Method(m) {
				t.Fatalf("Lookup = %d, %v, want %d", got, ok, m)
			}
			if got, ok := Lookup(target.Kind, "", spec.Name); !ok || got != Method(m) {
				t.Errorf("Lookup without interface = %d, %v, want %d", got, ok, m)
			}
			args := samples(spec)
			if _, err := NewCall(Method(m), target, args); err != nil {
				t.Errorf("NewCall(%v): %v", args, err)
			}
			want := &Error{ErrInvalidArgs, "Invalid arguments to " + spec.Name + " method"}
			if _, err := NewCall(Method(m), target, append(args[:len(args):len(args)], "more")); !reflect.DeepEqual(err, want) {
				t.Errorf("one argument too many: %v", err)
			}
			for i, a := range spec.In {
				if a.Type == "v" {
					continue
				}
				wrong := append([]any(nil), args...)
				wrong[i] = 1.5
				if _, err := NewCall(Method(m), target, wrong); !reflect.DeepEqual(err, want) {
					t.Errorf("wrong type of %s: %v", a.Name, err)
				}
			}
		})
	}
}

func TestArgumentsReachTheirFields(t *testing.T) {
	job, list := []string{"foo", ""}, []string{"A=1", "B=2"}
	tests := []struct {
		m    Method
		args []any
		want Call
	}{
		{GetEnv, []any{job, "X"}, Call{Job: job, Name: "X"}},
		{SetEnv, []any{job, "X=1", true}, Call{Job: job, Env: []string{"X=1"}, Replace: true}},
		{SetEnvList, []any{job, list, false}, Call{Job: job, Env: list}},
		{UnsetEnv, []any{job, "X"}, Call{Job: job, Env: []string{"X"}}},
		{EmitEventWithFile, []any{"e", list, true, 4}, Call{Name: "e", Env: list, Wait: true, File: 4}},
		{NotifyDBusAddress, []any{"unix:path=/x"}, Call{Value: "unix:path=/x"}},
		{AssertFact, []any{"f", list}, Call{Name: "f", Env: list}},
		{AssertFactWithFile, []any{"f", list, 4}, Call{Name: "f", Env: list, File: 4}},
		{Why, []any{job}, Call{Job: job}},
		{JobStart, []any{list, true}, Call{Env: list, Wait: true}},
		{JobGetInstanceByName, []any{"tty1"}, Call{Name: "tty1"}},
		{InstanceStopForce, []any{true}, Call{Wait: true}},
		{PropertyGet, []any{InterfaceManager, "version"}, Call{Interface: InterfaceManager, Name: "version"}},
		{PropertySet, []any{"", "log_priority", "info"}, Call{Name: "log_priority", Value: "info"}},
		{PropertyGetAll, []any{""}, Call{}},
	}
	for _, tt := range tests {
		t.Run(tt.m.Spec().Name, func(t *testing.T) {
			tt.want.Method = tt.m
			got, err := NewCall(tt.m, Object{}, tt.args)
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}

func TestLookupFindsOnlyWhatTheObjectHas(t *testing.T) {
	tests := []struct {
		why    string
		kind   ObjectKind
		iface  string
		member string
		want   Method
		ok     bool
	}{
		{"Start of a class", Class, "", "Start", JobStart, true},
		{"Start of an instance", Instance, "", "Start", InstanceStart, true},
		{"Restart of the manager", Manager, "", "Restart", Restart, true},
		{"no Start of the manager", Manager, "", "Start", 0, false},
		{"no job interface on the manager", Manager, InterfaceJob, "Start", 0, false},
		{"properties everywhere", Instance, InterfaceProperties, "GetAll", PropertyGetAll, true},
		{"introspection everywhere", Class, "", "Introspect", ObjectIntrospect, true},
		{"unknown member", Manager, InterfaceManager, "NoSuchMethod", 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			if got, ok := Lookup(tt.kind, tt.iface, tt.member); got != tt.want || ok != tt.ok {
				t.Errorf("got %d, %v, want %d, %v", got, ok, tt.want, tt.ok)
			}
		})
	}
}

func TestPropertyRequestsThatCannotBe(t *testing.T) {
	tests := []struct {
		why  string
		kind ObjectKind
		m    Method
		args []any
		name string
	}{
		{"unknown property", Manager, PropertyGet, []any{"", "nope"}, ErrUnknownProperty},
		{"property of another object", Manager, PropertyGet, []any{"", "start_on"}, ErrUnknownProperty},
		{"property of another interface", Class, PropertyGet, []any{InterfaceManager, "version"}, ErrUnknownProperty},
		{"set of a read-only property", Manager, PropertySet, []any{"", "version", "x"}, ErrPropertyReadOnly},
		{"set with another type", Manager, PropertySet, []any{"", "log_priority", true}, ErrInvalidArgs},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			_, err := NewCall(tt.m, Object{Kind: tt.kind}, tt.args)
			if err == nil || err.Name != tt.name {
				t.Errorf("got %+v, want %s", err, tt.name)
			}
		})
	}
}

func TestCheckNamesTheFault(t *testing.T) {
	const noName, noVar = "Name may not be empty string", "Variable may not be empty string"
	const noPair, noJob = "Env must be KEY=VALUE pairs", "Job may not be empty string"
	tests := []struct {
		call Call
		want string
	}{
		{Call{Method: GetJobByName}, noName},
		{Call{Method: GetJobByName, Name: "foo"}, ""},
		{Call{Method: EmitEvent}, noName},
		{Call{Method: EmitEvent, Name: "e", Env: []string{"A=1", "B"}}, noPair},
		{Call{Method: EmitEvent, Name: "e", Env: []string{"A=1", "B="}}, ""},
		{Call{Method: EmitEventWithFile, Name: "e", Env: []string{"B"}}, noPair},
		{Call{Method: JobGetInstance, Env: []string{"X"}}, noPair},
		{Call{Method: JobStart, Env: []string{"X"}}, noPair},
		{Call{Method: JobStop, Env: []string{"X"}}, noPair},
		{Call{Method: JobRestart, Env: []string{"X"}}, noPair},
		{Call{Method: JobGetInstanceByName}, ""},
		{Call{Method: GetEnv}, noVar},
		{Call{Method: GetEnv, Job: []string{""}, Name: "X"}, noJob},
		{Call{Method: GetEnv, Job: []string{"foo", ""}, Name: "X"}, ""},
		{Call{Method: ListEnv, Job: []string{""}}, noJob},
		{Call{Method: SetEnv, Env: []string{"X"}}, ""},
		{Call{Method: SetEnvList, Env: []string{"A=1", "=1"}}, ""},
		{Call{Method: SetFact}, noName},
		{Call{Method: AssertFact, Name: "f", Env: []string{"X"}}, noPair},
		{Call{Method: PropertySet, Name: "log_priority", Value: "bogus"}, "The log priority given was not recognised"},
		{Call{Method: PropertySet, Name: "log_priority", Value: "fatal"}, ""},
	}
	for _, tt := range tests {
		got := tt.call.Check()
		if tt.want == "" && got != nil || tt.want != "" && (got == nil || *got != Error{ErrInvalidArgs, tt.want}) {
			t.Errorf("%s %+v: got %+v, want %q", tt.call.Method.Spec().Name, tt.call, got, tt.want)
		}
	}
}

func TestPermissionRule(t *testing.T) {
	pid1, session, test := Self{PID: 1}, Self{UID: 1000, PID: 70, User: true}, Self{UID: 1000, PID: 70}
	rootSession := Self{PID: 70, User: true}
	const denied = "You do not have permission to "
	tests := []struct {
		why  string
		call Call
		uid  int
		self Self
		want string
	}{
		{"root asks process 1", Call{Method: GetState}, 0, pid1, ""},
		{"a user asks process 1", Call{Method: GetState}, 1000, pid1, denied + "request state"},
		{"somebody unknown asks process 1", Call{Method: EmitEvent}, -1, pid1, denied + "emit an event"},
		{"a session init serves who reaches it", Call{Method: GetState}, -1, session, ""},
		{"so does one run by root", Call{Method: GetState}, 1000, rootSession, ""},
		{"an unprivileged init asks nobody", Call{Method: EndSession}, 0, test, ""},
		{"open to all", Call{Method: GetAllJobs}, 1000, pid1, ""},
		{"job requests rest on the session", Call{Method: JobStart}, 1000, pid1, ""},
		{"log priority", Call{Method: PropertySet, Name: "log_priority"}, 1000, pid1, denied + "set log priority"},
		{"reading it is open", Call{Method: PropertyGet, Name: "log_priority"}, 1000, pid1, ""},
		{"process 1 keeps its environment", Call{Method: SetEnvList}, 0, pid1, "Not permissible to modify PID 1 job environment"},
		{"a session init does not", Call{Method: SetEnvList}, 1000, session, ""},
		{"process 1 and its bus", Call{Method: NotifyDBusAddress}, 0, pid1, "Not permissible to notify D-Bus address for PID 1"},
		{"facts are not for all", Call{Method: SetFact}, 1000, pid1, denied + "modify facts"},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			got := tt.call.Permit(&Caller{UID: tt.uid}, tt.self)
			if tt.want == "" && got != nil || tt.want != "" && (got == nil || *got != Error{ErrPermissionDenied, tt.want}) {
				t.Errorf("got %+v, want %q", got, tt.want)
			}
		})
	}
}

func TestRepliesMustFit(t *testing.T) {
	instance := Object{Kind: Instance}
	all := []Property{{"name", "x"}, {"goal", "start"}, {"state", "running"}, {"processes", []ProcessInfo{{"main", 1}}}, {"respawn_at", ""}, {"phase", ""}, {"status_text", ""}, {"oom_kills", int32(0)}}
	tests := []struct {
		why    string
		call   Call
		values []any
		want   bool
	}{
		{"a path", Call{Method: GetJobByName}, []any{ObjectPath("/x")}, true},
		{"a string is no path", Call{Method: GetJobByName}, []any{"/x"}, false},
		{"nothing at all", Call{Method: JobStop}, nil, true},
		{"a value too many", Call{Method: JobStop}, []any{"x"}, false},
		{"a value too few", Call{Method: GetAllJobs}, nil, false},
		{"facts", Call{Method: GetFacts}, []any{[]FactInfo{{"f", nil, "o"}}}, true},
		{"a type the API lacks", Call{Method: GetFacts}, []any{3.5}, false},
		{"a property", Call{Method: PropertyGet, Target: instance, Name: "goal"}, []any{"start"}, true},
		{"a property of another type", Call{Method: PropertyGet, Target: instance, Name: "processes"}, []any{"start"}, false},
		{"all properties", Call{Method: PropertyGetAll, Target: instance}, []any{all}, true},
		{"one missing", Call{Method: PropertyGetAll, Target: instance}, []any{all[:3]}, false},
		{"another interface has none", Call{Method: PropertyGetAll, Target: instance, Interface: InterfaceJob}, []any{[]Property(nil)}, true},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			if got := (Reply{Values: tt.values}).Fits(&tt.call); got != tt.want {
				t.Errorf("Fits = %v, want %v", got, tt.want)
			}
		})
	}
	if !(Reply{Err: EventFailed()}).Fits(&Call{Method: GetState}) {
		t.Error("an error must fit every method")
	}
}

func TestTablesHoldTogether(t *testing.T) {
	known := strings.Fields("s b i h o v as ao aas a(si) a(sass) a{sv}")
	is := func(typ string) bool {
		for _, k := range known {
			if k == typ {
				return true
			}
		}
		return false
	}
	for _, m := range Methods {
		if m.Name == "" || m.Interface == "" {
			t.Errorf("a method without its row: %+v", m)
		}
		for _, a := range append(append([]Arg(nil), m.In...), m.Out...) {
			if a.Name == "" || !is(a.Type) {
				t.Errorf("%s: bad argument %+v", m.Name, a)
			}
		}
	}
	for _, p := range Properties {
		if !is(p.Type) {
			t.Errorf("bad property %+v", p)
		}
	}
}
