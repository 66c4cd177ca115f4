package conf

import (
	"math"
	"slices"

	"onset/core/job"
)

// Words that stand for the values of job's constants, in their order.
var (
	consoles    = []string{"log", "none", "output", "owner"}
	expectKinds = append(slices.Clone(job.ExpectKinds), "timeout")
	killModes   = []string{"group", "tree", "process"}
	respawnEnds = []string{"failure", "always"}
)

// limitNames are the limits of the limit stanza, fewer than job.LimitNames.
var limitNames = []string{"as", "core", "cpu", "data", "fsize", "memlock", "msgqueue",
	"nice", "nofile", "nproc", "rss", "rtprio", "sigpending", "stack"}

// runs returns the handler of a stanza that defines a process.
func runs(slot job.Slot, read func(*parser) job.Process) func(*parser) {
	return func(p *parser) { p.class.Process.Set(slot, read(p)) }
}

// exec reads the rest of the line as a command, quotes and escapes kept.
func (p *parser) exec() job.Process {
	text := p.read(command, false)
	p.end()
	return job.Process{Text: text}
}

// script reads a block.
func (p *parser) script() job.Process {
	start := p.pos
	p.end()
	if p.err != nil {
		return job.Process{}
	}
	text, ok := p.block()
	if !ok {
		p.unclosed(start-1, unterminatedBlock)
	}
	return job.Process{Script: true, Text: text}
}

// env reads a variable, or with a further argument the file of EXTENSIONS §5.
func (p *parser) env() {
	s := p.arg()
	if s == "file" && p.text[p.at] == 'f' && p.err == nil && p.more() {
		p.envFile()
		return
	}
	p.end()
	p.class.Env = append(p.class.Env, s)
}

func (p *parser) expect() {
	e := &p.class.Expect
	kind := p.choice("expect", expectKinds)
	if expectKinds[kind] == "timeout" {
		e.Timeout = p.interval(0)
		return
	}
	e.Kind, e.Arg, e.FD = job.ExpectKind(kind), "", 0
	switch e.Kind {
	case job.ExpectListen:
		if p.err == nil && p.more() {
			e.Arg = p.arg()
		}
	case job.ExpectDBus:
		e.Arg = p.arg()
	case job.ExpectFD:
		e.FD = p.number(10, 3, math.MaxInt32, illegalFD)
	}
	p.end()
}

// respawnLimit does not itself turn respawning on.
func (p *parser) respawnLimit() {
	c := p.class
	s := p.arg()
	if s == "unlimited" {
		c.RespawnLimit, c.RespawnInterval = 0, 0
		p.end()
		return
	}
	n, ok := integer(s, 10)
	if !ok || n < 0 || n > math.MaxInt32 {
		p.fail(illegalLimit)
	}
	c.RespawnLimit = int(n)
	c.RespawnInterval = p.interval(0)
}

func (p *parser) respawnDelay() {
	p.class.RespawnDelay, p.class.RespawnDelayMax = p.delay(), 0
	if p.err == nil && p.more() {
		p.class.RespawnDelayMax = p.delay()
	}
	p.end()
}

func (p *parser) normalExit() {
	for first := true; p.err == nil && (first || p.more()); first = false {
		s := p.arg()
		n, ok := integer(s, 10)
		if sig, named := p.signals.Number(s); named {
			n, ok = int64(job.Killed(sig)), true
		}
		if p.err == nil && (!ok || n < 0 || n > math.MaxInt32) {
			p.fail(illegalExit)
			p.suggest("normal exit", signalNames(p.signals))
		}
		p.class.NormalExit = append(p.class.NormalExit, job.Status(n))
	}
	p.end()
}

func (p *parser) nice() {
	p.class.Attrs.Nice = p.number(10, -20, 19, illegalNice)
	p.class.Attrs.HasNice = true
	p.end()
}

// oom reads a score, or the adjustment of older kernels, which it converts.
func (p *parser) oom() {
	s := p.arg()
	low, high, scale, msg := int64(-17), int64(15), true, illegalOOM
	if s == "score" {
		low, high, scale, msg = -1000, 1000, false, illegalOOMScore
		s = p.arg()
	}
	n, ok := integer(s, 10)
	switch {
	case s == "never":
		n = -1000
	case !ok || n < low || n > high:
		p.fail(msg)
	case scale && n < 0:
		n = n * 1000 / 17
	case scale:
		n = n * 1000 / 15
	}
	p.class.Attrs.OOM = int(n)
	p.end()
}

func (p *parser) limit() {
	name := limitNames[p.choice("limit", limitNames)]
	l := job.Limit{Set: true, Soft: p.limitValue(), Hard: p.limitValue()}
	p.end()
	a := p.class.Attrs
	if a.Limits == nil {
		a.Limits = make([]job.Limit, job.NumLimits)
	}
	a.Limits[slices.Index(job.LimitNames[:], name)] = l
}

func (p *parser) limitValue() uint64 {
	s := p.arg()
	if s == "unlimited" {
		return job.Unlimited
	}
	n, ok := unsigned(s)
	if !ok {
		p.fail(illegalLimit)
	}
	return n
}

// The command that apparmor load stands for.
const appArmorParser = "/sbin/apparmor_parser -r -W "

func (p *parser) appArmorLoad() {
	p.class.Process.Set(job.Security, job.Process{Text: appArmorParser + p.only()})
}

func (p *parser) healthFailures() {
	p.class.Health.Failures = p.number(10, 1, math.MaxInt32, illegalFailures)
	p.end()
}
