package control

import (
	"reflect"
	"testing"
)

func TestSignals(t *testing.T) {
	class, inst := ClassObject("", "foo"), InstanceObject("", "foo", "")
	classPath, instPath := ObjectPath(Root+"/jobs/foo"), ObjectPath(Root+"/jobs/foo/_")
	tests := []struct {
		signal  Signal
		name    string
		emitter Object
		args    []any
	}{
		{JobAdded(class), "JobAdded", Object{}, []any{classPath}},
		{JobRemoved(class), "JobRemoved", Object{}, []any{classPath}},
		{EventEmitted("e", []string{"A=1"}), "EventEmitted", Object{}, []any{"e", []string{"A=1"}}},
		{Restarted(), "Restarted", Object{}, nil},
		{InstanceAdded(inst), "InstanceAdded", class, []any{instPath}},
		{InstanceRemoved(inst), "InstanceRemoved", class, []any{instPath}},
		{GoalChanged(inst, "stop"), "GoalChanged", inst, []any{"stop"}},
		{StateChanged(inst, "killed"), "StateChanged", inst, []any{"killed"}},
		{Failed(inst, -1), "Failed", inst, []any{int32(-1)}},
	}
	if len(tests) != len(Signals) {
		t.Errorf("%d of %d signals tested", len(tests), len(Signals))
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			spec := tt.signal.Spec()
			if spec.Name != tt.name || tt.signal.Emitter() != tt.emitter || spec.Interface != ownInterface[tt.emitter.Kind] {
				t.Errorf("%s of %+v by %s", spec.Name, tt.signal.Emitter(), spec.Interface)
			}
			args := tt.signal.Args()
			if !reflect.DeepEqual(args, tt.args) {
				t.Errorf("arguments %#v, want %#v", args, tt.args)
			}
			for i, a := range args {
				if !hasType(a, spec.Out[i].Type) {
					t.Errorf("%s has another type than %s", spec.Out[i].Name, spec.Out[i].Type)
				}
			}
			if len(args) != len(spec.Out) {
				t.Errorf("%d arguments, want %d", len(args), len(spec.Out))
			}
		})
	}
}

func TestSignalsCostNothingUntilSent(t *testing.T) {
	inst := InstanceObject("", "foo", "1")
	var s Signal
	if n := testing.AllocsPerRun(100, func() { s = StateChanged(inst, "running") }); n > 0 {
		t.Errorf("%v allocations for %+v, want none", n, s)
	}
}

func TestErrorTexts(t *testing.T) {
	const u, d = "com.ubuntu.Upstart0_6.Error.", "org.freedesktop.DBus.Error."
	tests := []struct {
		err        *Error
		name, text string
	}{
		{UnknownJob("foo"), u + "UnknownJob", "Unknown job: foo"},
		{UnknownInstance(""), u + "UnknownInstance", "Unknown instance: "},
		{UnknownJobInstance("x", "foo"), u + "UnknownJobInstance", "Unknown instance: x of job foo"},
		{AlreadyStarted(JobName("foo", "1")), u + "AlreadyStarted", "Job is already running: foo (1)"},
		{AlreadyStopped("foo"), u + "AlreadyStopped", "Job has already been stopped: foo"},
		{NotRunning("foo"), u + "NotRunning", "Job is not running: foo"},
		{JobFailed(StartFailed), u + "JobFailed", "Job failed to start"},
		{JobFailed(StopFailed), u + "JobFailed", "Job failed while stopping"},
		{JobFailed(RestartFailed), u + "JobFailed", "Job failed to restart"},
		{EventFailed(), u + "EventFailed", "Event failed"},
		{SessionMismatch("foo"), u + "PermissionDenied", "You do not have permission to modify job: foo"},
		{ConditionNotMet("foo", "(bar and baz X=1)", []string{"bar", "baz X=1"}), u + "ConditionNotMet",
			"Job may not run now: foo: (bar and baz X=1) (false: bar, baz X=1)"},
		{ConditionNotMet("foo", "not bar", nil), u + "ConditionNotMet", "Job may not run now: foo: not bar"},
		{NoSuchVariable("X"), d + "InvalidArgs", "No such variable: X"},
		{ExpansionFailed("Unknown parameter: X", ""), d + "InvalidArgs", "Unknown parameter: X"},
		{ExpansionFailed("Unknown parameter: X", "X=name"), d + "InvalidArgs", "Unknown parameter: X\nUsage: X=name"},
		{SystemError("No space left on device"), d + "Failed", "No space left on device"},
		{UnknownMethod(InterfaceManager, "No", "su"), d + "UnknownMethod",
			"Method \"No\" with signature \"su\" on interface \"com.ubuntu.Upstart0_6\" doesn't exist\n"},
		{UnknownMethod("", "No", ""), d + "UnknownMethod",
			"Method \"No\" with signature \"\" on interface \"(null)\" doesn't exist\n"},
	}
	for _, tt := range tests {
		if tt.err.Name != tt.name || tt.err.Error() != tt.text {
			t.Errorf("got %s %q, want %s %q", tt.err.Name, tt.err.Message, tt.name, tt.text)
		}
	}
}
