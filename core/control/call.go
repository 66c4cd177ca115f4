package control

import "strings"

// Lookup returns the method that a member means on an object of that kind.
// An empty interface means any of the object's, as D-Bus allows.
func Lookup(kind ObjectKind, iface, member string) (Method, bool) {
	for m := range Methods {
		spec := &Methods[m]
		if spec.Name == member && (iface == "" || iface == spec.Interface) && hasInterface(kind, spec.Interface) {
			return Method(m), true
		}
	}
	return 0, false
}

// PropertiesOf returns the properties an object of that kind has under an
// interface, or under any if that is empty, in the order of GetAll.
func PropertiesOf(kind ObjectKind, iface string) []PropertySpec {
	if iface != "" && iface != ownInterface[kind] {
		return nil
	}
	first, last := len(Properties), 0
	for i, p := range Properties {
		if p.Interface == ownInterface[kind] {
			first, last = min(first, i), i+1
		}
	}
	return Properties[first:last]
}

// LookupProperty returns the property of that name on an object of that
// kind; nil if there is none.
func LookupProperty(kind ObjectKind, iface, name string) *PropertySpec {
	props := PropertiesOf(kind, iface)
	for i := range props {
		if props[i].Name == name {
			return &props[i]
		}
	}
	return nil
}

// ownInterface is the interface of ours that an object has, by its kind.
var ownInterface = [...]string{Manager: InterfaceManager, Class: InterfaceJob, Instance: InterfaceInstance}

// hasInterface reports whether objects of that kind have the interface.
func hasInterface(kind ObjectKind, iface string) bool {
	return iface == ownInterface[kind] || iface == InterfaceProperties || iface == InterfaceIntrospect
}

// NewCall makes a request of decoded arguments: string, bool, []string, int
// for a descriptor, and whatever a variant held. The error says that they do
// not fit the method, or that there is no such property (UPSTART §6.7).
func NewCall(m Method, target Object, args []any) (Call, *Error) {
	spec := m.Spec()
	c := Call{Method: m, Target: target}
	if len(args) != len(spec.In) {
		return Call{}, InvalidArgs("Invalid arguments to " + spec.Name + " method")
	}
	for i, a := range spec.In {
		if a.Type == "v" {
			continue
		}
		if !c.set(a.To, args[i]) {
			return Call{}, InvalidArgs("Invalid arguments to " + spec.Name + " method")
		}
	}
	switch m {
	case PropertyGet:
		return c, c.unknownProperty()
	case PropertySet:
		return c, c.setProperty(args[2])
	}
	return c, nil
}

// set stores one argument; it reports whether the type was right.
func (c *Call) set(to Field, v any) (ok bool) {
	switch to {
	case ToName:
		c.Name, ok = v.(string)
	case ToEnv:
		c.Env, ok = v.([]string)
	case ToEnvOne:
		var one string
		one, ok = v.(string)
		c.Env = []string{one}
	case ToJob:
		c.Job, ok = v.([]string)
	case ToValue:
		c.Value, ok = v.(string)
	case ToInterface:
		c.Interface, ok = v.(string)
	case ToWait:
		c.Wait, ok = v.(bool)
	case ToReplace:
		c.Replace, ok = v.(bool)
	case ToFile:
		c.File, ok = v.(int)
	}
	return ok
}

func (c *Call) unknownProperty() *Error {
	if LookupProperty(c.Target.Kind, c.Interface, c.Name) == nil {
		return &Error{ErrUnknownProperty, "Unknown property: " + c.Name}
	}
	return nil
}

// setProperty takes the new value. Every property that can be set is a
// string.
func (c *Call) setProperty(v any) *Error {
	if err := c.unknownProperty(); err != nil {
		return err
	}
	if LookupProperty(c.Target.Kind, c.Interface, c.Name).Set == "" {
		return &Error{ErrPropertyReadOnly, "Property is read only: " + c.Name}
	}
	if !c.set(ToValue, v) {
		return InvalidArgs("Invalid arguments to " + c.Name + " property")
	}
	return nil
}

// Self is what the permission rule has to know of init.
type Self struct {
	UID, PID int
	User     bool // a session init
}

// Permit applies the permission rule (UPSTART §6.7 part 2): only init's own
// user may do what is not open to all, unless init is a user's. Job requests
// have no rule but the session.
func (c *Call) Permit(who *Caller, self Self) *Error {
	spec := c.Method.Spec()
	what := spec.Permission
	if c.Method == PropertySet {
		what = LookupProperty(c.Target.Kind, c.Interface, c.Name).Set
	}
	own := self.User || self.UID != 0 && self.PID != 1 || who.UID >= 0 && who.UID == self.UID
	switch {
	case what != "" && !own:
		return &Error{ErrPermissionDenied, "You do not have permission to " + what}
	case spec.NotPID1 != "" && self.PID == 1:
		return &Error{ErrPermissionDenied, spec.NotPID1}
	}
	return nil
}

// Check applies what the rules of the In column demand of the arguments. It
// comes after Permit.
func (c *Call) Check() *Error {
	if c.Method == PropertySet {
		return c.checkPriority()
	}
	for _, a := range c.Method.Spec().In {
		if text := c.breach(a.Rule); text != "" {
			return InvalidArgs(text)
		}
	}
	return nil
}

// breach returns the text of the error if the call breaks the rule.
func (c *Call) breach(r Rule) string {
	switch {
	case r == NameNeeded && c.Name == "":
		return "Name may not be empty string"
	case r == VarNeeded && c.Name == "":
		return "Variable may not be empty string"
	case r == Pairs && !pairs(c.Env):
		return "Env must be KEY=VALUE pairs"
	case r == JobIfPresent && len(c.Job) > 0 && c.Job[0] == "":
		return "Job may not be empty string"
	}
	return ""
}

func pairs(entries []string) bool {
	for _, e := range entries {
		if !strings.Contains(e, "=") {
			return false
		}
	}
	return true
}

// checkPriority checks the one property that can be set.
func (c *Call) checkPriority() *Error {
	for _, p := range LogPriorities {
		if c.Value == p {
			return nil
		}
	}
	return InvalidArgs("The log priority given was not recognised")
}

// Fits reports whether a reply to the call is an error, or has the values
// that the method's Out column and the Properties table promise.
func (r Reply) Fits(c *Call) bool {
	if r.Err != nil {
		return true
	}
	out := c.Method.Spec().Out
	if len(r.Values) != len(out) {
		return false
	}
	for i, a := range out {
		switch a.Type {
		case "v":
			return hasType(r.Values[i], LookupProperty(c.Target.Kind, c.Interface, c.Name).Type)
		case "a{sv}":
			props, ok := r.Values[i].([]Property)
			return ok && fitProperties(props, PropertiesOf(c.Target.Kind, c.Interface))
		}
		if !hasType(r.Values[i], a.Type) {
			return false
		}
	}
	return true
}

func fitProperties(props []Property, specs []PropertySpec) bool {
	if len(props) != len(specs) {
		return false
	}
	for i, p := range props {
		if p.Name != specs[i].Name || !hasType(p.Value, specs[i].Type) {
			return false
		}
	}
	return true
}

func hasType(v any, signature string) bool {
	t, ok := TypeOf(v)
	return ok && t == signature
}
