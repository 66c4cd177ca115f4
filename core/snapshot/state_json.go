package snapshot

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"onset/core/conf"
	"onset/core/control"
	"onset/core/engine"
	"onset/core/event"
	"onset/core/fact"
	"onset/core/job"
)

// The format of UPSTART Appendix A. Where a reader could want to know more
// than it can say, an object has a further key "onset"; readers of the format
// ignore it.
//
// Events and instances are told by position and name there, so reading gives
// them new numbers. References are resolved when all objects are known.
// Moments are seconds of the monotonic clock.

// What is missing in states of older versions of Upstart.
const (
	noConfSources = "No ConfSources present in state data"
	noEnvironment = "No global job environment data present in state data"
	noControl     = "No control details present in state data"
)

// dump is the writing or reading of one state.
type dump struct {
	s        *engine.State
	err      error
	warnings []string

	index       map[event.ID]int // position of each event
	byID        map[job.ID]*engine.Instance
	byName      map[classRef]*engine.Instance
	classByName map[classRef]*engine.Class
	instances   []*engine.Instance  // by age
	later       []func()            // references to resolve
	paths       map[classRef]string // of the files that define classes
}

// classRef names a class, or with an instance name an instance.
type classRef struct{ session, class, instance string }

// WriteState returns a state as JSON. Pending calls of clients are not in it.
func WriteState(s *engine.State) ([]byte, error) {
	d := newDump(s)
	for i, ev := range s.Events {
		d.index[ev.ID] = i
	}
	for _, c := range s.Classes {
		d.know(c)
	}
	var out bytes.Buffer
	d.write(&out, d.state)
	return out.Bytes(), d.err
}

// ReadState makes a state of JSON, with warnings about what it lacks. The
// options are those of the engine that will have it. Classes that come
// without their text get one that says the same.
func ReadState(data []byte, opts engine.Options) (*engine.State, []string, error) {
	d := newDump(&engine.State{Options: opts, LogPriority: opts.LogPriority, Booted: true, Respawning: true})
	o := object{d: d, path: "state"}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&o.in); err != nil {
		return nil, nil, fmt.Errorf("cannot read state: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, nil, fmt.Errorf("cannot read state: something follows its end")
	}
	d.state(&o)
	if d.err == nil {
		d.resolve()
	}
	if d.err == nil {
		d.err = check(d.s)
	}
	if d.err != nil {
		return nil, nil, fmt.Errorf("cannot read state: %w", d.err)
	}
	return d.s, d.warnings, nil
}

func newDump(s *engine.State) *dump {
	return &dump{s: s, index: make(map[event.ID]int), byID: make(map[job.ID]*engine.Instance),
		byName: make(map[classRef]*engine.Instance), classByName: make(map[classRef]*engine.Class),
		paths: make(map[classRef]string)}
}

// know takes a class and its instances into the tables.
func (d *dump) know(c *engine.Class) {
	d.classByName[classRef{session: c.Session, class: c.Def.Name}] = c
	for _, j := range c.Instances {
		d.byID[j.ID] = j
		d.byName[classRef{c.Session, c.Def.Name, j.Name}] = j
		d.instances = append(d.instances, j)
	}
}

func (d *dump) warnf(format string, args ...any) {
	d.warnings = append(d.warnings, fmt.Sprintf(format, args...))
}

func (d *dump) state(o *object) {
	s := d.s
	each(o, "sessions", &s.Sessions, func(o *object, root *string) {
		path := *root + "/etc/init"
		o.str("chroot", root)
		o.str("conf_path", &path)
	})
	each(o, "events", &s.Events, d.event)
	if o.has("control_bus_address", true) {
		o.str("control_bus_address", &s.BusAddress)
	} else {
		d.warnf(noControl)
	}
	if o.has("cgroup_manager_address", s.CGroupAddress != "") {
		o.str("cgroup_manager_address", &s.CGroupAddress)
	}
	d.environment(o)
	if o.reading() {
		d.sources(o) // classes want to know their files
	}
	d.classes(o)
	if !o.reading() {
		d.sources(o)
	}
	if o.has("onset", d.beyond()) {
		o.sub("onset", d.onset)
	}
}

func (d *dump) environment(o *object) {
	if o.has("job_environment", true) {
		o.strs("job_environment", (*[]string)(&d.s.Env))
	} else {
		d.warnf(noEnvironment)
	}
}

// beyond reports whether the state has what the format has no place for and a
// reader would keep.
func (d *dump) beyond() bool {
	kept := func(f *fact.Fact) bool { return f.Owner.Kind == fact.Admin }
	return d.s.LogPriority != engine.Message || slices.ContainsFunc(d.s.Facts, kept)
}

// onset visits what the format has no place for.
func (d *dump) onset(o *object) {
	s := d.s
	priority := int(s.LogPriority)
	number(o, "log_priority", &priority)
	if s.LogPriority = engine.Priority(priority); s.LogPriority > engine.Fatal {
		o.failf("log_priority", "is out of range")
	}
	held := func(k fact.OwnerKind) []*fact.Fact {
		return slices.DeleteFunc(slices.Clone(s.Facts), func(f *fact.Fact) bool { return f.Owner.Kind != k })
	}
	facts := append(held(fact.Source), held(fact.Admin)...)
	each(o, "facts", &facts, func(o *object, p **fact.Fact) {
		if o.reading() {
			*p = new(fact.Fact)
		}
		f := *p
		o.str("name", &f.Name)
		o.strs("env", (*[]string)(&f.Env))
		name(o, "owner", &f.Owner.Kind, fact.Source, []string{"source", "administrator"})
		number(o, "connection", &f.Owner.ID)
		o.str("chroot", &f.Session)
		if o.has("fd", f.File != 0) {
			number(o, "fd", &f.File)
		}
	})
	if o.reading() { // who held the others is gone
		s.Facts = facts
		s.Facts = held(fact.Admin)
	}
}

// session visits the number of a session.
func (o *object) session(root *string) {
	s := o.d.s
	n := slices.Index(s.Sessions, *root) + 1
	number(o, "session", &n)
	if !o.reading() {
		return
	}
	if *root = ""; n < 0 || n > len(s.Sessions) {
		o.failf("session", "is out of range")
	} else if n > 0 {
		*root = s.Sessions[n-1]
	}
}

var progressNames = []string{"EVENT_PENDING", "EVENT_HANDLING", "EVENT_FINISHED"}

func (d *dump) event(o *object, p **event.Event) {
	if o.reading() {
		d.s.LastEvent++
		*p = &event.Event{ID: d.s.LastEvent}
	}
	ev := *p
	o.session(&ev.Session)
	o.str("name", &ev.Name)
	if o.has("env", ev.Env != nil) {
		o.strs("env", (*[]string)(&ev.Env))
	}
	fd := ev.File
	if fd == 0 {
		fd = -1
	}
	if number(o, "fd", &fd); o.reading() && fd > 0 {
		ev.File = fd
	}
	name(o, "progress", &ev.Progress, event.Pending, progressNames)
	o.flag("failed", &ev.Failed)
	if o.has("blockers", true) { // counted again from what refers to the event
		blockers := ev.Blockers
		number(o, "blockers", &blockers)
	}
	d.eventBlocking(o, ev)
	if o.has("onset", ev.Provides != nil) {
		o.sub("onset", func(o *object) { o.strs("provides", &ev.Provides) })
	}
}

// blocked is an instance or an event, whichever its type says.
type blocked struct {
	kind int
	job  classRef
	event.ID
}

var blockedNames = []string{"BLOCKED_JOB", "BLOCKED_EVENT"}

func (d *dump) blocked(o *object, b *blocked) {
	name(o, "type", &b.kind, 0, blockedNames)
	o.sub("data", func(o *object) {
		if b.kind == 1 {
			d.eventIndex(o, "index", &b.ID)
			return
		}
		o.str("class", &b.job.class)
		if o.has("session", true) {
			o.session(&b.job.session)
		}
		o.str("name", &b.job.instance)
	})
}

// eventIndex visits the position of an event.
func (d *dump) eventIndex(o *object, key string, id *event.ID) {
	i := d.index[*id]
	number(o, key, &i)
	if !o.reading() {
		return
	}
	if i < 0 || i >= len(d.s.Events) {
		o.failf(key, "there is no event %d", i)
		return
	}
	*id = d.s.Events[i].ID
}

// eventBlocking visits the instances that wait for the end of an event.
func (d *dump) eventBlocking(o *object, ev *event.Event) {
	var list []blocked
	for _, w := range ev.Waiters {
		if j := d.byID[w.Instance]; j != nil {
			list = append(list, blocked{job: classRef{j.Session, j.Class.Name, j.Name}})
		}
	}
	if o.has("blocking", list != nil) {
		each(o, "blocking", &list, d.blocked)
	}
	for i := 0; o.reading() && i < len(list); i++ {
		b := list[i]
		d.later = append(d.later, func() {
			if j := d.byName[b.job]; j != nil && j.Blocker == 0 {
				j.Blocker = ev.ID
			}
		})
	}
}

// resolve makes references of what was read about them, and what follows
// from the rest.
func (d *dump) resolve() {
	for _, f := range d.later {
		f()
	}
	for _, j := range d.instances {
		if j.Blocker != 0 {
			ev := d.s.Events[j.Blocker-1]
			ev.Waiters = append(ev.Waiters, event.Waiter{Instance: j.ID})
		}
		for _, w := range j.Waiters {
			d.s.Events[w.Event-1].Blockers++
		}
		d.holds(j.StopHeld)
		if j.State == job.Running && j.Goal != job.GoalStop {
			d.facts(j)
		}
	}
	for _, c := range d.s.Classes {
		d.holds(c.StartHeld)
	}
}

// holds counts what a condition holds as blockers.
func (d *dump) holds(held []event.ID) {
	for _, id := range held {
		if id != 0 {
			d.s.Events[id-1].Blockers++
		}
	}
}

// facts adds the facts of a running instance.
func (d *dump) facts(j *engine.Instance) {
	for _, n := range append([]string{j.Class.Name}, j.Class.Provides...) {
		d.s.Facts = append(d.s.Facts, &fact.Fact{Name: n, Env: j.EventEnv(false, nil), Session: j.Session,
			Owner: fact.Owner{Kind: fact.Job, ID: j.ID}})
	}
}

var sourceNames = []string{"CONF_JOB_DIR", "CONF_FILE", "CONF_DIR"}

func (d *dump) sources(o *object) {
	if !o.has("conf_sources", true) {
		d.warnf(noConfSources)
		return
	}
	each(o, "conf_sources", &d.s.Sources, d.source)
}

func (d *dump) source(o *object, p **engine.ConfSource) {
	if o.reading() {
		*p = &engine.ConfSource{Confs: map[string]*engine.ConfFile{}, Overs: map[string]*engine.ConfFile{}, Aliases: map[string]*engine.ConfFile{}}
	}
	src := *p
	o.session(&src.Session)
	o.str("path", &src.Path)
	kind := int(src.Kind)
	if name(o, "type", &kind, 0, sourceNames); o.reading() && kind == int(engine.InitConf) {
		src.Kind = engine.InitConf
	}
	var flag bool
	o.flag("flag", &flag)
	var files []*engine.ConfFile
	for _, n := range sortedNames(src.Confs) {
		files = append(files, src.Confs[n])
	}
	each(o, "conf_files", &files, func(o *object, p **engine.ConfFile) { d.file(o, src, p) })
}

// file visits a conf file with the name of the class it defines, of which only
// the registered one is in the state.
func (d *dump) file(o *object, src *engine.ConfSource, p **engine.ConfFile) {
	if o.reading() {
		*p = new(engine.ConfFile)
	}
	f := *p
	o.str("path", &f.Path)
	position := slices.Index(d.s.Sources, src)
	number(o, "conf_source", &position)
	var flag bool
	o.flag("flag", &flag)
	var ref classRef
	if f.Class != nil {
		ref = classRef{session: src.Session, class: f.Class.Def.Name}
	}
	if o.has("job_class", f.Class != nil) {
		o.sub("job_class", func(o *object) {
			o.str("name", &ref.class)
			o.session(&ref.session)
		})
	}
	if o.reading() {
		d.keepFile(src, f, ref)
	}
}

// keepFile adds a file to its source and, once that is known, gives it the
// class that comes from it.
func (d *dump) keepFile(src *engine.ConfSource, f *engine.ConfFile, ref classRef) {
	kind, name := conf.Classify(strings.TrimPrefix(f.Path, src.Path))
	if kind != conf.ConfFile {
		return
	}
	src.Confs[name] = f
	if ref.class != name || ref.session != src.Session {
		return
	}
	if _, ok := d.paths[ref]; !ok {
		d.paths[ref] = f.Path
	}
	d.later = append(d.later, func() {
		if c := d.classByName[ref]; c != nil && c.Def.Origin.Path == f.Path {
			f.Class, f.Text = c, c.Def.Origin.Text
		}
	})
}

// objectPath is the D-Bus path of a class or an instance.
func objectPath(o control.Object) string { return string(o.Path()) }
