package coretest

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"onset/core/control"
	"onset/core/expr"
	"onset/platform/sim"
)

// caller is what a script says about a client.
type caller struct {
	uid     int
	pid     int // 0: one that init did not start
	session string
}

// client says who a client is before it calls for the first time.
func (r *runner) client(a args) {
	var c caller
	for _, w := range a.rest(1) {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "uid":
			c.uid = r.number(value)
		case "process":
			c.pid = r.process(value).PID
		case "session":
			c.session = value
		default:
			r.fatalf("unknown attribute %s", key)
		}
	}
	r.caller[a.word(0)] = c
}

// call sends a request, and connects the client if it is not.
func (r *runner) call(client string, c control.Call) *sim.Pending {
	conn, ok := r.conns[client]
	if !ok {
		conn = r.world.Connect()
		r.conns[client], r.names[conn] = conn, client
		if _, known := r.caller[client]; !known {
			r.caller[client] = caller{uid: r.options.UID}
		}
	}
	who := r.caller[client]
	return r.world.CallAs(control.Caller{Conn: conn, UID: who.uid, PID: cmp.Or(who.pid, int(1000+conn)), Session: who.session, Command: client}, c)
}

// ask sends a request that is answered at once and returns the values; ok is
// false after an error, which is shown.
func (r *runner) ask(client string, c control.Call) (values []any, ok bool) {
	shown := r.out.shown[showReplies]
	r.out.shown[showReplies] = false
	pending := r.call(client, c)
	r.manager.Pass(0)
	r.out.shown[showReplies] = shown
	reply := pending.Reply
	if reply == nil {
		r.fatalf("%s is not answered at once", c.Method.Spec().Name)
	}
	if reply.Err != nil {
		r.out.say("", "reply %s %s", client, replyText(*reply))
		return nil, false
	}
	return reply.Values, true
}

func (r *runner) hangup(client string) {
	conn, ok := r.conns[client]
	if !ok {
		r.fatalf("no client %s", client)
	}
	delete(r.conns, client)
	r.world.Hangup(conn)
}

// target splits [SESSION|]JOB[:INSTANCE]; without a session it is the client's.
func (r *runner) target(client, name string) (class, instance control.Object) {
	name, inst, _ := strings.Cut(name, ":")
	session := r.caller[client].session
	if s, of, ok := strings.Cut(name, "|"); ok {
		session, name = s, of
	}
	return control.ClassObject(session, name), control.InstanceObject(session, name, inst)
}

func jobCall(m control.Method) func(*runner, args) {
	return func(r *runner, a args) {
		wait := !a.flag("--no-wait")
		class, _ := r.target(a.client, a.word(0))
		r.call(a.client, control.Call{Method: m, Target: class, Env: a.rest(1), Wait: wait})
	}
}

func (r *runner) instanceByName(a args) {
	class, _ := r.target(a.client, a.word(0))
	r.call(a.client, control.Call{Method: control.JobGetInstanceByName, Target: class, Name: a.word(1)})
}

func instanceCall(m control.Method) func(*runner, args) {
	return func(r *runner, a args) {
		wait := !a.flag("--no-wait")
		_, instance := r.target(a.client, a.word(0))
		r.call(a.client, control.Call{Method: m, Target: instance, Wait: wait})
	}
}

func managerCall(m control.Method) func(*runner, args) {
	return func(r *runner, a args) { r.call(a.client, control.Call{Method: m}) }
}

func namedCall(m control.Method) func(*runner, args) {
	return func(r *runner, a args) {
		r.call(a.client, control.Call{Method: m, Name: a.word(0), Env: a.rest(1)})
	}
}

func valueCall(m control.Method) func(*runner, args) {
	return func(r *runner, a args) { r.call(a.client, control.Call{Method: m, Value: a.word(0)}) }
}

// envCall reads [JOB[:INSTANCE]/] ENTRY…; --retain keeps variables that exist.
func envCall(m control.Method) func(*runner, args) {
	return func(r *runner, a args) {
		c := control.Call{Method: m, Replace: !a.flag("--retain")}
		if of, ok := strings.CutSuffix(a.word(0), "/"); ok {
			name, inst, hasInst := strings.Cut(of, ":")
			c.Job = []string{name}
			if hasInst {
				c.Job = append(c.Job, inst)
			}
			a.words = a.rest(1)
		}
		c.Env = a.words
		if m == control.GetEnv {
			c.Env, c.Name = nil, a.word(0)
		}
		r.call(a.client, c)
	}
}

func (r *runner) emit(a args) {
	wait := !a.flag("--no-wait")
	c := control.Call{Method: control.EmitEvent, Name: a.word(0), Wait: wait}
	if c.Env, c.File = r.envAndFile(a.rest(1)); c.File != 0 {
		c.Method = control.EmitEventWithFile
	}
	r.call(a.client, c)
}

func (r *runner) assert(a args) {
	c := control.Call{Method: control.AssertFact, Name: a.word(0)}
	if c.Env, c.File = r.envAndFile(a.rest(1)); c.File != 0 {
		c.Method = control.AssertFactWithFile
	}
	r.call(a.client, c)
}

// envAndFile takes --file=N out of an environment.
func (r *runner) envAndFile(words []string) (env []string, file int) {
	for _, w := range words {
		if n, ok := strings.CutPrefix(w, "--file="); ok {
			file = r.number(n)
			continue
		}
		env = append(env, w)
	}
	return env, file
}

func (r *runner) fact(a args) {
	methods := map[string]control.Method{"set": control.SetFact, "clear": control.ClearFact}
	m, ok := methods[a.word(0)]
	if !ok {
		r.fatalf("fact is set or clear")
	}
	r.call(a.client, control.Call{Method: m, Name: a.word(1), Env: a.rest(2)})
}

// why prints each change of a job with its causes, nearest first.
func (r *runner) why(a args) {
	name, inst, hasInst := strings.Cut(a.word(0), ":")
	c := control.Call{Method: control.Why, Job: []string{name}}
	if hasInst {
		c.Job = append(c.Job, inst)
	}
	values, ok := r.ask(a.client, c)
	if !ok {
		return
	}
	var changes []struct {
		Action, Instance string
		Causes           []struct{ Kind, Text string }
	}
	if err := json.Unmarshal([]byte(values[0].(string)), &changes); err != nil {
		r.fatalf("%v", err)
	}
	for _, c := range changes {
		line := strings.TrimSpace(c.Action + " " + c.Instance)
		for _, link := range c.Causes {
			line += " < " + link.Kind + " " + link.Text
		}
		r.out.say("", "%s", line)
	}
}

// status prints the line of initctl status. An instance that is not there is
// a job at rest.
func (r *runner) status(a args) {
	class, instance := r.target(a.client, a.word(0))
	values, ok := r.ask(a.client, control.Call{Method: control.JobGetAllInstances, Target: class})
	if !ok {
		return
	}
	if !slices.Contains(values[0].([]control.ObjectPath), instance.Path()) {
		r.out.say("", "%s", control.StatusLine(class.Class, "", "stop", "waiting", "", nil))
		return
	}
	props := r.allProperties(a.client, instance)
	r.out.say("", "%s", control.StatusLine(class.Class, instance.Instance, props["goal"].(string),
		props["state"].(string), props["respawn_at"].(string), props["processes"].([]control.ProcessInfo))+
		control.StatusNotes(props["phase"].(string), props["status_text"].(string), props["oom_kills"].(int32)))
}

func (r *runner) allProperties(client string, o control.Object) map[string]any {
	values, ok := r.ask(client, control.Call{Method: control.PropertyGetAll, Target: o})
	if !ok {
		r.fatalf("%s has no properties", o.Path())
	}
	props := map[string]any{}
	for _, p := range values[0].([]control.Property) {
		props[p.Name] = p.Value
	}
	return props
}

func (r *runner) properties(a args) {
	var o control.Object
	if a.word(0) != "" {
		class, instance := r.target(a.client, a.word(0))
		o = class
		if strings.Contains(a.word(0), ":") {
			o = instance
		}
	}
	values, ok := r.ask(a.client, control.Call{Method: control.PropertyGetAll, Target: o})
	if !ok {
		return
	}
	props := values[0].([]control.Property)
	if names := a.rest(1); len(names) > 0 {
		props = slices.DeleteFunc(props, func(p control.Property) bool { return !slices.Contains(names, p.Name) })
	}
	r.out.say("", "%s", valueText(props))
}

func (r *runner) showConfig(a args) {
	events := a.flag("-e")
	class, _ := r.target(a.client, a.word(0))
	props := r.allProperties(a.client, class)
	info := control.ClassInfo{Name: class.Class, Emits: props["emits"].([]string), Provides: props["provides"].([]string),
		StartOn: tree(props["start_on"]), StopOn: tree(props["stop_on"]), While: tree(props["while"])}
	text := control.ShowConfig(&info)
	if events {
		info.StartOn, info.StopOn = tree(props["start_on_expanded"]), tree(props["stop_on_expanded"])
		text = control.ShowConfigEvents(&info)
	}
	r.out.say("", "%s", strings.TrimSuffix(text, "\n"))
}

// tree reads the encoding of start_on and stop_on (UPSTART §6.4).
func tree(property any) expr.Tree {
	var t expr.Tree
	for _, words := range property.([][]string) {
		switch words[0] {
		case "/AND":
			t = append(t, expr.Node{Op: expr.And})
		case "/OR":
			t = append(t, expr.Node{Op: expr.Or})
		case "/NOT":
			t = append(t, expr.Node{Op: expr.Not})
		default:
			t = append(t, expr.Node{Name: words[0], Args: words[1:]})
		}
	}
	return t
}

func (r *runner) setPriority(a args) {
	r.call(a.client, control.Call{Method: control.PropertySet, Name: "log_priority", Value: a.word(0)})
}
