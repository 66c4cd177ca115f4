package conf

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"onset/core/expr"
	"onset/core/job"
)

// Print returns a job file that parses to an equal class, Origin apart, with
// the same signal table. Only classes that no file could have made are lost:
// the language has no way to write a line feed outside of a script, an empty
// argument, a command with a bare '#' or outer blanks, or a script whose
// lines are all indented, whose last line has no line feed or one of whose
// lines is "end script".
func Print(c *job.Class, s job.Signals) string {
	p := printer{}
	p.about(c)
	p.conditions(c)
	p.processes(c)
	p.ending(c, s)
	p.attrs(c.Attrs)
	if c.Attrs.Isolation != nil {
		p.isolation(c.Attrs.Isolation)
	}
	return p.String()
}

type printer struct{ strings.Builder }

// line writes a stanza whose arguments are quoted where they need it.
func (p *printer) line(words string, args ...string) {
	p.WriteString(words)
	for _, a := range args {
		p.WriteByte(' ')
		p.WriteString(word(a))
	}
	p.WriteByte('\n')
}

// text writes a stanza unless its arguments are missing.
func (p *printer) text(words string, args ...string) {
	if len(args) > 0 && args[0] != "" {
		p.line(words, args...)
	}
}

// number writes a stanza unless its argument is the default.
func (p *printer) number(words string, n, unless int) {
	if n != unless {
		p.line(words, strconv.Itoa(n))
	}
}

// flag writes a stanza without arguments if it is on.
func (p *printer) flag(words string, on bool) {
	if on {
		p.line(words)
	}
}

func (p *printer) about(c *job.Class) {
	p.text("description", c.Description)
	p.text("author", c.Author)
	p.text("version", c.Version)
	p.text("usage", c.Usage)
	p.text("instance", c.Instance)
	for _, e := range c.Env {
		p.line("env", e)
	}
	p.text("export", c.Export...)
	p.text("import", c.Import...)
	p.text("emits", c.Emits...)
	p.text("provides", c.Provides...)
}

func (p *printer) conditions(c *job.Class) {
	p.expression("start on", c.StartOn)
	p.expression("stop on", c.StopOn)
	p.expression("while", c.While)
	p.flag("manual", c.Manual)
}

func (p *printer) expression(words string, t expr.Tree) {
	if len(t) > 0 {
		fmt.Fprintf(p, "%s %s\n", words, t.Format(writtenOperand))
	}
}

func writtenOperand(n expr.Node) string {
	words := []string{word(n.Name)}
	for _, a := range n.Args {
		words = append(words, word(a))
	}
	return strings.Join(words, " ")
}

func (p *printer) processes(c *job.Class) {
	p.process("", c.Process.Of(job.Main))
	for slot := job.PreStart; slot <= job.PostStop; slot++ {
		p.process(slot.String()+" ", c.Process.Of(slot))
	}
	p.text("apparmor load", strings.TrimPrefix(c.Process.Of(job.Security).Text, appArmorParser))
	if e := c.Expect; e.Kind != job.ExpectNone {
		p.line("expect "+e.Kind.String(), expectArgs(e)...)
	}
	p.number("expect timeout", c.Expect.Timeout, 0)
	p.flag("task", c.Task)
	p.process("health ", c.Process.Of(job.Health))
	p.number("health interval", c.Health.Interval, defaultHealth.Interval)
	p.number("health timeout", c.Health.Timeout, defaultHealth.Timeout)
	p.number("health failures", c.Health.Failures, defaultHealth.Failures)
	p.number("watchdog", c.Watchdog, 0)
	p.number("start timeout", c.StartTimeout, 0)
	p.number("stop timeout", c.StopTimeout, 0)
}

func (p *printer) process(words string, proc job.Process) {
	switch {
	case proc.Script:
		fmt.Fprintf(p, "%sscript\n%send script\n", words, proc.Text)
	case proc.Text != "":
		fmt.Fprintf(p, "%sexec %s\n", words, proc.Text)
	}
}

func expectArgs(e job.Expect) []string {
	switch {
	case e.Kind == job.ExpectFD:
		return []string{strconv.Itoa(e.FD)}
	case e.Arg != "":
		return []string{e.Arg}
	}
	return nil
}

func (p *printer) ending(c *job.Class, s job.Signals) {
	p.number("kill timeout", c.KillTimeout, defaultKillTimeout)
	p.signal("kill signal", c.KillSignal, "TERM", s)
	p.signal("reload signal", c.ReloadSignal, "HUP", s)
	if c.KillMode != job.KillDefault {
		p.line("kill mode", killModes[c.KillMode-1])
	}
	p.flag("respawn", c.Respawn)
	switch {
	case c.RespawnLimit == 0 && c.RespawnInterval == 0:
		p.line("respawn limit unlimited")
	case c.RespawnLimit != defaultRespawnLimit || c.RespawnInterval != defaultRespawnInterval:
		p.line("respawn limit", strconv.Itoa(c.RespawnLimit), strconv.Itoa(c.RespawnInterval))
	}
	switch {
	case c.RespawnDelayMax != 0:
		p.line("respawn delay", secondsText(c.RespawnDelay), secondsText(c.RespawnDelayMax))
	case c.RespawnDelay != 0:
		p.line("respawn delay", secondsText(c.RespawnDelay))
	}
	if c.RespawnOn != job.RespawnDefault {
		p.line("respawn on", respawnEnds[c.RespawnOn-1])
	}
	for _, status := range c.NormalExit {
		p.line("normal exit", statusName(status, s))
	}
	p.flag("debug", c.Debug)
}

func (p *printer) signal(words string, n job.Signal, unless string, s job.Signals) {
	if d, _ := s.Number(unless); n == d {
		return
	}
	name, ok := s.Name(n)
	if !ok {
		name = strconv.Itoa(int(n))
	}
	p.line(words, name)
}

// statusName returns the signal that a status stands for, or its number.
func statusName(status job.Status, s job.Signals) string {
	if n, ok := status.Signal(); ok && job.Killed(n) == status {
		if name, ok := s.Name(n); ok {
			return name
		}
	}
	return strconv.Itoa(int(status))
}

func (p *printer) attrs(a *job.Attrs) {
	p.line("console", consoles[a.Console])
	if a.Umask >= 0 {
		p.line("umask", fmt.Sprintf("%04o", a.Umask))
	}
	if a.HasNice {
		p.line("nice", strconv.Itoa(a.Nice))
	}
	p.number("oom score", a.OOM, 0)
	for i, l := range a.Limits {
		if l.Set {
			p.line("limit", job.LimitNames[i], limitValue(l.Soft), limitValue(l.Hard))
		}
	}
	p.text("chroot", a.Chroot)
	p.text("chdir", a.Chdir)
	p.text("setuid", a.Setuid)
	p.text("setgid", a.Setgid)
	p.text("apparmor switch", a.AppArmor)
	for _, g := range a.Cgroups {
		for _, n := range g.Names {
			p.line("cgroup", g.Controller, n.Name)
			for _, s := range n.Settings {
				p.line("cgroup", g.Controller, n.Name, s.Key, s.Value)
			}
		}
	}
	p.text("tmpfiles", a.Tmpfiles...)
}

func limitValue(v uint64) string {
	if v == job.Unlimited {
		return "unlimited"
	}
	return strconv.FormatUint(v, 10)
}

func (p *printer) isolation(i *job.Isolation) {
	for _, n := range i.Namespaces {
		words := "namespace"
		if n.Optional {
			words += " optional"
		}
		if n.Path != "" {
			p.line(words, n.Kind, n.Path)
		} else {
			p.line(words, n.Kind)
		}
	}
	p.text("private", i.Private...)
	p.text("readonly", i.ReadOnly...)
	p.text("hide", i.Hide...)
	for _, b := range i.Bind {
		p.line("bind", b.Key, b.Value)
	}
	p.text("capability bounding", i.CapBounding...)
	p.text("capability ambient", i.CapAmbient...)
	p.flag("no new privileges", i.NoNewPrivs)
	p.text("seccomp", i.Seccomp)
	p.text("setgroups", i.Setgroups...)
	for _, c := range i.Credentials {
		p.line("credential", c.Key, c.Value)
	}
	for _, f := range i.EnvFiles {
		path := f.Path
		if f.Optional {
			path = "-" + path
		}
		p.line("env file", path)
	}
	if i.IOPrio != "" {
		p.line("ioprio " + i.IOPrio)
	}
	p.text("cpu affinity", i.CPUAffinity)
	switch {
	case i.SchedPrio != 0:
		p.line("sched", i.Sched, strconv.Itoa(i.SchedPrio))
	case i.Sched != "":
		p.line("sched", i.Sched)
	}
}

// word returns s as an argument: as it is, or in quotes with backslashes
// doubled. A quote is written between quotes of the other kind, as no
// backslash can take its meaning away (UPSTART §1.2).
func word(s string) string {
	plain := s != "" && s != "and" && s != "or" && s != "not"
	for i := 0; i < len(s) && plain; i++ {
		plain = class[s[i]] == 0
	}
	if plain {
		return s
	}
	q := byte('"')
	b := append(make([]byte, 0, len(s)+2), q)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case q:
			other := '"' + '\'' - q
			b = append(b, q, other, c)
			q = other
		case '\\':
			b = append(b, c, c)
		default:
			b = append(b, c)
		}
	}
	return string(append(b, q))
}

// secondsText is a time in seconds, with no more digits than it needs.
func secondsText(d time.Duration) string {
	fraction := strings.TrimRight(fmt.Sprintf(".%09d", d%time.Second), "0")
	return strconv.FormatInt(int64(d/time.Second), 10) + strings.TrimSuffix(fraction, ".")
}
