// Package snapshot keeps an engine beyond the life of its process (DESIGN §2):
// the state as bytes, a log of the inputs since then, and the way back from
// both.
//
// Encode and Decode turn a state into bytes and back. Decode gives a state
// that behaves and encodes exactly as the one before; bytes that no Encode
// made give an error, never a panic, and cost memory in proportion to their
// length. Classes are not in it: they are a function of their text and are
// parsed again. Numbers of enumerations are part of the format and so are the
// names of methods; what is added to the format later is read under a
// condition on the version.
//
// A Log is a journal in memory that outlives the process: an input is in it
// before the engine steps it, and an effect is noted as begun before it is
// carried out. A record counts once it is written to its last byte. A log
// belongs to one snapshot and is of no use with another.
//
// Recover replays a log on its snapshot, in the order in which the inputs
// were stepped, and carries out nothing. Because the engine is deterministic
// this gives the engine that died, and tells what it had not done yet.
//
// WriteState and ReadState are the same for the JSON of UPSTART Appendix A,
// which clients of GetState read and which an Upstart hands over.
package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"

	"onset/core/cause"
	"onset/core/engine"
	"onset/core/job"
)

// codec reads or writes a value by visiting its parts: one description is
// both directions. After the first fault every visit does nothing.
type codec struct {
	reading bool
	version uint64 // of the format; a condition for parts that came later
	buf     []byte // written so far, or left to read
	err     error

	words    dictionary
	causes   refs[cause.Cause]
	depth    int // of the cause being visited
	classes  refs[engine.Class]
	defaults job.Defaults // for parsing classes
	attrs    job.Shared   // of those
}

var (
	errShort = errors.New("it ends too early")
	errRange = errors.New("a number is out of range")
)

func (c *codec) fail(err error) {
	if c.err == nil {
		c.err = err
	}
	c.buf = nil
}

func (c *codec) failf(format string, args ...any) { c.fail(fmt.Errorf(format, args...)) }

// count visits a length or a reference.
func (c *codec) count(n *uint64) {
	if !c.reading {
		c.buf = binary.AppendUvarint(c.buf, *n)
		return
	}
	v, size := binary.Uvarint(c.buf)
	if size <= 0 {
		c.fail(errShort)
		v, size = 0, 0
	}
	*n, c.buf = v, c.buf[size:]
}

type integer interface {
	~int | ~int8 | ~int32 | ~int64 | ~uint8 | ~uint64
}

// num visits a number; small ones of either sign are short.
func num[T integer](c *codec, n *T) {
	if !c.reading {
		c.buf = binary.AppendVarint(c.buf, int64(*n))
		return
	}
	v, size := binary.Varint(c.buf)
	switch {
	case size <= 0:
		c.fail(errShort)
		v, size = 0, 0
	case int64(T(v)) != v:
		c.fail(errRange)
		v, size = 0, 0
	}
	*n, c.buf = T(v), c.buf[size:]
}

// enum visits one of a set of numbered values, of which last is the last.
func enum[T integer](c *codec, n *T, last T) {
	num(c, n)
	if c.reading && (*n < 0 || *n > last) {
		c.fail(errRange)
		*n = 0
	}
}

func (c *codec) bool(b *bool) {
	var n uint64
	if *b {
		n = 1
	}
	c.count(&n)
	if c.reading {
		if n > 1 {
			c.fail(errRange)
		}
		*b = n == 1
	}
}

func (c *codec) str(s *string) {
	n := uint64(len(*s))
	c.count(&n)
	if !c.reading {
		c.buf = append(c.buf, *s...)
		return
	}
	if n > uint64(len(c.buf)) {
		c.fail(errShort)
		n = 0
	}
	*s, c.buf = string(c.buf[:n]), c.buf[n:]
}

// dictionary numbers strings that are likely to come again.
type dictionary struct {
	ids map[string]uint64 // nil: every string is written out
	all []string
}

// word visits a string that is likely to come again.
func (c *codec) word(s *string) {
	d := &c.words
	if d.ids == nil {
		c.str(s)
		return
	}
	id := d.ids[*s]
	c.count(&id)
	switch {
	case id > uint64(len(d.all)):
		c.fail(errRange)
	case id > 0:
		*s = d.all[id-1]
	default:
		c.str(s)
		d.all = append(d.all, *s)
		if !c.reading {
			d.ids[*s] = uint64(len(d.all))
		}
	}
}

// prealloc bounds what is allocated on the word of a length alone.
const prealloc = 256

// list visits a slice. A nil slice and an empty one stay different.
func list[S ~[]E, E any](c *codec, s *S, visit func(*codec, *E)) {
	var n uint64 // one more than the length; 0 is nil
	if *s != nil {
		n = uint64(len(*s)) + 1
	}
	c.count(&n)
	if !c.reading {
		for i := range *s {
			visit(c, &(*s)[i])
		}
		return
	}
	if *s = nil; n == 0 {
		return
	}
	if n--; n > uint64(len(c.buf)) { // an element takes a byte at least
		c.fail(errShort)
		return
	}
	out := make(S, 0, min(n, prealloc))
	for i := uint64(0); i < n && c.err == nil; i++ {
		var zero E
		out = append(out, zero)
		visit(c, &out[i])
	}
	*s = out
}

// fill visits the elements of an array.
func fill[E any](c *codec, s []E, visit func(*codec, *E)) {
	for i := range s {
		visit(c, &s[i])
	}
}

// pointer visits what a pointer that is never nil points to.
func pointer[T any](visit func(*codec, *T)) func(*codec, **T) {
	return func(c *codec, p **T) {
		if c.reading {
			*p = new(T)
		}
		visit(c, *p)
	}
}

// optional visits what a pointer points to, unless it is nil.
func optional[T any](c *codec, p **T, visit func(*codec, *T)) {
	there := *p != nil
	c.bool(&there)
	if c.reading {
		*p = nil
	}
	if there {
		pointer(visit)(c, p)
	}
}

// refs numbers the values of a type that several others point to, so that
// they stay one. A value is numbered after its parts: there are no cycles.
type refs[T any] struct {
	ids map[*T]uint64
	all []*T
}

// How a pointer is written: as one of these, or as the number of a value that
// came before.
const (
	refNil uint64 = iota
	refNew
	refFirst
)

func (r *refs[T]) visit(c *codec, p **T, visit func(*codec, *T)) {
	code := refNil
	if !c.reading && *p != nil {
		code = refNew
		if id, ok := r.ids[*p]; ok {
			code = id
		}
	}
	c.count(&code)
	if code == refNew {
		pointer(visit)(c, p)
		r.number(c, *p)
		return
	}
	if !c.reading {
		return
	}
	*p = nil
	if i := code - refFirst; code >= refFirst && i < uint64(len(r.all)) {
		*p = r.all[i]
	} else if code != refNil {
		c.fail(errRange)
	}
}

func (r *refs[T]) number(c *codec, p *T) {
	if c.reading {
		r.all = append(r.all, p)
		return
	}
	if r.ids == nil {
		r.ids = make(map[*T]uint64)
	}
	r.ids[p] = refFirst + uint64(len(r.ids))
}
