package conf

import (
	"strings"

	"onset/core/job"
)

// stanza is a row of the language: the words a stanza begins with and what
// reads the rest. A row without parse is a form that the row of its first
// word reads itself, because there an argument may stand in its place.
type stanza struct {
	words string
	parse func(*parser)
}

// jobStanzas is the language of job files: UPSTART §1.4, then what other
// Upstarts and EXTENSIONS add.
var jobStanzas = []stanza{
	{"description", func(p *parser) { p.class.Description = p.only() }},
	{"author", func(p *parser) { p.class.Author = p.only() }},
	{"version", func(p *parser) { p.class.Version = p.only() }},
	{"usage", func(p *parser) { p.class.Usage = p.only() }},
	{"instance", func(p *parser) { p.class.Instance = p.only() }},
	{"env", (*parser).env},
	{"export", func(p *parser) { p.class.Export = p.list(p.class.Export) }},
	{"emits", func(p *parser) { p.class.Emits = p.list(p.class.Emits) }},
	{"start on", func(p *parser) { p.class.StartOn, p.class.Manual = p.events(), false }},
	{"stop on", func(p *parser) { p.class.StopOn = p.events() }},
	{"manual", func(p *parser) { p.class.StartOn, p.class.Manual = nil, true }},
	{"exec", runs(job.Main, (*parser).exec)},
	{"script", runs(job.Main, (*parser).script)},
	{"pre-start exec", runs(job.PreStart, (*parser).exec)},
	{"pre-start script", runs(job.PreStart, (*parser).script)},
	{"post-start exec", runs(job.PostStart, (*parser).exec)},
	{"post-start script", runs(job.PostStart, (*parser).script)},
	{"pre-stop exec", runs(job.PreStop, (*parser).exec)},
	{"pre-stop script", runs(job.PreStop, (*parser).script)},
	{"post-stop exec", runs(job.PostStop, (*parser).exec)},
	{"post-stop script", runs(job.PostStop, (*parser).script)},
	{"expect", (*parser).expect},
	{"task", func(p *parser) { p.class.Task = true; p.end() }},
	{"kill timeout", func(p *parser) { p.class.KillTimeout = p.interval(0) }},
	{"kill signal", func(p *parser) { p.class.KillSignal = p.signal("kill signal"); p.end() }},
	{"reload signal", func(p *parser) { p.class.ReloadSignal = p.signal("reload signal"); p.end() }},
	{"respawn", func(p *parser) { p.class.Respawn = true; p.end() }},
	{"respawn limit", (*parser).respawnLimit},
	{"normal exit", (*parser).normalExit},
	{"console", func(p *parser) { p.class.Attrs.Console = job.Console(p.pick("console", consoles)) }},
	{"umask", func(p *parser) { p.class.Attrs.Umask = p.number(8, 0, 0777, illegalUmask); p.end() }},
	{"nice", (*parser).nice},
	{"oom", (*parser).oom},
	{"oom score", nil},
	{"limit", (*parser).limit},
	{"chroot", func(p *parser) { p.class.Attrs.Chroot = p.only() }},
	{"chdir", func(p *parser) { p.class.Attrs.Chdir = p.only() }},
	{"setuid", func(p *parser) { p.class.Attrs.Setuid = p.only() }},
	{"setgid", func(p *parser) { p.class.Attrs.Setgid = p.only() }},
	{"apparmor load", (*parser).appArmorLoad},
	{"apparmor switch", func(p *parser) { p.class.Attrs.AppArmor = p.only() }},
	{"cgroup", (*parser).cgroup},
	{"debug", func(p *parser) { p.class.Debug = true }},

	// ChromeOS
	{"import", func(p *parser) { p.class.Import = p.list(p.class.Import) }},
	{"tmpfiles", func(p *parser) { p.class.Attrs.Tmpfiles = p.list(p.class.Attrs.Tmpfiles) }},

	// EXTENSIONS §1, §3
	{"while", func(p *parser) { p.class.While, p.class.Manual = p.facts(), false }},
	{"provides", func(p *parser) { p.class.Provides = p.list(p.class.Provides) }},

	// EXTENSIONS §4
	{"expect timeout", nil},
	{"kill mode", func(p *parser) { p.class.KillMode = job.KillMode(1 + p.pick("kill mode", killModes)) }},

	// EXTENSIONS §5
	{"env file", nil},
	{"namespace", (*parser).namespace},
	{"private", (*parser).private},
	{"readonly", func(p *parser) { i := p.isolation(); i.ReadOnly = p.list(i.ReadOnly) }},
	{"hide", func(p *parser) { i := p.isolation(); i.Hide = p.list(i.Hide) }},
	{"bind", func(p *parser) { i := p.isolation(); i.Bind = append(i.Bind, p.pair()) }},
	{"capability bounding", func(p *parser) { i := p.isolation(); i.CapBounding = p.capabilities(i.CapBounding) }},
	{"capability ambient", func(p *parser) { i := p.isolation(); i.CapAmbient = p.capabilities(i.CapAmbient) }},
	{"no new privileges", func(p *parser) { p.isolation().NoNewPrivs = true; p.end() }},
	{"seccomp", func(p *parser) { p.isolation().Seccomp = p.only() }},
	{"setgroups", func(p *parser) { i := p.isolation(); i.Setgroups = p.list(i.Setgroups) }},
	{"credential", func(p *parser) { i := p.isolation(); i.Credentials = set(i.Credentials, p.pair()) }},

	// EXTENSIONS §6
	{"respawn delay", (*parser).respawnDelay},
	{"respawn on", func(p *parser) { p.class.RespawnOn = job.RespawnOn(1 + p.pick("respawn on", respawnEnds)) }},
	{"health exec", runs(job.Health, (*parser).exec)},
	{"health script", runs(job.Health, (*parser).script)},
	{"health interval", func(p *parser) { p.class.Health.Interval = p.interval(1) }},
	{"health timeout", func(p *parser) { p.class.Health.Timeout = p.interval(1) }},
	{"health failures", (*parser).healthFailures},
	{"watchdog", func(p *parser) { p.class.Watchdog = p.interval(0) }},
	{"start timeout", func(p *parser) { p.class.StartTimeout = p.interval(0) }},
	{"stop timeout", func(p *parser) { p.class.StopTimeout = p.interval(0) }},
	{"ioprio", (*parser).ioprio},
	{"cpu affinity", (*parser).cpuAffinity},
	{"sched", (*parser).sched},
}

// aliasStanzas is the language of alias files (EXTENSIONS §2).
var aliasStanzas = []stanza{
	{"description", func(p *parser) { p.alias.Description = p.only() }},
	{"on", func(p *parser) { p.alias.On = p.events() }},
}

var jobTable, aliasTable, emptyTable = table(jobStanzas), table(aliasStanzas), table(nil)

// Stanzas returns the words of every stanza of job files, such as "respawn"
// and "respawn limit", in the order of the reference.
func Stanzas() []string {
	words := make([]string, len(jobStanzas))
	for i, s := range jobStanzas {
		words[i] = s.words
	}
	return words
}

// node is a place between two words of a stanza.
type node struct {
	phrase string // the words that lead here
	parse  func(*parser)
	next   map[string]*node // by the next word; nil if none may follow
	words  []string         // the keys of next, in the table's order
}

// table returns the root of the tree that the words of stanzas form.
func table(stanzas []stanza) node {
	root := node{next: map[string]*node{}}
	for _, s := range stanzas {
		if s.parse == nil {
			continue
		}
		n := &root
		for word := range strings.SplitSeq(s.words, " ") {
			if n.next == nil {
				n.next = map[string]*node{}
			}
			if n.next[word] == nil {
				n.next[word] = &node{phrase: strings.TrimLeft(n.phrase+" "+word, " ")}
				n.words = append(n.words, word)
			}
			n = n.next[word]
		}
		n.parse = s.parse
	}
	return root
}
