package main

import (
	"encoding/binary"
	"io"
	"unicode/utf8"

	"onset/core/control"
)

// The D-Bus wire format, as much of it as the API has. A codec for all of it
// takes longer to be there than a command takes.

// Kinds of message, and fields of a header.
const (
	callMessage   = 1
	returnMessage = 2
	errorMessage  = 3
	signalMessage = 4

	fieldPath        = 1
	fieldInterface   = 2
	fieldMember      = 3
	fieldErrorName   = 4
	fieldReplySerial = 5
	fieldDestination = 6
	fieldSignature   = 8
)

const (
	wirePrefix = 16      // bytes that tell the length of a message
	maxMessage = 1 << 27 // bytes
	maxDepth   = 64      // variants in each other
)

// writer makes one message in little endian.
type writer struct{ b []byte }

// encodeCall returns the bytes of a call.
func encodeCall(serial uint32, dest string, r request) ([]byte, error) {
	signature := ""
	for _, a := range r.args {
		if !validText(a) {
			return nil, spoken("dbus wire format error: input has a not-utf8 char in string")
		}
	}
	for _, a := range r.method.In {
		signature += a.Type
	}
	w := writer{make([]byte, 0, 256)}
	w.b = append(w.b, 'l', callMessage, 0, 1, 0, 0, 0, 0)
	w.number(serial)
	w.number(0)
	w.field(fieldPath, 'o', string(r.path))
	w.field(fieldInterface, 's', r.method.Interface)
	w.field(fieldMember, 's', r.method.Name)
	w.field(fieldDestination, 's', dest)
	w.field(fieldSignature, 'g', signature)
	binary.LittleEndian.PutUint32(w.b[12:], uint32(len(w.b)-wirePrefix))
	w.align(8)
	start := len(w.b)
	for i, v := range r.args {
		w.value(r.method.In[i].Type, v)
	}
	binary.LittleEndian.PutUint32(w.b[4:], uint32(len(w.b)-start))
	return w.b, nil
}

// validText reports whether an argument has a place on the wire.
func validText(v any) bool {
	switch v := v.(type) {
	case string:
		return utf8.ValidString(v)
	case []string:
		for _, s := range v {
			if !utf8.ValidString(s) {
				return false
			}
		}
	}
	return true
}

func (w *writer) align(n int) {
	for len(w.b)%n != 0 {
		w.b = append(w.b, 0)
	}
}

func (w *writer) number(n uint32) {
	w.align(4)
	w.b = binary.LittleEndian.AppendUint32(w.b, n)
}

func (w *writer) text(s string) {
	w.number(uint32(len(s)))
	w.b = append(append(w.b, s...), 0)
}

func (w *writer) signature(s string) {
	w.b = append(append(append(w.b, byte(len(s))), s...), 0)
}

// field adds a field of the header; none that is empty.
func (w *writer) field(code, kind byte, text string) {
	if text == "" {
		return
	}
	w.align(8)
	w.b = append(w.b, code, 1, kind, 0)
	if kind == 'g' {
		w.signature(text)
	} else {
		w.text(text)
	}
}

// value adds an argument of one of the types that methods take; what goes
// into a variant is text.
func (w *writer) value(kind string, v any) {
	switch kind {
	case "s":
		w.text(v.(string))
	case "b":
		var n uint32
		if v.(bool) {
			n = 1
		}
		w.number(n)
	case "v":
		w.signature("s")
		w.text(v.(string))
	case "as":
		w.number(0)
		start := len(w.b)
		for _, s := range v.([]string) {
			w.text(s)
		}
		binary.LittleEndian.PutUint32(w.b[start-4:], uint32(len(w.b)-start))
	}
}

// message is what came.
type message struct {
	kind            byte
	replyTo         uint32
	member, errName string
	body            []any // of replies and errors, see reader.value
}

// order is the byte order of a message, and size its length in bytes after
// the first 16, which b begins with. It is false for what is no message.
func frame(b []byte) (order binary.ByteOrder, size int, ok bool) {
	order = binary.LittleEndian
	if b[0] == 'B' {
		order = binary.BigEndian
	}
	body, fields := uint64(order.Uint32(b[4:])), uint64(order.Uint32(b[12:]))
	total := (fields+7)&^7 + body
	return order, int(total), (b[0] == 'l' || b[0] == 'B') && b[3] == 1 && total <= maxMessage
}

// readMessage reads one message. The error is the end of the connection, or
// errLost for what nobody can read.
func readMessage(in io.Reader) (*message, error) {
	var prefix [wirePrefix]byte
	if _, err := io.ReadFull(in, prefix[:]); err != nil {
		return nil, err
	}
	order, size, ok := frame(prefix[:])
	if !ok {
		return nil, errLost
	}
	b := make([]byte, wirePrefix+size)
	copy(b, prefix[:])
	if _, err := io.ReadFull(in, b[wirePrefix:]); err != nil {
		return nil, err
	}
	m := &message{kind: b[1]}
	r := reader{b: b, at: wirePrefix, order: order}
	signature := m.header(&r, wirePrefix+int(order.Uint32(b[12:])))
	if m.kind == returnMessage || m.kind == errorMessage {
		r.align(8)
		m.body = r.values(signature)
	}
	if r.bad {
		return nil, errLost
	}
	return m, nil
}

// header reads the fields, which end there, and returns the signature.
func (m *message) header(r *reader, end int) (signature string) {
	for r.at < end && !r.bad {
		r.align(8)
		code := r.take(1)
		if code == nil {
			break
		}
		switch v := r.variant(); code[0] {
		case fieldMember:
			m.member, _ = v.(string)
		case fieldErrorName:
			m.errName, _ = v.(string)
		case fieldReplySerial:
			m.replyTo, _ = v.(uint32)
		case fieldSignature:
			signature, _ = v.(string)
		}
	}
	return signature
}

// reader reads the values of a message. After one that it cannot read it is
// bad, and all further ones are empty.
type reader struct {
	b     []byte
	at    int
	order binary.ByteOrder
	bad   bool
	depth int // of variants
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

func (r *reader) number() uint32 {
	r.align(4)
	b := r.take(4)
	if b == nil {
		return 0
	}
	return r.order.Uint32(b)
}

func (r *reader) text() string {
	b := r.take(int(r.number()))
	r.take(1)
	return string(b)
}

func (r *reader) signature() string {
	n := r.take(1)
	if n == nil {
		return ""
	}
	b := r.take(int(n[0]))
	r.take(1)
	return string(b)
}

// variant returns what a variant holds.
func (r *reader) variant() any {
	r.depth++
	defer func() { r.depth-- }()
	r.bad = r.bad || r.depth > maxDepth
	if list := r.values(r.signature()); len(list) == 1 {
		return list[0]
	}
	r.bad = true
	return nil
}

// values returns the values of a signature.
func (r *reader) values(signature string) []any {
	var list []any
	for signature != "" && !r.bad {
		n := firstType(signature)
		list = append(list, r.value(signature[:n]))
		signature = signature[n:]
	}
	return list
}

// firstType is the length of the first type of a signature.
func firstType(signature string) int {
	depth := 0
	for i := range len(signature) {
		switch signature[i] {
		case '(', '{':
			depth++
		case ')', '}':
			depth--
		}
		if depth == 0 && signature[i] != 'a' {
			return i + 1
		}
	}
	return len(signature)
}

// value returns a value: a struct as a list, a variant as what it holds.
func (r *reader) value(kind string) any {
	switch kind[0] {
	case 's':
		return r.text()
	case 'o':
		return control.ObjectPath(r.text())
	case 'g':
		return r.signature()
	case 'b':
		return r.number() != 0
	case 'u':
		return r.number()
	case 'i':
		return int32(r.number())
	case 'v':
		return r.variant()
	case '(':
		return r.row(kind)
	case 'a':
		return r.array(kind[1:])
	}
	r.bad = true
	return nil
}

func (r *reader) row(kind string) []any {
	if r.align(8); kind[len(kind)-1] != ')' {
		r.bad = true
		return nil
	}
	return r.values(kind[1 : len(kind)-1])
}

// array returns an array of one of the types that answers have.
func (r *reader) array(kind string) any {
	size := int(r.number())
	if kind != "" && (kind[0] == '(' || kind[0] == '{') {
		r.align(8)
	}
	if r.bad = r.bad || size > len(r.b)-r.at; r.bad {
		return nil
	}
	end := r.at + size
	switch {
	case kind == "s":
		return items(r, end, r.text)
	case kind == "o":
		return items(r, end, func() control.ObjectPath { return control.ObjectPath(r.text()) })
	case kind == "as":
		return items(r, end, func() []string { list, _ := r.array("s").([]string); return list })
	case kind == "{sv}":
		p := properties{}
		for r.at < end && !r.bad {
			r.align(8)
			name := r.text()
			p[name] = r.variant()
		}
		return p
	case kind != "" && kind[0] == '(':
		return items(r, end, func() []any { return r.row(kind) })
	}
	r.bad = true
	return nil
}

// items reads the elements of an array, which end there.
func items[T any](r *reader, end int, next func() T) []T {
	list := []T{}
	for r.at < end && !r.bad {
		before := r.at
		list = append(list, next())
		r.bad = r.bad || r.at == before
	}
	return list
}
