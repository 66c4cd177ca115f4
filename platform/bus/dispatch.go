package bus

import (
	"slices"
	"strings"

	"onset/core/control"
	"onset/platform/posix"
)

const (
	busName    = "org.freedesktop.DBus"
	peerIface  = "org.freedesktop.DBus.Peer"
	limitsText = "org.freedesktop.DBus.Error.LimitsExceeded"
	jobsNode   = control.Root + "/jobs"
)

// signatures are what the methods take, by control.Method.
var signatures = func() (all [len(control.Methods)]string) {
	for m := range control.Methods {
		for _, a := range control.Methods[m].In {
			all[m] += a.Type
		}
	}
	return all
}()

// message handles one whole message of a private connection.
func (c *conn) message(b []byte) error {
	m, files, err := c.stream.decode(b)
	if err != nil {
		return err
	}
	if m.kind != callMessage {
		posix.CloseAll(files)
		return nil
	}
	return c.serve(m, files)
}

// serve answers a request, or hands it to the engine.
func (c *conn) serve(r *incoming, files []int) error {
	object, ok := control.ParsePath(r.path)
	method := control.Method(0)
	if ok {
		method, ok = control.Lookup(object.Kind, r.iface, r.member)
	}
	if !ok {
		posix.CloseAll(files)
		return c.serveOther(r)
	}
	call, fault := r.call(method, object, &files)
	posix.CloseAll(files)
	if fault != nil {
		c.reply(r.serial, r.reply, control.Reply{Err: fault})
		return nil
	}
	kind := plainReply
	if method == control.PropertyGet {
		kind = variantReply
	}
	return c.ask(r, call, kind)
}

// ask hands a call to the engine.
func (c *conn) ask(r *incoming, call control.Call, kind replyKind) error {
	if r.reply == noReply {
		kind = noReply
	}
	if c.stream.old > 0 && c.seen != nil && c.seen(callID(c.id, kind, r.serial)) {
		closeCall(&call)
		return nil
	}
	if c.pending >= maxPending {
		closeCall(&call)
		c.reply(r.serial, kind, control.Reply{Err: &control.Error{Name: limitsText, Message: "Too many calls without reply"}})
		return nil
	}
	who, err := c.caller(kind, r.serial)
	if err != nil {
		closeCall(&call)
		return err
	}
	if kind != noReply {
		c.pending++
	}
	c.called = true
	c.owns = c.owns || call.Method == control.AssertFact
	c.s.handler.Call(who, call)
	return nil
}

func closeCall(call *control.Call) {
	if call.File != 0 {
		posix.CloseAll([]int{call.File})
	}
}

// call makes the call; the descriptor it takes is taken out of files.
func (r *incoming) call(m control.Method, o control.Object, files *[]int) (control.Call, *control.Error) {
	if r.signature != signatures[m] {
		return control.Call{}, control.InvalidArgs("Invalid arguments to " + r.member + " method")
	}
	call, err := control.NewCall(m, o, r.body)
	if i := slices.Index(*files, call.File); err == nil && i >= 0 {
		*files = slices.Delete(*files, i, i+1)
	}
	return call, err
}

// serveOther answers what every D-Bus program answers, and the methods of a
// bus that clients call without thinking. All else is unknown.
func (c *conn) serveOther(r *incoming) error {
	var reply control.Reply
	switch {
	case r.iface == peerIface && r.member == "Ping":
	case r.iface == peerIface && r.member == "GetMachineId":
		id, err := machineID()
		if reply.Values = []any{id}; err != nil {
			reply.Err = control.SystemError(err.Error())
		}
	case r.iface == busName && r.member == "Hello" && c.guestOf == nil:
		reply.Values = []any{uniqueName(c.id)}
	case r.iface == busName && (r.member == "AddMatch" || r.member == "RemoveMatch") && c.guestOf == nil:
	case r.member == "Introspect" && (r.iface == "" || r.iface == control.InterfaceIntrospect) && r.signature == "":
		if r.path == jobsNode {
			return c.ask(r, control.Call{Method: control.GetAllJobs}, nodesReply)
		}
		if nodes := nodesBelow(r.path, []any{[]control.ObjectPath{control.Root}}); nodes != nil {
			reply.Values = []any{control.IntrospectPath(nodes)}
			break
		}
		fallthrough
	default:
		reply.Err = control.UnknownMethod(r.iface, r.member, r.signature)
	}
	c.reply(r.serial, r.reply, reply)
	return nil
}

// nodesBelow returns the names of the nodes right below a path on the way to
// the objects, sorted; values is a list of one list of paths.
func nodesBelow(path string, values []any) (nodes []string) {
	prefix := strings.TrimSuffix(path, "/") + "/"
	for _, object := range values[0].([]control.ObjectPath) {
		if rest, ok := strings.CutPrefix(string(object), prefix); ok {
			node, _, _ := strings.Cut(rest, "/")
			nodes = append(nodes, node)
		}
	}
	slices.Sort(nodes)
	return slices.Compact(nodes)
}
