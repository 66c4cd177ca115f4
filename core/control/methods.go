package control

// The interfaces of the API.
const (
	InterfaceManager    = "com.ubuntu.Upstart0_6"
	InterfaceJob        = "com.ubuntu.Upstart0_6.Job"
	InterfaceInstance   = "com.ubuntu.Upstart0_6.Instance"
	InterfaceProperties = "org.freedesktop.DBus.Properties"
	InterfaceIntrospect = "org.freedesktop.DBus.Introspectable"
)

// Method numbers the rows of Methods.
type Method uint8

// The methods, in the order of introspection.
const (
	ReloadConfiguration Method = iota
	GetJobByName
	GetAllJobs
	GetState
	Restart
	GetEnv
	SetEnv
	SetEnvList
	UnsetEnv
	UnsetEnvList
	ListEnv
	ResetEnv
	EmitEvent
	EmitEventWithFile
	NotifyDiskWriteable
	NotifyDBusAddress
	NotifyCGroupManagerAddress
	EndSession
	SetFact
	ClearFact
	AssertFact
	AssertFactWithFile
	RetractFact
	GetFacts
	GetProviders
	Why

	JobGetInstance
	JobGetInstanceByName
	JobGetAllInstances
	JobStart
	JobStop
	JobRestart

	InstanceStart
	InstanceStop
	InstanceRestart
	InstanceReload
	InstanceStopForce
	InstanceGetTree

	PropertyGet
	PropertySet
	PropertyGetAll
	ObjectIntrospect
)

// Arg is one argument of a method or signal.
type Arg struct {
	Name string
	Type string // D-Bus signature
	To   Field  // where NewCall puts it; methods' In column only
	Rule Rule   // what Call.Check demands of it
}

// Field says which field of a Call receives an argument.
type Field uint8

// The fields. ToEnvOne makes a list of one of a string.
const (
	ToName Field = iota
	ToEnv
	ToEnvOne
	ToJob
	ToValue
	ToInterface
	ToWait
	ToReplace
	ToFile
)

// Rule is a demand on an argument beyond its type.
type Rule uint8

// The rules; each has one error text (UPSTART §6.3).
const (
	Any          Rule = iota
	NameNeeded        // a non-empty name
	VarNeeded         // a non-empty variable name
	Pairs             // KEY=VALUE entries
	JobIfPresent      // job_details: empty, or beginning with a job name
)

// MethodSpec is a row of Methods.
type MethodSpec struct {
	Interface  string
	Name       string
	In, Out    []Arg
	Permission string // completes "You do not have permission to "; empty = open to all
	NotPID1    string // why process 1 refuses; empty = it does not
	Async      bool   // may be answered in a later step, or never
}

const (
	noEnvPID1 = "Not permissible to modify PID 1 job environment"
	noBusPID1 = "Not permissible to notify D-Bus address for PID 1"
	modifyEnv = "modify job environment"
	queryEnv  = "query job environment"
	emitEvent = "emit an event"
	setFacts  = "modify facts"
)

var (
	jobArg      = Arg{Name: "job_details", Type: "as", To: ToJob, Rule: JobIfPresent}
	nameArg     = Arg{Name: "name", Type: "s", To: ToName, Rule: NameNeeded}
	envArg      = Arg{Name: "env", Type: "as", To: ToEnv, Rule: Pairs}
	waitArg     = Arg{Name: "wait", Type: "b", To: ToWait}
	fileArg     = Arg{Name: "file", Type: "h", To: ToFile}
	replaceArg  = Arg{Name: "replace", Type: "b", To: ToReplace}
	addressArg  = Arg{Name: "address", Type: "s", To: ToValue}
	propIfcArg  = Arg{Name: "interface_name", Type: "s", To: ToInterface}
	propNameArg = Arg{Name: "property_name", Type: "s", To: ToName}

	outInstance = []Arg{{Name: "instance", Type: "o"}}
)

// Methods lists the methods by Method, in the order of introspection
// (UPSTART §§6.3-6.5; facts, providers, trees and causes EXTENSIONS §§1, 3, 4, 13).
var Methods = [...]MethodSpec{
	ReloadConfiguration: {Interface: InterfaceManager, Name: "ReloadConfiguration",
		Permission: "reload configuration", Async: true},
	GetJobByName: {Interface: InterfaceManager, Name: "GetJobByName",
		In: []Arg{nameArg}, Out: []Arg{{Name: "job", Type: "o"}}},
	GetAllJobs: {Interface: InterfaceManager, Name: "GetAllJobs", Out: []Arg{{Name: "jobs", Type: "ao"}}},
	GetState: {Interface: InterfaceManager, Name: "GetState", Out: []Arg{{Name: "state", Type: "s"}},
		Permission: "request state"},
	Restart: {Interface: InterfaceManager, Name: "Restart", Permission: "request restart", Async: true},
	GetEnv: {Interface: InterfaceManager, Name: "GetEnv",
		In:  []Arg{jobArg, {Name: "name", Type: "s", To: ToName, Rule: VarNeeded}},
		Out: []Arg{{Name: "value", Type: "s"}}, Permission: queryEnv},
	SetEnv: {Interface: InterfaceManager, Name: "SetEnv",
		In:         []Arg{jobArg, {Name: "var", Type: "s", To: ToEnvOne}, replaceArg},
		Permission: modifyEnv, NotPID1: noEnvPID1},
	SetEnvList: {Interface: InterfaceManager, Name: "SetEnvList",
		In:         []Arg{jobArg, {Name: "vars", Type: "as", To: ToEnv}, replaceArg},
		Permission: modifyEnv, NotPID1: noEnvPID1},
	UnsetEnv: {Interface: InterfaceManager, Name: "UnsetEnv",
		In:         []Arg{jobArg, {Name: "name", Type: "s", To: ToEnvOne}},
		Permission: modifyEnv, NotPID1: noEnvPID1},
	UnsetEnvList: {Interface: InterfaceManager, Name: "UnsetEnvList",
		In:         []Arg{jobArg, {Name: "name", Type: "as", To: ToEnv}},
		Permission: modifyEnv, NotPID1: noEnvPID1},
	ListEnv: {Interface: InterfaceManager, Name: "ListEnv",
		In: []Arg{jobArg}, Out: []Arg{{Name: "env", Type: "as"}}, Permission: queryEnv},
	ResetEnv: {Interface: InterfaceManager, Name: "ResetEnv",
		In: []Arg{jobArg}, Permission: modifyEnv, NotPID1: noEnvPID1},
	EmitEvent: {Interface: InterfaceManager, Name: "EmitEvent",
		In: []Arg{nameArg, envArg, waitArg}, Permission: emitEvent, Async: true},
	EmitEventWithFile: {Interface: InterfaceManager, Name: "EmitEventWithFile",
		In:         []Arg{nameArg, envArg, waitArg, fileArg},
		Permission: emitEvent, Async: true},
	NotifyDiskWriteable: {Interface: InterfaceManager, Name: "NotifyDiskWriteable",
		Permission: "notify disk is writeable", Async: true},
	NotifyDBusAddress: {Interface: InterfaceManager, Name: "NotifyDBusAddress",
		In: []Arg{addressArg}, Permission: "notify D-Bus address", NotPID1: noBusPID1, Async: true},
	NotifyCGroupManagerAddress: {Interface: InterfaceManager, Name: "NotifyCGroupManagerAddress",
		In: []Arg{addressArg}, Permission: "notify cgroup manager address"},
	EndSession: {Interface: InterfaceManager, Name: "EndSession", Permission: "end session"},
	SetFact:    {Interface: InterfaceManager, Name: "SetFact", In: []Arg{nameArg, envArg}, Permission: setFacts},
	ClearFact:  {Interface: InterfaceManager, Name: "ClearFact", In: []Arg{nameArg, envArg}, Permission: setFacts},
	AssertFact: {Interface: InterfaceManager, Name: "AssertFact", In: []Arg{nameArg, envArg}, Permission: setFacts},
	AssertFactWithFile: {Interface: InterfaceManager, Name: "AssertFactWithFile",
		In: []Arg{nameArg, envArg, fileArg}, Permission: setFacts},
	RetractFact: {Interface: InterfaceManager, Name: "RetractFact", In: []Arg{nameArg, envArg}, Permission: setFacts},
	GetFacts:    {Interface: InterfaceManager, Name: "GetFacts", Out: []Arg{{Name: "facts", Type: "a(sass)"}}},
	GetProviders: {Interface: InterfaceManager, Name: "GetProviders",
		In: []Arg{nameArg}, Out: []Arg{{Name: "jobs", Type: "ao"}}},
	Why: {Interface: InterfaceManager, Name: "Why", In: []Arg{jobArg}, Out: []Arg{{Name: "causes", Type: "s"}}},

	JobGetInstance: {Interface: InterfaceJob, Name: "GetInstance", In: []Arg{envArg}, Out: outInstance},
	JobGetInstanceByName: {Interface: InterfaceJob, Name: "GetInstanceByName",
		In: []Arg{{Name: "name", Type: "s", To: ToName}}, Out: outInstance},
	JobGetAllInstances: {Interface: InterfaceJob, Name: "GetAllInstances",
		Out: []Arg{{Name: "instances", Type: "ao"}}},
	JobStart:   {Interface: InterfaceJob, Name: "Start", In: []Arg{envArg, waitArg}, Out: outInstance, Async: true},
	JobStop:    {Interface: InterfaceJob, Name: "Stop", In: []Arg{envArg, waitArg}, Async: true},
	JobRestart: {Interface: InterfaceJob, Name: "Restart", In: []Arg{envArg, waitArg}, Out: outInstance, Async: true},

	InstanceStart:     {Interface: InterfaceInstance, Name: "Start", In: []Arg{waitArg}, Async: true},
	InstanceStop:      {Interface: InterfaceInstance, Name: "Stop", In: []Arg{waitArg}, Async: true},
	InstanceRestart:   {Interface: InterfaceInstance, Name: "Restart", In: []Arg{waitArg}, Async: true},
	InstanceReload:    {Interface: InterfaceInstance, Name: "Reload", Async: true},
	InstanceStopForce: {Interface: InterfaceInstance, Name: "StopForce", In: []Arg{waitArg}, Async: true},
	InstanceGetTree:   {Interface: InterfaceInstance, Name: "GetTree", Out: []Arg{{Name: "tree", Type: "s"}}, Async: true},

	PropertyGet: {Interface: InterfaceProperties, Name: "Get",
		In: []Arg{propIfcArg, propNameArg}, Out: []Arg{{Name: "value", Type: "v"}}},
	PropertySet: {Interface: InterfaceProperties, Name: "Set",
		In: []Arg{propIfcArg, propNameArg, {Name: "value", Type: "v", To: ToValue}}},
	PropertyGetAll: {Interface: InterfaceProperties, Name: "GetAll",
		In: []Arg{propIfcArg}, Out: []Arg{{Name: "props", Type: "a{sv}"}}},
	ObjectIntrospect: {Interface: InterfaceIntrospect, Name: "Introspect",
		Out: []Arg{{Name: "data", Type: "s"}}},
}

// PropertySpec is a row of Properties. All properties can be read.
type PropertySpec struct {
	Interface string
	Name      string
	Type      string // D-Bus signature
	Set       string // completes "You do not have permission to "; empty = read only
}

// Properties lists the properties in the order of GetAll and introspection.
var Properties = [...]PropertySpec{
	{InterfaceManager, "version", "s", ""},
	{InterfaceManager, "log_priority", "s", "set log priority"},

	{InterfaceJob, "name", "s", ""},
	{InterfaceJob, "description", "s", ""},
	{InterfaceJob, "author", "s", ""},
	{InterfaceJob, "version", "s", ""},
	{InterfaceJob, "usage", "s", ""},
	{InterfaceJob, "start_on", "aas", ""},
	{InterfaceJob, "stop_on", "aas", ""},
	{InterfaceJob, "emits", "as", ""},
	{InterfaceJob, "start_on_expanded", "aas", ""}, // with the aliases written out
	{InterfaceJob, "stop_on_expanded", "aas", ""},
	{InterfaceJob, "while", "aas", ""},
	{InterfaceJob, "provides", "as", ""},

	{InterfaceInstance, "name", "s", ""},
	{InterfaceInstance, "goal", "s", ""},
	{InterfaceInstance, "state", "s", ""},
	{InterfaceInstance, "processes", "a(si)", ""},
	{InterfaceInstance, "respawn_at", "s", ""},  // RFC 3339; empty unless a respawn is delayed
	{InterfaceInstance, "phase", "s", ""},       // what readiness waits for, or what main is about; else empty
	{InterfaceInstance, "status_text", "s", ""}, // what main says of itself
	{InterfaceInstance, "oom_kills", "i", ""},   // processes of slots that ended for want of memory
}

// LogPriorities are the values of the property log_priority, least first.
var LogPriorities = [...]string{"debug", "info", "message", "warn", "error", "fatal"}

// Spec returns the method's row.
func (m Method) Spec() *MethodSpec { return &Methods[m] }
