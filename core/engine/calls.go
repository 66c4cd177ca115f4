package engine

import (
	"slices"

	"onset/core/cause"
	"onset/core/control"
	"onset/core/env"
	"onset/core/event"
	"onset/core/fact"
	"onset/core/job"
)

// request is one call while it is looked at.
type request struct {
	control.Caller
	control.Call
}

func failed(err *control.Error) *control.Reply { return &control.Reply{Err: err} }

func values(v ...any) *control.Reply { return &control.Reply{Values: v} }

var ok = &control.Reply{}

// called handles a request (UPSTART §6). A handler returns its answer, or nil
// if the answer comes later.
func (e *Engine) called(who control.Caller, call control.Call) {
	if !e.s.Options.ChrootSessions {
		who.Session = ""
	}
	if who.Session != "" && !slices.Contains(e.s.Sessions, who.Session) {
		e.s.Sessions = append(e.s.Sessions, who.Session)
		e.s.Held = append(e.s.Held, HeldCall{who, call})
		e.do(LoadSource{who.Session})
		return
	}
	if slices.ContainsFunc(e.s.Held, func(h HeldCall) bool { return h.Caller.Session == who.Session }) {
		e.s.Held = append(e.s.Held, HeldCall{who, call})
		return
	}
	r := &request{who, call}
	reply := e.answer(r)
	if reply == nil {
		return
	}
	e.respond(who.ID, who.Conn, *reply)
	if reply.Err != nil && call.File != 0 {
		e.do(CloseFile{call.File})
	}
}

func (e *Engine) answer(r *request) *control.Reply {
	if r.Method == control.EndSession && e.s.Options.PID == 1 {
		return ok
	}
	self := control.Self{UID: e.s.Options.UID, PID: e.s.Options.PID, User: e.s.Options.Mode == Session}
	if err := r.Permit(&r.Caller, self); err != nil {
		return failed(err)
	}
	if err := r.Check(); err != nil {
		return failed(err)
	}
	e.cause = nil
	switch r.Target.Kind {
	case control.Class:
		c := e.classes[r.Target.Session][r.Target.Class]
		if c == nil {
			return failed(r.unknownMethod())
		}
		return e.answerClass(r, c)
	case control.Instance:
		c := e.classes[r.Target.Session][r.Target.Class]
		if c == nil || c.instance(r.Target.Instance) == nil {
			return failed(r.unknownMethod())
		}
		return e.answerInstance(r, c.instance(r.Target.Instance))
	}
	return e.answerManager(r)
}

// unknownMethod is what clients take to mean that the object is gone.
func (r *request) unknownMethod() *control.Error {
	spec := r.Method.Spec()
	signature := ""
	for _, a := range spec.In {
		signature += a.Type
	}
	return control.UnknownMethod(spec.Interface, spec.Name, signature)
}

// asked makes the request the cause of what follows.
func (e *Engine) asked(r *request, what string) {
	e.because(cause.Request, nil, what)
	e.cause.Person = &cause.Person{UID: r.UID, PID: r.PID, Command: r.Command}
}

func (e *Engine) answerManager(r *request) *control.Reply {
	if r.Session != "" && chrootIgnored[r.Method] != "" {
		e.logf(Warn, "Ignoring %s from chroot session", chrootIgnored[r.Method])
		return r.empty()
	}
	switch r.Method {
	case control.ReloadConfiguration:
		e.logf(Info, "Reloading configuration")
		e.s.Reloads = append(e.s.Reloads, PendingAsk{r.ID, r.Conn})
		e.do(LoadConfig{e.s.Sessions})
		return nil
	case control.GetState:
		e.do(DumpState{r.ID, r.Conn})
		return nil
	case control.Restart:
		e.logf(Info, "Restarting")
		e.reexec()
		return nil
	case control.EmitEvent, control.EmitEventWithFile:
		return e.emitEvent(r)
	case control.NotifyDiskWriteable:
		return e.ask(r, FlushLogs{r.ID})
	case control.NotifyDBusAddress:
		return e.notifyBus(r)
	case control.NotifyCGroupManagerAddress:
		if e.s.CGroupAddress == "" {
			e.s.CGroupAddress = r.Value
		}
		return ok
	case control.EndSession:
		e.asked(r, "end session")
		e.quiesce("logout")
		return ok
	case control.GetEnv, control.SetEnv, control.SetEnvList, control.UnsetEnv, control.UnsetEnvList,
		control.ListEnv, control.ResetEnv:
		return e.answerEnv(r)
	case control.PropertyGet, control.PropertySet, control.PropertyGetAll:
		return e.answerProperty(r, e.managerProperty)
	}
	return e.answerQuery(r)
}

// chrootIgnored names the requests that a chroot session may make in vain
// (UPSTART §6.3, Appendix B).
var chrootIgnored = map[control.Method]string{
	control.GetState: "state query", control.Restart: "restart request", control.SetEnv: "set env request",
	control.SetEnvList: "set env request", control.UnsetEnv: "unset env request",
	control.UnsetEnvList: "unset env request", control.GetEnv: "get env request",
	control.ListEnv: "get env request", control.ResetEnv: "reset env request",
	control.EndSession: "session end request",
}

// empty is an answer of the right form that says nothing.
func (r *request) empty() *control.Reply {
	reply := &control.Reply{}
	for _, a := range r.Method.Spec().Out {
		if a.Type == "as" {
			reply.Values = append(reply.Values, []string{})
		} else {
			reply.Values = append(reply.Values, "")
		}
	}
	return reply
}

// answerQuery handles the manager's requests that change nothing, and those
// about facts.
func (e *Engine) answerQuery(r *request) *control.Reply {
	switch r.Method {
	case control.GetJobByName:
		c, err := e.jobByName(r.Session, r.Name)
		if err != nil {
			return failed(err)
		}
		return values(c.object().Path())
	case control.GetAllJobs:
		return values(e.jobPaths(r.Session, func(*Class) bool { return true }))
	case control.GetProviders:
		return values(e.jobPaths(r.Session, func(c *Class) bool { return slices.Contains(c.Def.Provides, r.Name) }))
	case control.Why:
		return e.answerWhy(r)
	case control.GetFacts:
		return values(e.factInfos(r.Session))
	case control.ObjectIntrospect:
		return values(control.Introspect(r.Target, []string{"jobs"}))
	}
	return e.answerFacts(r)
}

// jobByName returns the class of that name, or the only provider of that
// abstract name (EXTENSIONS §3).
func (e *Engine) jobByName(session, name string) (*Class, *control.Error) {
	if c := e.classes[session][name]; c != nil {
		return c, nil
	}
	var found *Class
	text := ""
	for _, c := range e.allClasses() {
		if c.Session != session || !slices.Contains(c.Def.Provides, name) {
			continue
		}
		if found != nil {
			text += ", "
		}
		text += c.Def.Name
		found = c
	}
	switch {
	case found == nil:
		return nil, control.UnknownJob(name)
	case found.Def.Name != text:
		return nil, control.SeveralProviders(name, text)
	}
	return found, nil
}

func (e *Engine) jobPaths(session string, want func(*Class) bool) []control.ObjectPath {
	paths := []control.ObjectPath{}
	for _, c := range e.allClasses() {
		if c.Session == session && want(c) {
			paths = append(paths, c.object().Path())
		}
	}
	return paths
}

func (e *Engine) answerWhy(r *request) *control.Reply {
	if len(r.Job) == 0 {
		return failed(control.UnknownJob(""))
	}
	c, err := e.jobByName(r.Session, r.Job[0])
	if err != nil {
		return failed(err)
	}
	return e.why(c, r.Job)
}

func (e *Engine) emitEvent(r *request) *control.Reply {
	e.asked(r, "emit "+r.Name)
	ev := e.emit(r.Name, env.Table(r.Env).Clone(), r.Session)
	ev.File = r.File
	e.useFile(r.File)
	if !r.Wait {
		return ok
	}
	ev.Waiters = append(ev.Waiters, event.Waiter{Call: r.ID, Conn: r.Conn})
	return nil
}

// ask hands a request to the platform, whose Done answers it.
func (e *Engine) ask(r *request, effect Effect) *control.Reply {
	e.s.Asks = append(e.s.Asks, PendingAsk{r.ID, r.Conn})
	e.do(effect)
	return nil
}

func (e *Engine) done(m Done) {
	i := slices.IndexFunc(e.s.Asks, func(a PendingAsk) bool { return a.Call == m.Call })
	if i < 0 {
		return
	}
	reply := control.Reply{}
	if m.Error != "" {
		reply.Err = control.SystemError(m.Error)
	}
	e.respond(m.Call, e.s.Asks[i].Conn, reply)
	e.s.Asks = slices.Delete(e.s.Asks, i, i+1)
}

func (e *Engine) notifyBus(r *request) *control.Reply {
	if e.s.BusAddress != "" {
		return ok
	}
	e.s.BusAddress = r.Value
	return e.ask(r, ConnectBus{Address: r.Value, Call: r.ID})
}

func (e *Engine) answerReloads() {
	for _, a := range e.s.Reloads {
		e.respond(a.Call, a.Conn, control.Reply{})
	}
	e.s.Reloads = nil
}

// hungup forgets everything that waits for a connection, and gives its facts
// a grace time.
func (e *Engine) hungup(conn uint64) {
	for _, ev := range e.queue.All() {
		ev.Waiters = slices.DeleteFunc(ev.Waiters, func(w event.Waiter) bool { return w.Instance == 0 && w.Conn == conn })
	}
	for _, c := range e.allClasses() {
		for _, j := range c.Instances {
			j.Waiters = slices.DeleteFunc(j.Waiters, func(w job.Waiter) bool { return w.Call != nil && w.Call.Conn == conn })
		}
	}
	mine := func(a PendingAsk) bool { return a.Conn == conn }
	e.s.Reloads = slices.DeleteFunc(e.s.Reloads, mine)
	e.s.Asks = slices.DeleteFunc(e.s.Asks, mine)
	e.s.Held = slices.DeleteFunc(e.s.Held, func(h HeldCall) bool {
		if h.Caller.Conn == conn && h.Call.File != 0 {
			e.do(CloseFile{h.Call.File})
		}
		return h.Caller.Conn == conn
	})
	e.sourceLost(conn)
}

// answerFacts handles the requests that make facts true or false.
func (e *Engine) answerFacts(r *request) *control.Reply {
	owner := fact.Owner{Kind: fact.Admin}
	if r.Method != control.SetFact && r.Method != control.ClearFact {
		owner = fact.Owner{Kind: fact.Source, ID: r.Conn}
	}
	e.asked(r, r.Method.Spec().Name+" "+r.Name)
	if r.Method != control.ClearFact && r.Method != control.RetractFact {
		f := &fact.Fact{Name: r.Name, Env: env.Table(r.Env).Clone(), Owner: owner, Session: r.Session, File: r.File}
		if owner.Kind == fact.Source {
			e.noteSource(r.Conn, r.PID)
			e.inherit(f)
		}
		e.assertFact(f)
		return ok
	}
	e.retractFacts(r.Name, func(f *fact.Fact) bool {
		return f.Owner == owner && f.Session == r.Session && (len(r.Env) == 0 || slices.Equal(f.Env, r.Env))
	})
	return ok
}

func (e *Engine) factInfos(session string) []control.FactInfo {
	infos := []control.FactInfo{}
	for _, f := range e.facts.All() {
		if f.Session == session {
			infos = append(infos, control.FactInfo{Name: f.Name, Env: f.Env, Owner: e.ownerText(f.Owner)})
		}
	}
	return infos
}

func (e *Engine) ownerText(o fact.Owner) string {
	switch o.Kind {
	case fact.Job:
		return "job " + e.instances[o.ID].String()
	case fact.Source:
		return "source"
	}
	return "administrator"
}
