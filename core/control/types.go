// Package control is the control API of init as plain values: objects,
// methods, properties, signals, errors and the permission rule (UPSTART §6,
// EXTENSIONS §§1-3, 13), and the texts initctl makes of the answers
// (UPSTART §§7.3-7.5).
//
// It knows the shape of the API and nothing of its meaning or its transport.
// A transport finds the row of a method with Lookup, turns decoded arguments
// into a Call with NewCall, and encodes the Reply and the Signals that the
// engine hands back. The tables Methods, Signals and Properties are the one
// description of the API: conversion, checks and introspection read them.
//
// Everything here is a value without hidden state. Slices inside a value are
// shared, not copied: who makes a value must not change its slices after.
package control

// ObjectPath is a D-Bus object path.
type ObjectPath string

// ObjectKind tells what an object stands for, and so which interface it has.
type ObjectKind uint8

// The kinds of object (UPSTART §6.2).
const (
	Manager ObjectKind = iota
	Class
	Instance
)

// Object names one object of the API. The zero value is the manager.
type Object struct {
	Kind     ObjectKind
	Session  string // root directory of a chroot session; empty = null session
	Class    string // job name; Class and Instance
	Instance string // instance name, empty for a singleton; Instance only
}

// ClassObject names a job class of a session.
func ClassObject(session, class string) Object {
	return Object{Kind: Class, Session: session, Class: class}
}

// InstanceObject names an instance of a job class of a session.
func InstanceObject(session, class, instance string) Object {
	return Object{Kind: Instance, Session: session, Class: class, Instance: instance}
}

// Call is one request. Which fields a method uses, and for what, is the In
// column of its row in Methods.
type Call struct {
	Method    Method
	Target    Object
	Name      string   // event, job, instance, variable, fact, service or property
	Env       []string // KEY=VALUE entries, or variable names to unset
	Job       []string // job_details: empty = global, else job and instance
	Value     string   // new property value, or a bus address
	Interface string   // of a property; empty = any
	Wait      bool     // reply when the work is done, not when it is accepted
	Replace   bool     // overwrite variables that exist
	File      int      // handle of the descriptor that came with the request
}

// Caller is who made a request, as far as the transport could find out.
type Caller struct {
	ID      uint64 // identifies the pending reply
	Conn    uint64 // identifies the connection, the owner of asserted facts
	UID     int    // -1 when unknown
	PID     int    // -1 when unknown
	Session string // root directory of the caller; empty = null session
	Command string // command line, for causes; may be empty
}

// Reply answers a Call: the values of the method's Out column, or Err.
type Reply struct {
	Values []any // see TypeOf for the types in use
	Err    *Error
}

// ProcessInfo is one live process slot of an instance.
type ProcessInfo struct {
	Name string
	PID  int
}

// Tree is what GetTree answers, as JSON: the living processes of an instance,
// each after its parent, and what they use where the kernel counts it.
type Tree struct {
	Processes []TreeProcess `json:"processes"`
	Usage     *Usage        `json:"usage,omitempty"`
}

// TreeProcess is a process of the tree that a slot's process began. Parent is
// 0 where it is none of them.
type TreeProcess struct {
	Slot    string `json:"slot"`
	PID     int    `json:"pid"`
	Parent  int    `json:"parent"`
	Command string `json:"command"`
}

// Usage is what all processes of an instance use; a nil part is not counted.
type Usage struct {
	CPU    *uint64 `json:"cpu_usec,omitempty"` // since they were started
	Memory *uint64 `json:"memory,omitempty"`   // bytes
	PIDs   *uint64 `json:"pids,omitempty"`     // processes and threads
}

// Add adds what others use; where neither is counted, nothing is.
func (u *Usage) Add(other *Usage) {
	for _, part := range [][2]**uint64{{&u.CPU, &other.CPU}, {&u.Memory, &other.Memory}, {&u.PIDs, &other.PIDs}} {
		switch a, b := *part[0], *part[1]; {
		case a == nil:
			*part[0] = b
		case b != nil:
			sum := *a + *b
			*part[0] = &sum
		}
	}
}

// FactInfo is one fact that holds.
type FactInfo struct {
	Name  string
	Env   []string
	Owner string
}

// Property is a property with its value; a list of them keeps its order.
type Property struct {
	Name  string
	Value any
}

// TypeOf returns the D-Bus signature of a reply, property or signal value;
// ok is false for a type that has no place in the API.
func TypeOf(v any) (signature string, ok bool) {
	switch v.(type) {
	case string:
		return "s", true
	case int32:
		return "i", true
	case ObjectPath:
		return "o", true
	case []string:
		return "as", true
	case [][]string:
		return "aas", true
	case []ObjectPath:
		return "ao", true
	case []ProcessInfo:
		return "a(si)", true
	case []FactInfo:
		return "a(sass)", true
	case []Property:
		return "a{sv}", true
	}
	return "", false
}
