package posix

import (
	"encoding/binary"
	"errors"

	"onset/core/job"
)

// Plan is what the exec stage does, in the terms of the spec. Strings may
// hold any bytes but NUL.
type Plan struct {
	Argv, Env []string
	Script    bool // ScriptFD is one
	Trace     bool
	Debug     bool // stop before exec

	Console     job.Console // output or owner; the caller did the others
	ConsolePath string
	Profile     string // of AppArmor
	Bare        bool   // nothing below: the security slot
	Umask       int    // -1: as it is
	Nice        int
	HasNice     bool
	OOM         int
	Limits      [job.NumLimits]job.Limit
	Root        string // chroot session
	Chroot      string
	Dir         string // empty: as it is
	Setuid      string
	Setgid      string
	Tmpfiles    []string
	Isolation   job.Isolation
	Listen      bool     // have listen calls told over the descriptor behind those of the stage
	ListenNames []string // see sd_listen_fds(3)
	Cgroups     []string // files of groups to enter; on FreeBSD a login class
	Jail        string   // name of the one that this process makes, if it needs one (FreeBSD)
}

// planFormat guards against a plan of another version of the program.
const planFormat = 5

const maxPlan = 16 << 20 // bytes

var errPlan = errors.New("not a plan of this version")

// planCodec reads or writes a plan by visiting its parts.
type planCodec struct {
	reading bool
	buf     []byte
	bad     bool
}

// Encode returns the plan as bytes.
func (p *Plan) Encode() []byte {
	c := planCodec{}
	c.plan(p)
	return c.buf
}

// DecodePlan is the inverse of Encode; other bytes give an error.
func DecodePlan(b []byte) (*Plan, error) {
	c, p := planCodec{reading: true, buf: b}, &Plan{}
	c.plan(p)
	if c.bad || len(c.buf) != 0 {
		return nil, errPlan
	}
	return p, nil
}

func (c *planCodec) plan(p *Plan) {
	format := planFormat
	c.int(&format)
	c.bad = c.bad || format != planFormat
	c.list(&p.Argv)
	c.list(&p.Env)
	c.list(&p.Tmpfiles)
	for _, b := range []*bool{&p.Script, &p.Trace, &p.Debug, &p.Bare, &p.HasNice} {
		c.bool(b)
	}
	console := int(p.Console)
	for _, n := range []*int{&console, &p.Umask, &p.Nice, &p.OOM} {
		c.int(n)
	}
	p.Console = job.Console(console)
	for i := range p.Limits {
		c.bool(&p.Limits[i].Set)
		c.uint(&p.Limits[i].Soft)
		c.uint(&p.Limits[i].Hard)
	}
	for _, s := range []*string{&p.ConsolePath, &p.Profile, &p.Root, &p.Chroot, &p.Dir, &p.Setuid, &p.Setgid} {
		c.string(s)
	}
	c.isolation(&p.Isolation)
	c.bool(&p.Listen)
	c.list(&p.ListenNames)
	c.list(&p.Cgroups)
	c.string(&p.Jail)
}

func (c *planCodec) isolation(i *job.Isolation) {
	for _, s := range []*string{&i.Seccomp, &i.IOPrio, &i.CPUAffinity, &i.Sched} {
		c.string(s)
	}
	c.int(&i.SchedPrio)
	c.bool(&i.NoNewPrivs)
	for _, l := range []*[]string{&i.Private, &i.ReadOnly, &i.Hide, &i.CapBounding, &i.CapAmbient, &i.Setgroups} {
		c.list(l)
	}
	each(c, &i.Namespaces, func(n *job.Namespace) {
		c.string(&n.Kind)
		c.string(&n.Path)
		c.bool(&n.Optional)
	})
	for _, l := range []*[]job.Setting{&i.Bind, &i.Credentials} {
		each(c, l, func(s *job.Setting) {
			c.string(&s.Key)
			c.string(&s.Value)
		})
	}
	each(c, &i.EnvFiles, func(f *job.EnvFile) {
		c.string(&f.Path)
		c.bool(&f.Optional)
	})
}

func (c *planCodec) uint(n *uint64) {
	if !c.reading {
		c.buf = binary.AppendUvarint(c.buf, *n)
		return
	}
	v, size := binary.Uvarint(c.buf)
	if size <= 0 {
		c.bad, c.buf, *n = true, nil, 0
		return
	}
	*n, c.buf = v, c.buf[size:]
}

func (c *planCodec) int(n *int) {
	u := uint64(int64(*n))
	c.uint(&u)
	*n = int(int64(u))
}

func (c *planCodec) bool(b *bool) {
	u := uint64(0)
	if *b {
		u = 1
	}
	c.uint(&u)
	*b = u != 0
}

func (c *planCodec) string(s *string) {
	n := uint64(len(*s))
	c.uint(&n)
	switch {
	case !c.reading:
		c.buf = append(c.buf, *s...)
	case n > uint64(len(c.buf)):
		c.bad, c.buf = true, nil
	default:
		*s, c.buf = string(c.buf[:n]), c.buf[n:]
	}
}

func (c *planCodec) list(l *[]string) { each(c, l, c.string) }

// each visits the elements of a list.
func each[T any](c *planCodec, l *[]T, visit func(*T)) {
	n := uint64(len(*l))
	c.uint(&n)
	if c.reading {
		if n > uint64(len(c.buf)) {
			c.bad = true
			return
		}
		*l = make([]T, n)
	}
	for i := range *l {
		visit(&(*l)[i])
	}
}
