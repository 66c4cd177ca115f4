package bus

import (
	"encoding/binary"
	"strings"
)

// maxDepth is how deep containers may be in each other.
const maxDepth = 64

// basicTypes can be keys; the first of them have a size, in bytes.
const (
	basicTypes = "ybnqiuhxtdsog"
	sizes      = "\x01\x04\x02\x02\x04\x04\x04\x08\x08\x08"
)

// typeSize returns the length of the type that a signature begins with, 0 if
// that is none.
func typeSize(s string) int {
	switch {
	case s == "":
		return 0
	case s[0] == 'v' || strings.IndexByte(basicTypes, s[0]) >= 0:
		return 1
	case strings.HasPrefix(s, "a{"):
		if len(s) > 3 && strings.IndexByte(basicTypes, s[2]) >= 0 {
			if n := typeSize(s[3:]); n > 0 && strings.HasPrefix(s[3+n:], "}") {
				return 3 + n + 1
			}
		}
	case s[0] == 'a':
		if n := typeSize(s[1:]); n > 0 {
			return 1 + n
		}
	case s[0] == '(':
		for at := 1; ; {
			n := typeSize(s[at:])
			if n == 0 {
				return 0
			}
			if at += n; strings.HasPrefix(s[at:], ")") {
				return at + 1
			}
		}
	}
	return 0
}

// reader reads the values of a message. After one that it cannot read it is
// bad, and all further ones are empty.
type reader struct {
	b     []byte
	at    int
	order binary.ByteOrder
	files []int // that came with the message
	bad   bool
	depth int
}

// take returns the next n bytes; nil if there are none.
func (r *reader) take(n int) []byte {
	if r.bad = r.bad || n > len(r.b)-r.at; r.bad {
		return nil
	}
	r.at += n
	return r.b[r.at-n : r.at]
}

func (r *reader) align(n int) { r.take(-r.at & (n - 1)) }

func (r *reader) octet() int {
	if b := r.take(1); b != nil {
		return int(b[0])
	}
	return 0
}

func (r *reader) number() uint32 {
	r.align(4)
	if b := r.take(4); b != nil {
		return r.order.Uint32(b)
	}
	return 0
}

// size is a number of bytes that are there.
func (r *reader) size() int {
	n := r.number()
	if r.bad = r.bad || uint64(n) > uint64(len(r.b)-r.at); r.bad {
		return 0
	}
	return int(n)
}

// ended returns the next n bytes, which a NUL follows.
func (r *reader) ended(n int) []byte {
	b := r.take(n)
	r.bad = r.octet() != 0 || r.bad
	return b
}

func (r *reader) bytes() []byte { return r.ended(r.size()) }

func (r *reader) text() string { return shared(r.bytes()) }

func (r *reader) signature() []byte { return r.ended(r.octet()) }

// value takes a value. Those of types that requests have, or answers of a bus,
// are returned, a variant as what it holds; all else is nil, as is a descriptor that
// did not come.
func (r *reader) value(kind string) any {
	switch kind {
	case "s":
		return r.text()
	case "b":
		n := r.number()
		r.bad = r.bad || n > 1
		return n == 1
	case "u":
		return r.number()
	case "h":
		if n := r.number(); uint64(n) < uint64(len(r.files)) {
			return r.files[n]
		}
		return nil
	case "v":
		return r.variant()
	case "as":
		return r.list()
	case "a{sv}":
		return r.dict()
	}
	r.skip(kind)
	return nil
}

// variant takes a variant.
func (r *reader) variant() any { return r.held(string(r.signature())) }

// held takes what a variant of that signature holds; nil for another variant.
func (r *reader) held(kind string) any {
	r.depth++
	if r.bad = r.bad || r.depth > maxDepth || kind == "" || typeSize(kind) != len(kind); r.bad {
		return nil
	}
	v := r.value(kind)
	r.depth--
	if kind == "v" {
		return nil
	}
	return v
}

// list takes a list of texts, which share their memory.
func (r *reader) list() []string {
	size := r.size()
	items := reader{b: r.take(size), order: r.order}
	all := string(items.b)
	list := make([]string, 0, min(size/16+1, 64))
	for items.at < size && !items.bad {
		b := items.bytes()
		list = append(list, all[max(items.at-1-len(b), 0):max(items.at-1, 0)])
	}
	r.bad = r.bad || items.bad
	return list
}

func (r *reader) dict() map[string]any {
	m := map[string]any{}
	r.array(8, func() {
		r.align(8)
		name := r.text()
		m[name] = r.variant()
	})
	return m
}

// array takes the elements of an array, each at least a byte.
func (r *reader) array(align int, element func()) {
	size := r.size()
	r.align(align)
	if r.bad = r.bad || size > len(r.b)-r.at; r.bad {
		return
	}
	for end := r.at + size; r.at != end && !r.bad; {
		element()
		r.bad = r.bad || r.at > end
	}
}

// skip takes a value of any type.
func (r *reader) skip(kind string) {
	r.depth++
	if r.bad = r.bad || r.depth > maxDepth; r.bad {
		return
	}
	switch kind[0] {
	case 'v':
		r.variant()
	case 'g':
		r.signature()
	case 's', 'o':
		r.bytes()
	case 'a':
		r.array(alignment(kind[1]), func() { r.skip(kind[1:]) })
	case '(', '{':
		r.align(8)
		for inner := kind[1 : len(kind)-1]; inner != ""; {
			n := typeSize(inner)
			r.skip(inner[:n])
			inner = inner[n:]
		}
	default:
		n := alignment(kind[0])
		r.align(n)
		r.take(n)
	}
	r.depth--
}

// alignment returns at what multiple of bytes the values of a type begin; all
// but containers, texts and signatures are of that size too.
func alignment(kind byte) int {
	switch kind {
	case '(', '{':
		return 8
	case 's', 'o', 'a':
		return 4
	case 'g', 'v':
		return 1
	}
	return int(sizes[strings.IndexByte(basicTypes, kind)])
}
