package control

// SignalID numbers the rows of Signals.
type SignalID uint8

// The signals (UPSTART §§6.3-6.5).
const (
	SignalJobAdded SignalID = iota
	SignalJobRemoved
	SignalEventEmitted
	SignalRestarted
	SignalInstanceAdded
	SignalInstanceRemoved
	SignalGoalChanged
	SignalStateChanged
	SignalFailed
)

// SignalSpec is a row of Signals.
type SignalSpec struct {
	Interface string
	Name      string
	Out       []Arg
}

// Signals lists the signals by SignalID, in the order of introspection.
var Signals = [...]SignalSpec{
	SignalJobAdded:        {InterfaceManager, "JobAdded", []Arg{{Name: "job", Type: "o"}}},
	SignalJobRemoved:      {InterfaceManager, "JobRemoved", []Arg{{Name: "job", Type: "o"}}},
	SignalEventEmitted:    {InterfaceManager, "EventEmitted", []Arg{{Name: "name", Type: "s"}, {Name: "env", Type: "as"}}},
	SignalRestarted:       {InterfaceManager, "Restarted", nil},
	SignalInstanceAdded:   {InterfaceJob, "InstanceAdded", []Arg{{Name: "instance", Type: "o"}}},
	SignalInstanceRemoved: {InterfaceJob, "InstanceRemoved", []Arg{{Name: "instance", Type: "o"}}},
	SignalGoalChanged:     {InterfaceInstance, "GoalChanged", []Arg{{Name: "goal", Type: "s"}}},
	SignalStateChanged:    {InterfaceInstance, "StateChanged", []Arg{{Name: "state", Type: "s"}}},
	SignalFailed:          {InterfaceInstance, "Failed", []Arg{{Name: "status", Type: "i"}}},
}

// Signal is one signal, kept small: paths and the argument list are made
// when it is sent.
type Signal struct {
	ID      SignalID
	Subject Object   // what it is about: see Emitter for whose signal it is
	Text    string   // event name, goal or state
	Env     []string // EventEmitted
	Status  int      // Failed
}

// JobAdded and JobRemoved are signals of the manager about a class.
func JobAdded(class Object) Signal { return Signal{ID: SignalJobAdded, Subject: class} }

// JobRemoved follows the last use of a class.
func JobRemoved(class Object) Signal { return Signal{ID: SignalJobRemoved, Subject: class} }

// EventEmitted announces that an event is being handled.
func EventEmitted(name string, env []string) Signal {
	return Signal{ID: SignalEventEmitted, Text: name, Env: env}
}

// Restarted is the first signal of a new image after a re-exec.
func Restarted() Signal { return Signal{ID: SignalRestarted} }

// InstanceAdded and InstanceRemoved are signals of a class about an instance.
func InstanceAdded(inst Object) Signal { return Signal{ID: SignalInstanceAdded, Subject: inst} }

// InstanceRemoved follows the instance's last state change.
func InstanceRemoved(inst Object) Signal { return Signal{ID: SignalInstanceRemoved, Subject: inst} }

// GoalChanged gives the new goal of an instance.
func GoalChanged(inst Object, goal string) Signal {
	return Signal{ID: SignalGoalChanged, Subject: inst, Text: goal}
}

// StateChanged gives the new state of an instance.
func StateChanged(inst Object, state string) Signal {
	return Signal{ID: SignalStateChanged, Subject: inst, Text: state}
}

// Failed gives the status an instance failed with: exit code, signal<<8, -1
// for a failure to spawn, 0 for the respawn limit (UPSTART §6.5).
func Failed(inst Object, status int) Signal {
	return Signal{ID: SignalFailed, Subject: inst, Status: status}
}

// Spec returns the signal's row.
func (s Signal) Spec() *SignalSpec { return &Signals[s.ID] }

// Emitter returns the object whose signal it is.
func (s Signal) Emitter() Object {
	switch s.ID {
	case SignalInstanceAdded, SignalInstanceRemoved:
		return ClassObject(s.Subject.Session, s.Subject.Class)
	case SignalGoalChanged, SignalStateChanged, SignalFailed:
		return s.Subject
	}
	return Object{}
}

// Args returns the arguments in the types of the Out column.
func (s Signal) Args() []any {
	switch s.ID {
	case SignalEventEmitted:
		return []any{s.Text, s.Env}
	case SignalRestarted:
		return nil
	case SignalGoalChanged, SignalStateChanged:
		return []any{s.Text}
	case SignalFailed:
		return []any{int32(s.Status)}
	}
	return []any{s.Subject.Path()}
}
