// Package wire is the D-Bus wire format for clients of init, as much of it as
// init's API has: calls are written, what comes back is read. A codec for all
// of D-Bus takes longer to be there than a command takes, and longer to write
// an event than init takes to handle it.
package wire

import (
	"encoding/binary"
	"errors"
	"io"
	"unicode/utf8"

	"onset/core/control"
)

// Kind is what a message is.
type Kind byte

// The kinds.
const (
	CallMessage Kind = iota + 1
	ReturnMessage
	ErrorMessage
	SignalMessage
)

// Fields of a header.
const (
	fieldPath        = 1
	fieldInterface   = 2
	fieldMember      = 3
	fieldErrorName   = 4
	fieldReplySerial = 5
	fieldDestination = 6
	fieldSignature   = 8
	fieldFiles       = 9
)

// Prefix is how many bytes tell the length of a message.
const Prefix = 16

const (
	serialAt   = 8       // where the serial is in a message
	maxMessage = 1 << 27 // bytes
	maxDepth   = 64      // variants in each other
)

// Errors of what has no place on the wire, and of what nobody can read.
var (
	ErrText    = errors.New("dbus wire format error: input has a not-utf8 char in string")
	ErrMessage = errors.New("not a message of D-Bus")
)

// Call is a call to be made. Its arguments are those of the method, of types
// string, bool, []string; a descriptor ("h") is the place among those that go with
// the message, as int.
type Call struct {
	Destination string // empty on a private socket
	Path        control.ObjectPath
	Method      *control.MethodSpec
	Args        []any
}

// writer makes one message in little endian.
type writer struct{ b []byte }

// Encode returns the bytes of a call with that serial.
func (c *Call) Encode(serial uint32) ([]byte, error) {
	signature, files := "", uint32(0)
	for i, a := range c.Method.In {
		if !validText(c.Args[i]) {
			return nil, ErrText
		}
		if signature += a.Type; a.Type == "h" {
			files++
		}
	}
	w := writer{make([]byte, 0, 256)}
	w.b = append(w.b, 'l', byte(CallMessage), 0, 1, 0, 0, 0, 0)
	w.number(serial)
	w.number(0)
	w.field(fieldPath, 'o', string(c.Path))
	w.field(fieldInterface, 's', c.Method.Interface)
	w.field(fieldMember, 's', c.Method.Name)
	w.field(fieldDestination, 's', c.Destination)
	w.field(fieldSignature, 'g', signature)
	if files > 0 {
		w.align(8)
		w.b = append(w.b, fieldFiles, 1, 'u', 0)
		w.number(files)
	}
	binary.LittleEndian.PutUint32(w.b[12:], uint32(len(w.b)-Prefix))
	w.align(8)
	start := len(w.b)
	for i, v := range c.Args {
		w.value(c.Method.In[i].Type, v)
	}
	binary.LittleEndian.PutUint32(w.b[4:], uint32(len(w.b)-start))
	return w.b, nil
}

// SetSerial gives an encoded call another serial.
func SetSerial(call []byte, serial uint32) { binary.LittleEndian.PutUint32(call[serialAt:], serial) }

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
	case "h":
		w.number(uint32(v.(int)))
	case "as":
		w.number(0)
		start := len(w.b)
		for _, s := range v.([]string) {
			w.text(s)
		}
		binary.LittleEndian.PutUint32(w.b[start-4:], uint32(len(w.b)-start))
	}
}

// Message is what came: the fields of its header that it has.
type Message struct {
	Kind            Kind
	ReplyTo         uint32 // serial of the call
	Path            control.ObjectPath
	Interface       string
	Member, ErrName string

	signature string
	rest      reader // at the body
}

// Frame returns the length of a message in bytes after the first 16, which b
// begins with; ok is false for what is no message.
func Frame(b []byte) (size int, ok bool) {
	order := orderOf(b)
	body, fields := uint64(order.Uint32(b[4:])), uint64(order.Uint32(b[12:]))
	total := (fields+7)&^7 + body
	return int(total), (b[0] == 'l' || b[0] == 'B') && b[3] == 1 && total <= maxMessage
}

func orderOf(b []byte) binary.ByteOrder {
	if b[0] == 'B' {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// Read reads one message. The error is the end of the connection, or
// ErrMessage.
func Read(in io.Reader) (*Message, error) {
	prefix := make([]byte, Prefix, 256)
	if _, err := io.ReadFull(in, prefix); err != nil {
		return nil, err
	}
	size, ok := Frame(prefix)
	if !ok {
		return nil, ErrMessage
	}
	b := append(prefix, make([]byte, size)...)
	if _, err := io.ReadFull(in, b[Prefix:]); err != nil {
		return nil, err
	}
	m := &Message{Kind: Kind(b[1]), rest: reader{b: b, at: Prefix, order: orderOf(b)}}
	m.header(Prefix + int(m.rest.order.Uint32(b[12:])))
	if m.rest.bad {
		return nil, ErrMessage
	}
	return m, nil
}

// Body returns the values of a message, of types that answers and signals of
// init have: string, control.ObjectPath, bool, uint32, int32, lists of these,
// Properties; a struct is a list of any.
func (m *Message) Body() ([]any, error) {
	r := m.rest
	r.align(8)
	body := r.values(m.signature)
	if r.bad {
		return nil, ErrMessage
	}
	return body, nil
}

// Error returns what a message of that kind says.
func (m *Message) Error() (*control.Error, error) {
	body, err := m.Body()
	e := &control.Error{Name: m.ErrName, Message: m.ErrName}
	if len(body) > 0 {
		if text, ok := body[0].(string); ok {
			e.Message = text
		}
	}
	return e, err
}

// Properties are the answer of GetAll.
type Properties map[string]any

// header reads the fields, which end there.
func (m *Message) header(end int) {
	for r := &m.rest; r.at < end && !r.bad; {
		r.align(8)
		code := r.take(1)
		if code == nil {
			break
		}
		switch v := r.variant(); code[0] {
		case fieldPath:
			m.Path, _ = v.(control.ObjectPath)
		case fieldInterface:
			m.Interface, _ = v.(string)
		case fieldMember:
			m.Member, _ = v.(string)
		case fieldErrorName:
			m.ErrName, _ = v.(string)
		case fieldReplySerial:
			m.ReplyTo, _ = v.(uint32)
		case fieldSignature:
			m.signature, _ = v.(string)
		}
	}
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
	b := r.take(r.length())
	r.take(1)
	return string(b)
}

// length returns a number of bytes, which an int holds on every machine.
func (r *reader) length() int { return int(min(r.number(), maxMessage)) }

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
	size := r.length()
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
		p := Properties{}
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
