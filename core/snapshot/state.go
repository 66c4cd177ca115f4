package snapshot

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"onset/core/cause"
	"onset/core/conf"
	"onset/core/control"
	"onset/core/engine"
	"onset/core/event"
	"onset/core/expr"
	"onset/core/fact"
	"onset/core/job"
)

// magic begins a snapshot; the version follows.
const magic = "onset\x00"

// version is the format that Encode writes. Decode reads it and all before.
const version = 5

// Encode returns a state as bytes. Effects whose result the platform still
// owes are kept beside it for Recover; they are LoadConfig, LoadSource,
// ConnectBus and FlushLogs. No others may be under way, and no message may
// wait to be stepped.
func Encode(s *engine.State, open ...engine.Effect) []byte {
	return Append(make([]byte, 0, 1<<16), s, open...)
}

// Append appends what Encode returns to the empty memory that it is to be in.
func Append(to []byte, s *engine.State, open ...engine.Effect) []byte {
	c := &codec{version: version, buf: append(to, magic...)}
	c.words.ids = make(map[string]uint64)
	c.count(&c.version)
	c.state(s)
	list(c, &open, (*codec).owed)
	if c.err != nil {
		panic("internal error: cannot write snapshot: " + c.err.Error())
	}
	return c.buf
}

// Decode returns the state that Encode was given. It shares no memory with
// data.
func Decode(data []byte) (*engine.State, error) {
	s, _, err := decode(data)
	return s, err
}

func decode(data []byte) (s *engine.State, open []engine.Effect, err error) {
	rest, ok := bytes.CutPrefix(data, []byte(magic))
	if !ok {
		return nil, nil, fmt.Errorf("cannot read snapshot: it does not begin like one")
	}
	c := &codec{reading: true, buf: rest}
	c.words.ids = make(map[string]uint64)
	if c.count(&c.version); c.version > version {
		return nil, nil, fmt.Errorf("cannot read snapshot: format %d is newer than %d, the newest known", c.version, version)
	}
	s = new(engine.State)
	c.state(s)
	list(c, &open, (*codec).owed)
	if c.err == nil && len(c.buf) > 0 {
		c.failf("%d bytes follow its end", len(c.buf))
	}
	if c.err == nil {
		c.err = check(s)
	}
	if c.err != nil {
		return nil, nil, fmt.Errorf("cannot read snapshot: %w", c.err)
	}
	return s, open, nil
}

func (c *codec) state(s *engine.State) {
	c.options(&s.Options)
	c.defaults = s.Options.Defaults()
	c.clock(&s.Clock)
	c.bool(&s.Booted)
	enum(c, &s.LogPriority, engine.Fatal)
	list(c, &s.Env, (*codec).word)
	list(c, &s.Sources, pointer((*codec).source))
	list(c, &s.Classes, (*codec).registered)
	num(c, &s.LastEvent)
	num(c, &s.Cursor)
	list(c, &s.Events, pointer((*codec).event))
	list(c, &s.Facts, pointer((*codec).fact))
	list(c, &s.Graces, (*codec).grace)
	num(c, &s.LastInstance)
	num(c, &s.LastToken)
	c.bool(&s.Respawning)
	optional(c, &s.Quiesce, (*codec).quiesce)
	c.str(&s.BusAddress)
	c.str(&s.CGroupAddress)
	list(c, &s.Sessions, (*codec).word)
	list(c, &s.Held, (*codec).held)
	list(c, &s.Reloads, (*codec).ask)
	list(c, &s.Asks, (*codec).ask)
	c.bool(&s.Ticking)
}

func (c *codec) options(o *engine.Options) {
	enum(c, &o.Mode, engine.Test)
	num(c, &o.PID)
	num(c, &o.UID)
	c.str(&o.Program)
	c.str(&o.Version)
	list(c, &o.Signals, func(c *codec, s *job.SignalName) {
		c.str(&s.Name)
		num(c, &s.Number)
	})
	list(c, &o.Env, (*codec).word)
	c.bool(&o.InheritEnv)
	c.str(&o.Address)
	enum(c, &o.Console, job.ConsoleOwner)
	c.bool(&o.NoLog)
	c.str(&o.LogDir)
	c.str(&o.StartupEvent)
	c.bool(&o.ChrootSessions)
	enum(c, &o.LogPriority, engine.Fatal)
	c.bool(&o.DebugStanza)
	c.bool(&o.AppArmor)
	if c.version >= 3 {
		c.str(&o.NotifySocket)
	}
}

func (c *codec) clock(t *cause.Clock) {
	num(c, &t.Mono)
	num(c, &t.Wall)
}

func (c *codec) source(s *engine.ConfSource) {
	c.str(&s.Path)
	enum(c, &s.Kind, engine.InitConf)
	c.word(&s.Session)
	c.files(&s.Confs)
	c.files(&s.Overs)
	c.files(&s.Aliases)
}

// files visits a table of files in the order of their names.
func (c *codec) files(m *map[string]*engine.ConfFile) {
	names := slices.Sorted(maps.Keys(*m))
	n := uint64(len(names))
	c.count(&n)
	if c.reading {
		*m = make(map[string]*engine.ConfFile)
	}
	for i := uint64(0); i < n && c.err == nil; i++ {
		var name string
		f := new(engine.ConfFile)
		if !c.reading {
			name, f = names[i], (*m)[names[i]]
		}
		c.word(&name)
		c.file(f)
		if c.reading {
			(*m)[name] = f
		}
	}
}

// file visits a file. As a rule it has the text of its class.
func (c *codec) file(f *engine.ConfFile) {
	c.str(&f.Path)
	c.classes.visit(c, &f.Class, (*codec).class)
	same := f.Class != nil && f.Class.Def.Origin.Text == f.Text
	c.bool(&same)
	switch {
	case !same:
		c.str(&f.Text)
	case f.Class == nil:
		c.fail(errRange)
	default:
		f.Text = f.Class.Def.Origin.Text
	}
}

func (c *codec) registered(p **engine.Class) {
	c.classes.visit(c, p, (*codec).class)
	if *p == nil {
		c.fail(errRange)
		*p = new(engine.Class)
	}
}

func (c *codec) class(k *engine.Class) {
	c.definition(&k.Def)
	c.word(&k.Session)
	c.condition(&k.StartOn)
	c.condition(&k.StopOn)
	list(c, &k.StartHeld, num[event.ID])
	list(c, &k.Instances, func(c *codec, p **engine.Instance) {
		if c.reading {
			*p = new(engine.Instance)
			(*p).Class, (*p).Session = k.Def, k.Session
		}
		c.instance(*p)
	})
	list(c, &k.Wanted, (*codec).word)
	optional(c, &k.History, (*codec).history)
}

// definition visits the text of a class, from which the class is made again.
func (c *codec) definition(p **job.Class) {
	var name string
	var o job.Origin
	if !c.reading {
		name, o = (*p).Name, (*p).Origin
	}
	c.word(&name)
	c.str(&o.Path)
	c.str(&o.Text)
	c.str(&o.OverridePath)
	c.str(&o.OverrideText)
	if !c.reading {
		return
	}
	def, errs := conf.Parse(name, o, c.defaults)
	if def == nil {
		c.failf("class %q: %w", name, errs[0])
		def = new(job.Class)
	}
	c.attrs.Share(def)
	*p = def
}

func (c *codec) condition(t *expr.Tree) {
	list(c, t, func(c *codec, n *expr.Node) {
		enum(c, &n.Op, expr.Not)
		if n.Op == expr.Match {
			c.word(&n.Name)
			list(c, &n.Args, (*codec).word)
		}
	})
}

func (c *codec) history(h *cause.History) {
	changes := h.Changes()
	list(c, &changes, func(c *codec, ch *cause.Change) {
		c.clock(&ch.At)
		enum(c, &ch.Action, cause.Cancel)
		c.word(&ch.Instance)
		c.cause(&ch.Cause)
	})
	if c.reading {
		for _, ch := range changes {
			h.Add(ch)
		}
	}
}

// cause visits a chain of causes, whose links may be shared with others.
func (c *codec) cause(p **cause.Cause) {
	if c.depth++; c.depth > cause.MaxDepth+1 { // the end of a chain counts
		c.failf("a chain of causes is too long")
		return
	}
	c.causes.visit(c, p, func(c *codec, k *cause.Cause) {
		c.clock(&k.At)
		enum(c, &k.Kind, cause.Cut)
		c.word(&k.Text)
		optional(c, &k.Person, func(c *codec, who *cause.Person) {
			num(c, &who.UID)
			num(c, &who.PID)
			c.word(&who.Command)
		})
		c.cause(&k.Parent)
		switch {
		case !c.reading:
		case k.Parent == nil:
			k.Depth = 1
		default:
			k.Depth = k.Parent.Depth + 1
		}
	})
	c.depth--
}

func (c *codec) event(ev *event.Event) {
	num(c, &ev.ID)
	c.word(&ev.Name)
	list(c, &ev.Env, (*codec).word)
	c.word(&ev.Session)
	list(c, &ev.Provides, (*codec).word)
	num(c, &ev.File)
	enum(c, &ev.Progress, event.Finished)
	c.bool(&ev.Failed)
	num(c, &ev.Blockers)
	list(c, &ev.Waiters, func(c *codec, w *event.Waiter) {
		num(c, &w.Instance)
		num(c, &w.Call)
		num(c, &w.Conn)
	})
	c.cause(&ev.Cause)
}

func (c *codec) fact(f *fact.Fact) {
	c.word(&f.Name)
	list(c, &f.Env, (*codec).word)
	enum(c, &f.Owner.Kind, fact.Admin)
	num(c, &f.Owner.ID)
	c.word(&f.Session)
	if c.version >= 4 {
		num(c, &f.File)
	}
}

func (c *codec) grace(g *engine.Grace) {
	num(c, &g.Conn)
	if c.version >= 5 {
		num(c, &g.Instance)
		num(c, &g.Last)
	}
	num(c, &g.Due)
}

func (c *codec) quiesce(q *engine.Quiesce) {
	c.str(&q.Reason)
	c.cause(&q.Cause)
	num(c, &q.Begun)
	c.bool(&q.Killing)
	num(c, &q.Phase)
	num(c, &q.Max)
	num(c, &q.Due)
}

func (c *codec) ask(a *engine.PendingAsk) {
	num(c, &a.Call)
	num(c, &a.Conn)
}

func (c *codec) held(h *engine.HeldCall) {
	c.caller(&h.Caller)
	c.call(&h.Call)
}

func (c *codec) caller(who *control.Caller) {
	num(c, &who.ID)
	num(c, &who.Conn)
	num(c, &who.UID)
	num(c, &who.PID)
	c.str(&who.Session)
	c.str(&who.Command)
}

func (c *codec) call(k *control.Call) {
	enum(c, &k.Target.Kind, control.Instance)
	c.str(&k.Target.Session)
	c.str(&k.Target.Class)
	c.str(&k.Target.Instance)
	c.method(&k.Method, k.Target.Kind)
	c.str(&k.Name)
	list(c, &k.Env, (*codec).str)
	list(c, &k.Job, (*codec).str)
	c.str(&k.Value)
	c.str(&k.Interface)
	c.bool(&k.Wait)
	c.bool(&k.Replace)
	num(c, &k.File)
}

// method visits a method by its name, as numbers change with the table.
func (c *codec) method(m *control.Method, kind control.ObjectKind) {
	var iface, name string
	if !c.reading {
		iface, name = m.Spec().Interface, m.Spec().Name
	}
	c.str(&iface)
	c.str(&name)
	if c.reading && c.err == nil {
		var ok bool
		if *m, ok = control.Lookup(kind, iface, name); !ok {
			c.failf("there is no method %s.%s", iface, name)
		}
	}
}
