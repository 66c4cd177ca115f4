package snapshot

import (
	"fmt"
	"slices"

	"onset/core/engine"
	"onset/core/job"
)

// row describes the values of type T among those of interface I.
type row[I, T any] struct{ fields func(*codec, *T) }

// kind is a row of a table of types. Scratch belongs to one codec and one
// row: it spares an allocation each time.
type kind[I any] interface {
	is(I) bool
	visit(c *codec, v *I, scratch *any)
}

func (r row[I, T]) is(v I) bool {
	_, ok := any(v).(T)
	return ok
}

func (r row[I, T]) visit(c *codec, v *I, scratch *any) {
	t, ok := (*scratch).(*T)
	if !ok {
		t = new(T)
		*scratch = t
	}
	if !c.reading {
		*t = any(*v).(T)
	}
	if r.fields(c, t); c.reading {
		*v = any(*t).(I)
	}
	var zero T
	*t = zero
}

// reserved is the row of a type that is no more; it keeps the numbers of those
// behind it.
type reserved[I any] struct{}

func (reserved[I]) is(I) bool                    { return false }
func (reserved[I]) visit(c *codec, _ *I, _ *any) { c.fail(errRange) }

// variant visits a value of one of the types of a table; its number there is
// part of the format.
func variant[I any](c *codec, v *I, table []kind[I], scratch []any) {
	var n uint64
	if !c.reading {
		i := slices.IndexFunc(table, func(k kind[I]) bool { return k.is(*v) })
		if i < 0 {
			panic(fmt.Sprintf("internal error: cannot write a %T", *v))
		}
		n = uint64(i)
	}
	if c.count(&n); n >= uint64(len(table)) {
		c.fail(errRange)
		return
	}
	table[n].visit(c, v, &scratch[n])
}

// messages are the kinds of input. A new one goes to the end.
var messages = [...]kind[engine.Msg]{
	row[engine.Msg, engine.Loaded]{func(c *codec, m *engine.Loaded) { list(c, &m.Sources, (*codec).sourceRead) }},
	row[engine.Msg, engine.SourceLoaded]{func(c *codec, m *engine.SourceLoaded) { c.sourceRead(&m.Source) }},
	row[engine.Msg, engine.FileChanged]{func(c *codec, m *engine.FileChanged) {
		c.str(&m.Source)
		c.fileRead(&m.File)
	}},
	row[engine.Msg, engine.FileRemoved]{func(c *codec, m *engine.FileRemoved) {
		c.str(&m.Source)
		c.str(&m.Path)
	}},
	row[engine.Msg, engine.SourceRemoved]{func(c *codec, m *engine.SourceRemoved) { c.str(&m.Source) }},
	row[engine.Msg, engine.Tick]{func(*codec, *engine.Tick) {}},
	row[engine.Msg, engine.Spawned]{func(c *codec, m *engine.Spawned) {
		num(c, &m.Token)
		num(c, &m.PID)
	}},
	row[engine.Msg, engine.SpawnFailed]{func(c *codec, m *engine.SpawnFailed) {
		num(c, &m.Token)
		c.str(&m.Reason)
		c.bool(&m.Temporary)
	}},
	row[engine.Msg, engine.Executed]{func(c *codec, m *engine.Executed) { num(c, &m.PID) }},
	row[engine.Msg, engine.ExecFailed]{func(c *codec, m *engine.ExecFailed) {
		num(c, &m.PID)
		c.str(&m.Reason)
	}},
	row[engine.Msg, engine.Exited]{func(c *codec, m *engine.Exited) {
		num(c, &m.PID)
		num(c, &m.Status)
		if c.version >= 3 {
			num(c, &m.Heir)
			num(c, &m.Forks)
			num(c, &m.Left)
			c.bool(&m.OOM)
		}
	}},
	row[engine.Msg, engine.Stopped]{func(c *codec, m *engine.Stopped) { c.signalled(&m.PID, &m.Signal) }},
	row[engine.Msg, engine.Continued]{func(c *codec, m *engine.Continued) { c.signalled(&m.PID, &m.Signal) }},
	reserved[engine.Msg]{}, // Forked, up to format 2
	row[engine.Msg, engine.Replaced]{func(c *codec, m *engine.Replaced) { num(c, &m.PID) }},
	row[engine.Msg, engine.Called]{func(c *codec, m *engine.Called) {
		c.caller(&m.Caller)
		c.call(&m.Call)
	}},
	row[engine.Msg, engine.Hungup]{func(c *codec, m *engine.Hungup) { num(c, &m.Conn) }},
	row[engine.Msg, engine.Done]{func(c *codec, m *engine.Done) {
		num(c, &m.Call)
		c.str(&m.Error)
	}},
	row[engine.Msg, engine.Told]{func(c *codec, m *engine.Told) { enum(c, &m.What, engine.SingleUser) }},
	row[engine.Msg, engine.Emptied]{func(c *codec, m *engine.Emptied) { num(c, &m.Token) }},
	row[engine.Msg, engine.Ready]{func(c *codec, m *engine.Ready) { num(c, &m.Token) }},
	row[engine.Msg, engine.Notified]{func(c *codec, m *engine.Notified) {
		num(c, &m.Token)
		num(c, &m.PID)
		list(c, &m.Lines, (*codec).str)
		list(c, &m.Files, func(c *codec, f *int) { num(c, f) })
	}},
}

// owed are the effects whose result comes when it comes, so that a snapshot
// may have to keep them. A new one goes to the end.
var owed = [...]kind[engine.Effect]{
	row[engine.Effect, engine.LoadConfig]{func(c *codec, e *engine.LoadConfig) { list(c, &e.Sessions, (*codec).str) }},
	row[engine.Effect, engine.LoadSource]{func(c *codec, e *engine.LoadSource) { c.str(&e.Session) }},
	row[engine.Effect, engine.ConnectBus]{func(c *codec, e *engine.ConnectBus) {
		c.str(&e.Address)
		num(c, &e.Call)
	}},
	row[engine.Effect, engine.FlushLogs]{func(c *codec, e *engine.FlushLogs) { num(c, &e.Call) }},
}

func (c *codec) owed(e *engine.Effect) {
	var scratch [len(owed)]any
	variant(c, e, owed[:], scratch[:])
}

func (c *codec) signalled(pid *int, sig *job.Signal) {
	num(c, pid)
	num(c, sig)
}

func (c *codec) sourceRead(s *engine.Source) {
	c.str(&s.Path)
	enum(c, &s.Kind, engine.InitConf)
	c.str(&s.Session)
	list(c, &s.Files, (*codec).fileRead)
	c.str(&s.Error)
}

func (c *codec) fileRead(f *engine.File) {
	c.str(&f.Path)
	c.str(&f.Text)
	c.str(&f.Error)
}
