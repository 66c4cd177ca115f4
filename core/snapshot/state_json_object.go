package snapshot

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// object is a JSON object that is written or read by visiting its keys: as
// with codec, one description is both directions. Writing keeps the order of
// the visits. Reading ignores keys nobody visits; one that is missing is a
// fault unless it is asked for with has. After a fault visits do nothing.
type object struct {
	d     *dump
	path  string         // where it is, for errors
	out   *bytes.Buffer  // writing
	begun bool           // a key was written
	in    map[string]any // reading
}

func (o *object) reading() bool { return o.out == nil }

func (o *object) failf(key, format string, args ...any) {
	if o.d.err == nil {
		o.d.err = fmt.Errorf("%s.%s: %s", o.path, key, fmt.Sprintf(format, args...))
	}
}

// has reports whether a key that may be missing is there to be read. There is
// the answer when writing.
func (o *object) has(key string, there bool) bool {
	if o.reading() {
		_, there = o.in[key]
	}
	return there
}

// put writes a key with a value.
func (o *object) put(key string, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		o.failf(key, "%v", err)
		return
	}
	o.raw(key, text)
}

func (o *object) raw(key string, text []byte) {
	o.key(key)
	o.out.Write(text)
}

func (o *object) key(key string) {
	if o.begun {
		o.out.WriteByte(',')
	}
	o.begun = true
	o.out.WriteByte('"')
	o.out.WriteString(key)
	o.out.WriteString(`":`)
}

// get reads the value of a key as a T; null is its zero.
func get[T any](o *object, key string) (v T) {
	x, ok := o.in[key]
	if !ok {
		o.failf(key, "missing")
		return v
	}
	if x == nil {
		return v
	}
	v, ok = x.(T)
	if !ok {
		o.failf(key, "is not of the right type")
	}
	return v
}

var null = []byte("null")

// str visits a string; the empty one is null.
func (o *object) str(key string, s *string) {
	switch {
	case o.reading():
		*s = get[string](o, key)
	case *s == "":
		o.raw(key, null)
	default:
		o.put(key, *s)
	}
}

// number visits an integer.
func number[T integer](o *object, key string, n *T) {
	if !o.reading() {
		o.key(key)
		o.out.Write(strconv.AppendInt(o.out.AvailableBuffer(), int64(*n), 10))
		return
	}
	v, err := get[json.Number](o, key).Int64()
	if o.in[key] == nil {
		v, err = 0, nil
	}
	if *n = T(v); err != nil || int64(*n) != v {
		o.failf(key, "is no integer in range")
	}
}

// flag visits a truth value, which is a number.
func (o *object) flag(key string, b *bool) {
	n := 0
	if *b {
		n = 1
	}
	if number(o, key, &n); o.reading() {
		*b = n != 0
	}
}

// name visits a value that is written as a name from a list, whose first
// stands for the number first.
func name[T integer](o *object, key string, v *T, first T, names []string) {
	if !o.reading() {
		o.put(key, names[*v-first])
		return
	}
	i := slices.Index(names, get[string](o, key))
	if i < 0 {
		o.failf(key, "is %q", o.in[key])
		return
	}
	*v = first + T(i)
}

// strs visits a list of strings; no list and an empty one are the same.
func (o *object) strs(key string, list *[]string) {
	if !o.reading() {
		o.put(key, append([]string{}, *list...))
		return
	}
	*list = nil
	for _, x := range get[[]any](o, key) {
		s, ok := x.(string)
		if !ok {
			o.failf(key, "is no list of strings")
		}
		*list = append(*list, s)
	}
}

// nums visits a list of integers.
func nums[T integer](o *object, key string, list *[]T) {
	if !o.reading() {
		o.put(key, append([]T{}, *list...))
		return
	}
	*list = nil
	for _, x := range get[[]any](o, key) {
		n, _ := x.(json.Number)
		v, err := n.Int64()
		if err != nil || int64(T(v)) != v {
			o.failf(key, "is no list of integers")
		}
		*list = append(*list, T(v))
	}
}

// sub visits the object that is the value of a key.
func (o *object) sub(key string, visit func(*object)) {
	if !o.reading() {
		o.key(key)
		o.d.write(o.out, visit)
		return
	}
	inner := object{d: o.d, path: o.path + "." + key, in: get[map[string]any](o, key)}
	if o.d.err == nil {
		visit(&inner)
	}
}

// write writes one object.
func (d *dump) write(out *bytes.Buffer, visit func(*object)) {
	out.WriteByte('{')
	visit(&object{d: d, out: out})
	out.WriteByte('}')
}

// each visits a list of objects.
func each[T any](o *object, key string, list *[]T, visit func(*object, *T)) {
	if o.reading() {
		*list = nil
		for i, x := range get[[]any](o, key) {
			inner := object{d: o.d, path: fmt.Sprintf("%s.%s[%d]", o.path, key, i)}
			inner.in, _ = x.(map[string]any)
			var zero T
			*list = append(*list, zero)
			if visit(&inner, &(*list)[i]); o.d.err != nil {
				return
			}
		}
		return
	}
	o.key(key)
	o.out.WriteByte('[')
	for i := range *list {
		if i > 0 {
			o.out.WriteByte(',')
		}
		o.d.write(o.out, func(o *object) { visit(o, &(*list)[i]) })
	}
	o.out.WriteByte(']')
}
