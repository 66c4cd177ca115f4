package engine

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"onset/core/cause"
	"onset/core/conf"
	"onset/core/control"
	"onset/core/event"
	"onset/core/expr"
	"onset/core/job"
)

// loaded takes the whole configuration as it is on disk (UPSTART §1.9, full
// reload). The first time it also lets init begin.
func (e *Engine) loaded(sources []Source) {
	if e.s.Booted {
		e.because(cause.Config, nil, "configuration loaded")
	} else {
		e.because(cause.Init, nil, "start-up")
	}
	names := e.confNames()
	e.s.Sources = nil
	for _, src := range sources {
		e.addSource(src)
	}
	e.loadAliases()
	e.parseAll(e.s.Sources)
	for _, c := range e.allClasses() {
		if len(c.Instances) > 0 { // stays, with the aliases there are now
			e.replant(c)
		}
	}
	e.reconsiderAll(append(names, e.confNames()...))
	e.answerReloads()
	if !e.s.Booted {
		e.boot()
	}
}

// boot starts what runs from the beginning.
func (e *Engine) boot() {
	e.s.Booted = true
	if name := e.s.Options.StartupEvent; name != "" {
		e.emit(name, nil, "")
	}
}

// addSource adds what was read of a source, without looking into it.
func (e *Engine) addSource(src Source) *ConfSource {
	e.logf(Info, "Loading configuration from %s", src.Path)
	if src.Error != "" {
		e.logf(Error, "%s: Unable to load configuration: %s", src.Path, src.Error)
	}
	cs := &ConfSource{Path: src.Path, Kind: src.Kind, Session: src.Session,
		Confs: map[string]*ConfFile{}, Overs: map[string]*ConfFile{}, Aliases: map[string]*ConfFile{}}
	e.s.Sources = append(e.s.Sources, cs)
	for _, f := range src.Files {
		e.addFile(cs, f)
	}
	return cs
}

// addFile keeps a file's text. It returns what the file is about.
func (e *Engine) addFile(src *ConfSource, f File) (conf.Kind, string) {
	if src.Kind == InitConf {
		e.logErrors(conf.ParseEmpty(f.Path, f.Text))
		return conf.NotConfig, ""
	}
	kind, name := src.classify(f.Path)
	files := src.table(kind)
	if files == nil {
		return conf.NotConfig, ""
	}
	if f.Error != "" {
		e.logf(Error, "%s: Error while loading configuration file: %s", f.Path, f.Error)
		delete(files, name)
		return kind, name
	}
	files[name] = &ConfFile{Path: f.Path, Text: f.Text}
	return kind, name
}

func (src *ConfSource) classify(path string) (conf.Kind, string) {
	rel, ok := strings.CutPrefix(path, src.Path)
	if !ok {
		return conf.NotConfig, ""
	}
	return conf.Classify(rel)
}

func (src *ConfSource) table(k conf.Kind) map[string]*ConfFile {
	switch k {
	case conf.ConfFile:
		return src.Confs
	case conf.OverrideFile:
		return src.Overs
	case conf.AliasFile:
		return src.Aliases
	}
	return nil
}

func (e *Engine) logErrors(errs []*conf.Error) {
	for _, err := range errs {
		e.logf(Error, "%s", err)
		if d := err.Detail(); d != "" {
			e.logf(Error, "%s", d)
		}
	}
}

// confNames returns the names of all jobs that have a file or a class.
func (e *Engine) confNames() []classKey {
	var keys []classKey
	for _, src := range e.s.Sources {
		for name := range src.Confs { // order-free: reconsiderAll sorts
			keys = append(keys, classKey{src.Session, name})
		}
	}
	for _, c := range e.allClasses() {
		keys = append(keys, c.key())
	}
	return keys
}

func (e *Engine) reconsiderAll(keys []classKey) {
	slices.SortFunc(keys, func(a, b classKey) int {
		if c := strings.Compare(a.session, b.session); c != 0 {
			return c
		}
		return strings.Compare(a.name, b.name)
	})
	for _, key := range slices.Compact(keys) {
		e.reconsider(key)
	}
}

func (e *Engine) parseAll(sources []*ConfSource) {
	for _, src := range sources {
		for _, name := range slices.Sorted(maps.Keys(src.Confs)) {
			e.parse(src, name)
		}
	}
}

// parse makes the class of a conf file anew.
func (e *Engine) parse(src *ConfSource, name string) {
	f := src.Confs[name]
	o := job.Origin{Path: f.Path, Text: f.Text}
	if over := e.override(src, name); over != nil {
		o.OverridePath, o.OverrideText = over.Path, over.Text
	}
	def, errs := conf.Parse(name, o, e.s.Options.Defaults())
	e.logErrors(errs)
	f.Class = nil
	if def != nil {
		e.attrs.Share(def)
		f.Class = &Class{Def: def, Session: src.Session}
		e.plant(f.Class)
	}
}

// override returns the file that overrides a name in a source: the first one
// in the sources of its session down to the source itself (UPSTART §1.8).
func (e *Engine) override(own *ConfSource, name string) *ConfFile {
	for _, src := range e.s.Sources {
		if f := src.Overs[name]; f != nil && src.Session == own.Session {
			return f
		}
		if src == own {
			break
		}
	}
	return nil
}

// Defaults are the parser's defaults under these options.
func (o *Options) Defaults() job.Defaults {
	return job.Defaults{Console: o.Console, Signals: o.Signals}
}

// best returns the class that ought to be registered under a name: that of
// the first source that has a good file of it.
func (e *Engine) best(key classKey) *Class {
	for _, src := range e.s.Sources {
		if f := src.Confs[key.name]; f != nil && src.Session == key.session && f.Class != nil {
			return f.Class
		}
	}
	return nil
}

// reconsider registers the best class of a name, unless the present one is
// still in use.
func (e *Engine) reconsider(key classKey) {
	if old, c := e.replace(key); old != nil {
		e.carryOver(c, old)
	}
}

// replace is reconsider without the events that the old class holds; it
// returns the two classes, nil for none.
func (e *Engine) replace(key classKey) (old, c *Class) {
	cur, best := e.classes[key.session][key.name], e.best(key)
	if cur == best || (cur != nil && len(cur.Instances) > 0) {
		return nil, nil
	}
	if cur != nil {
		e.unregister(cur)
	}
	if best != nil {
		e.register(best, cur)
	}
	return cur, best
}

// carryOver offers what the start on of an old class holds to the one that
// took its place, so that no event is lost, and lets it go.
func (e *Engine) carryOver(c, old *Class) {
	if c != nil && c.StartOn != nil {
		e.offerHeld(c, old.StartHeld)
	}
	e.resetHeld(old.StartHeld)
}

func (e *Engine) unregister(c *Class) {
	e.removeIndexes(c)
	e.publish(control.JobRemoved(c.object()))
	e.logf(Debug, "Unregistered job %s", c.object().Path())
	e.logf(Debug, "Destroyed unused job %s", c.Def.Name)
}

// register makes a class the one of its name; it goes on with the history of
// the old one.
func (e *Engine) register(c, old *Class) {
	c.History = new(cause.History)
	if old != nil {
		c.History, old.History = old.History, nil
	}
	e.addIndexes(c)
	e.publish(control.JobAdded(c.object()))
	e.logf(Debug, "Registered job %s", c.object().Path())
	if c.Def.While != nil && c.startsByFacts() {
		if e.s.Booted {
			c.Wanted = solutionNames(e.solutions(c))
		} else {
			e.mark(c)
		}
	}
}

// offerHeld offers the events that operands hold to a start on.
func (e *Engine) offerHeld(c *Class, held []event.ID) {
	for _, id := range eventsIn(held) {
		e.offerStart(c, e.queue.Get(id))
	}
}

// eventsIn returns the events that operands hold, each once, in the order
// they came.
func eventsIn(held []event.ID) []event.ID {
	ids := slices.DeleteFunc(slices.Clone(held), func(id event.ID) bool { return id == 0 })
	slices.Sort(ids)
	return slices.Compact(ids)
}

func (e *Engine) addIndexes(c *Class) {
	c.registered = true
	e.classes.add(c)
	e.starts.add(c)
	e.whiles.add(c)
}

func (e *Engine) removeIndexes(c *Class) {
	c.registered = false
	delete(e.classes[c.Session], c.Def.Name)
	e.starts.remove(c)
	e.whiles.remove(c)
}

// plant gives a class its conditions with aliases expanded.
func (e *Engine) plant(c *Class) {
	c.StartOn = e.expand(c, c.Def.StartOn)
	c.StopOn = e.expand(c, c.Def.StopOn)
	c.StartHeld = make([]event.ID, len(c.StartOn))
}

func (e *Engine) expand(c *Class, t expr.Tree) expr.Tree {
	if len(e.aliases) == 0 || t == nil {
		return t
	}
	full, err := expr.ExpandAliases(t, e.aliasLookup(c.Session))
	if err != nil {
		e.logf(Error, "%s: %s", c.Def.Origin.Path, err)
		return t
	}
	return full
}

func (e *Engine) aliasLookup(session string) func(string) (expr.Tree, bool) {
	return func(name string) (expr.Tree, bool) {
		a := e.aliases[classKey{session, name}]
		if a == nil {
			return nil, false
		}
		return a.On, true
	}
}

// loadAliases parses the alias files: of each name and session the first good
// one counts, and none that leads back to itself.
func (e *Engine) loadAliases() {
	clear(e.aliases)
	var order []classKey
	for _, src := range e.s.Sources {
		for _, name := range slices.Sorted(maps.Keys(src.Aliases)) {
			key := classKey{src.Session, name}
			if e.aliases[key] == nil && e.parseAlias(src, key) {
				order = append(order, key)
			}
		}
	}
	for _, key := range order {
		e.dropLoops(key)
	}
}

// dropLoops drops the aliases that a name leads to and that lead back to
// themselves; those that only use them stay.
func (e *Engine) dropLoops(key classKey) {
	for e.aliases[key] != nil {
		_, err := expr.ExpandAliases(expr.Tree{{Name: key.name}}, e.aliasLookup(key.session))
		if err == nil {
			return
		}
		names := []string{key.name}
		if loop := (*expr.LoopError)(nil); errors.As(err, &loop) {
			names = loop.Names
		}
		for _, name := range names {
			bad := classKey{key.session, name}
			e.logf(Error, "%s:1: %s", e.aliases[bad].Origin.Path, err)
			delete(e.aliases, bad)
		}
	}
}

func (e *Engine) parseAlias(src *ConfSource, key classKey) bool {
	f := src.Aliases[key.name]
	o := job.Origin{Path: f.Path, Text: f.Text}
	if over := e.override(src, key.name); over != nil && !e.hasConf(key) {
		o.OverridePath, o.OverrideText = over.Path, over.Text
	}
	a, errs := conf.ParseAlias(key.name, o)
	e.logErrors(errs)
	if a != nil {
		e.aliases[key] = a
	}
	return a != nil
}

// hasConf reports whether an override of that name is for a job.
func (e *Engine) hasConf(key classKey) bool {
	return slices.ContainsFunc(e.s.Sources, func(src *ConfSource) bool {
		return src.Session == key.session && src.Confs[key.name] != nil
	})
}

func (e *Engine) hasAlias(key classKey) bool {
	return slices.ContainsFunc(e.s.Sources, func(src *ConfSource) bool {
		return src.Session == key.session && src.Aliases[key.name] != nil
	})
}

// aliasesChanged expands every condition again, keeping what it has seen.
func (e *Engine) aliasesChanged() {
	e.loadAliases()
	for _, src := range e.s.Sources {
		for _, name := range slices.Sorted(maps.Keys(src.Confs)) {
			if c := src.Confs[name].Class; c != nil && !c.registered {
				e.plant(c)
			}
		}
	}
	for _, c := range e.allClasses() {
		e.replant(c)
	}
}

// replant gives a class the aliases there are now. It is added anew for those
// who look at conditions (EXTENSIONS §7), if it has others.
func (e *Engine) replant(c *Class) {
	held, before := c.StartHeld, c.StartOn.String()+"\n"+c.StopOn.String()
	e.starts.remove(c)
	e.plant(c)
	e.starts.add(c)
	if c.StartOn.String()+"\n"+c.StopOn.String() != before {
		e.publish(control.JobAdded(c.object()))
	}
	for _, j := range slices.Clone(c.Instances) {
		stop := j.StopHeld
		j.StopHeld = make([]event.ID, len(c.StopOn))
		if c.StopOn != nil {
			for _, id := range eventsIn(stop) {
				e.offerStop(j, e.queue.Get(id))
			}
		}
		e.resetHeld(stop)
	}
	if c.StartOn != nil {
		e.offerHeld(c, held)
	}
	e.resetHeld(held)
}

// fileChanged takes a file that was written or moved into place.
func (e *Engine) fileChanged(source string, f File) {
	src := e.source(source)
	if src == nil {
		return
	}
	e.because(cause.Config, nil, f.Path+" changed")
	kind, name := e.addFile(src, f)
	e.fileTouched(src, kind, name)
}

// fileRemoved takes a file that is gone.
func (e *Engine) fileRemoved(source, path string) {
	src := e.source(source)
	if src == nil {
		return
	}
	kind, name := src.classify(path)
	files := src.table(kind)
	if files[name] == nil {
		return
	}
	e.because(cause.Config, nil, path+" removed")
	e.logf(Info, "Handling deletion of %s", path)
	delete(files, name)
	e.fileTouched(src, kind, name)
}

// fileTouched looks again at everything a file has a say in.
func (e *Engine) fileTouched(src *ConfSource, kind conf.Kind, name string) {
	switch kind {
	case conf.ConfFile:
		if src.Confs[name] != nil {
			e.parse(src, name)
		}
		if e.hasAlias(classKey{src.Session, name}) { // an override changes sides
			e.aliasesChanged()
		}
	case conf.OverrideFile:
		if !e.hasConf(classKey{src.Session, name}) {
			e.aliasesChanged()
		}
		for _, s := range e.s.Sources {
			if s.Session == src.Session && s.Confs[name] != nil {
				e.parse(s, name)
			}
		}
	case conf.AliasFile:
		e.aliasesChanged()
	default:
		return
	}
	e.reconsider(classKey{src.Session, name})
}

// sourceRemoved notes that a directory is gone; its jobs stay until the next
// full load (UPSTART §1.9).
func (e *Engine) sourceRemoved(path string) {
	e.logf(Warn, "%s: Configuration directory deleted", path)
}

func (e *Engine) source(path string) *ConfSource {
	for _, src := range e.s.Sources {
		if src.Path == path {
			return src
		}
	}
	return nil
}

// sessionLoaded takes the configuration of a chroot session and then looks at
// the calls that waited for it (UPSTART §6.6).
func (e *Engine) sessionLoaded(source Source) {
	e.because(cause.Config, nil, "session "+source.Session+" appeared")
	names := e.confNames()
	src := e.addSource(source)
	e.loadAliases()
	e.parseAll([]*ConfSource{src})
	e.reconsiderAll(append(names, e.confNames()...))
	held := e.s.Held
	e.s.Held = nil
	for _, h := range held {
		e.called(h.Caller, h.Call)
	}
}
