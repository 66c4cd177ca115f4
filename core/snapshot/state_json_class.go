package snapshot

import (
	"cmp"
	"maps"
	"slices"

	"onset/core/cause"
	"onset/core/conf"
	"onset/core/control"
	"onset/core/engine"
	"onset/core/event"
	"onset/core/expr"
	"onset/core/job"
)

var (
	expectNames  = []string{"EXPECT_NONE", "EXPECT_STOP", "EXPECT_FORK", "EXPECT_DAEMON"}
	consoleNames = []string{"CONSOLE_LOG", "CONSOLE_NONE", "CONSOLE_OUTPUT", "CONSOLE_OWNER"}
)

// noNice stands for a nice level that is not set, defaultUmask for a umask
// that is not.
const (
	noNice       = -21
	defaultUmask = 0o22
)

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// classes visits the registered classes. Those of chroot sessions are not
// taken over.
func (d *dump) classes(o *object) {
	each(o, "job_classes", &d.s.Classes, d.class)
	d.s.Classes = slices.DeleteFunc(d.s.Classes, func(c *engine.Class) bool { return o.reading() && c.Def == nil })
	if o.reading() {
		slices.SortStableFunc(d.s.Classes, func(a, b *engine.Class) int { return cmp.Compare(a.Def.Name, b.Def.Name) })
	}
}

func (d *dump) class(o *object, p **engine.Class) {
	if o.reading() {
		*p = &engine.Class{History: new(cause.History)}
	}
	c := *p
	if o.session(&c.Session); o.reading() && c.Session != "" {
		return
	}
	def := d.plain()
	if !o.reading() {
		def = c.Def.Clone()
		def.StartOn, def.StopOn = c.StartOn, c.StopOn
	}
	o.str("name", &def.Name)
	path := objectPath(control.ClassObject(c.Session, def.Name))
	o.str("path", &path)
	o.str("instance", &def.Instance)
	d.about(o, def)
	d.conditions(o, c, def)
	d.behaviour(o, def)
	d.attrs(o, def.Attrs)
	d.rest(o, c, def)
	if o.reading() {
		d.define(o, c, def)
	}
	if c.Def == nil {
		return
	}
	each(o, "jobs", &c.Instances, func(o *object, p **engine.Instance) { d.job(o, c, p) })
	if o.reading() {
		d.know(c)
	}
}

// plain returns the class of an empty file.
func (d *dump) plain() *job.Class {
	c, _ := conf.Parse("", job.Origin{}, d.s.Options.Defaults())
	return c
}

func (d *dump) about(o *object, def *job.Class) {
	o.str("description", &def.Description)
	o.str("author", &def.Author)
	o.str("version", &def.Version)
	o.strs("env", &def.Env)
	o.strs("export", &def.Export)
	o.strs("emits", &def.Emits)
}

// conditions visits start on with what it holds, and stop on.
func (d *dump) conditions(o *object, c *engine.Class, def *job.Class) {
	if o.has("start_on", c.StartOn != nil) {
		d.condition(o, "start_on", &def.StartOn, &c.StartHeld)
	}
	if o.has("stop_on", c.StopOn != nil) {
		none := make([]event.ID, len(def.StopOn))
		d.condition(o, "stop_on", &def.StopOn, &none)
	}
}

func (d *dump) behaviour(o *object, def *job.Class) {
	list := make([]job.Process, knownSlots)
	copy(list, def.Process)
	each(o, "process", &list, func(o *object, p *job.Process) {
		o.flag("script", &p.Script)
		o.str("command", &p.Text)
	})
	for slot, p := range list {
		if o.reading() && p.Defined() {
			def.Process.Set(job.Slot(slot), p)
		}
	}
	expect := min(def.Expect.Kind, job.ExpectDaemon)
	if !o.reading() && def.Expect.Kind > job.ExpectDaemon {
		expect = job.ExpectNone
	}
	name(o, "expect", &expect, job.ExpectNone, expectNames)
	if o.reading() {
		def.Expect.Kind = expect
	}
	o.flag("task", &def.Task)
	number(o, "kill_timeout", &def.KillTimeout)
	number(o, "kill_signal", &def.KillSignal)
	if o.has("reload_signal", true) {
		number(o, "reload_signal", &def.ReloadSignal)
	} else {
		def.ReloadSignal, _ = d.s.Options.Signals.Number("HUP")
	}
	o.flag("respawn", &def.Respawn)
	number(o, "respawn_limit", &def.RespawnLimit)
	number(o, "respawn_interval", &def.RespawnInterval)
	nums(o, "normalexit", &def.NormalExit)
}

func (d *dump) attrs(o *object, a *job.Attrs) {
	name(o, "console", &a.Console, job.ConsoleLog, consoleNames)
	umask := a.Umask
	if umask < 0 {
		umask = defaultUmask
	}
	if number(o, "umask", &umask); o.reading() {
		a.Umask = umask
	}
	nice := noNice
	if a.HasNice {
		nice = a.Nice
	}
	if number(o, "nice", &nice); o.reading() && nice != noNice {
		a.HasNice, a.Nice = true, nice
	}
	number(o, "oom_score_adj", &a.OOM)
	limits := make([]job.Limit, job.NumLimits)
	copy(limits, a.Limits)
	each(o, "limits", &limits, d.limit)
	a.Limits = nil
	if slices.ContainsFunc(limits, func(l job.Limit) bool { return l.Set }) {
		a.Limits = make([]job.Limit, job.NumLimits)
		copy(a.Limits, limits)
	}
	o.str("chroot", &a.Chroot)
	o.str("chdir", &a.Chdir)
	o.str("setuid", &a.Setuid)
	o.str("setgid", &a.Setgid)
}

// limit visits a resource limit. One of zero is told from one that is not set
// by a key of its own (DECISIONS 18).
func (d *dump) limit(o *object, l *job.Limit) {
	number(o, "rlim_cur", &l.Soft)
	number(o, "rlim_max", &l.Hard)
	zero := l.Soft == 0 && l.Hard == 0
	if o.has("set", l.Set && zero) {
		o.flag("set", &l.Set)
	} else if o.reading() {
		l.Set = !zero
	}
}

func (d *dump) rest(o *object, c *engine.Class, def *job.Class) {
	deleted := !o.reading() && d.s.Deleted(c)
	o.flag("deleted", &deleted)
	o.flag("debug", &def.Debug)
	o.str("usage", &def.Usage)
	if o.has("apparmor_switch", true) {
		o.str("apparmor_switch", &def.Attrs.AppArmor)
	}
	wait := false
	if o.has("cgmanager_wait", true) {
		o.flag("cgmanager_wait", &wait)
	}
	if o.has("cgroups", def.Attrs.Cgroups != nil) {
		each(o, "cgroups", &def.Attrs.Cgroups, d.cgroup)
	}
	if !o.has("onset", true) {
		return
	}
	o.sub("onset", func(o *object) {
		o.str("path", &def.Origin.Path)
		o.str("text", &def.Origin.Text)
		o.str("override_path", &def.Origin.OverridePath)
		o.str("override_text", &def.Origin.OverrideText)
		o.strs("wanted", &c.Wanted)
	})
}

func (d *dump) cgroup(o *object, g *job.Cgroup) {
	o.str("controller", &g.Controller)
	each(o, "names", &g.Names, func(o *object, n *job.CgroupName) {
		o.str("name", &n.Name)
		expanded := n.Name
		o.str("expanded", &expanded)
		each(o, "settings", &n.Settings, func(o *object, s *job.Setting) {
			o.str("key", &s.Key)
			o.str("value", &s.Value)
		})
	})
}

// define makes the class of what was read: of its text, which is printed if
// there is none. A class that cannot be said in a job file is given up.
func (d *dump) define(o *object, c *engine.Class, def *job.Class) {
	origin, defaults := def.Origin, d.s.Options.Defaults()
	if origin.Text == "" {
		origin.Path = d.paths[classRef{session: c.Session, class: def.Name}]
		origin.Text = conf.Print(def, defaults.Signals)
	}
	parsed, _ := conf.Parse(def.Name, origin, defaults)
	if parsed == nil {
		d.warnf("Class %s cannot be taken over", def.Name)
		return
	}
	c.Def, c.StartOn, c.StopOn = parsed, def.StartOn, def.StopOn
}

// parseCondition reads a condition in the syntax of job files.
func (d *dump) parseCondition(o *object, key, text string) expr.Tree {
	c, errs := conf.Parse("", job.Origin{Text: "start on " + text + "\n"}, d.s.Options.Defaults())
	if c == nil {
		o.failf(key, "%v", errs[0])
		return nil
	}
	return c.StartOn
}
