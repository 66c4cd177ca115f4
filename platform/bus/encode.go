package bus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"onset/core/control"
)

// maxArray is the most bytes that an array can have.
const maxArray = 1 << 26

var errArray = errors.New("more than a message can hold")

// outgoing is a message to be encoded.
type outgoing struct {
	kind        messageKind
	replyTo     uint32 // serial; replies and errors
	err         string // name; errors
	destination string // empty on a peer connection
	path        control.ObjectPath
	iface       string
	member      string
	body        []any // of types that control.TypeOf knows, bool, uint32, [][2]string
	variant     bool  // the values of body are to be variants
	wantsReply  bool
}

// encoder writes a message in little endian. Places count from its start.
type encoder struct {
	b   []byte
	err error
}

// encode returns the bytes of a message with that serial. Text that is not
// UTF-8 has no place on the wire: what is not gets replaced.
func (o *outgoing) encode(serial uint32) ([]byte, error) {
	flags := byte(noReplyExpected)
	if o.wantsReply {
		flags = 0
	}
	var types [32]byte
	signature, err := o.signature(types[:0])
	if err != nil {
		return nil, err
	}
	e := encoder{b: make([]byte, 0, 192)}
	e.b = append(e.b, 'l', byte(o.kind), flags, 1, 0, 0, 0, 0)
	e.number(serial)
	e.number(0)
	e.field(fieldPath, 'o', string(o.path))
	e.field(fieldInterface, 's', o.iface)
	e.field(fieldMember, 's', o.member)
	e.field(fieldErrorName, 's', o.err)
	if o.replyTo != 0 {
		e.align(8)
		e.b = append(e.b, fieldReplySerial, 1, 'u', 0)
		e.number(o.replyTo)
	}
	e.field(fieldDestination, 's', o.destination)
	if len(signature) > 0 {
		e.align(8)
		e.b = append(e.b, fieldSignature, 1, 'g', 0)
		e.signature(string(signature))
	}
	binary.LittleEndian.PutUint32(e.b[12:], uint32(len(e.b)-headerSize))
	e.align(8)
	start := len(e.b)
	for _, v := range o.body {
		if o.variant {
			e.variant(v)
		} else {
			e.value(v)
		}
	}
	binary.LittleEndian.PutUint32(e.b[4:], uint32(len(e.b)-start))
	if len(e.b)-start > 2*maxArray {
		return nil, errArray
	}
	return e.b, e.err
}

// signature appends the signature of the body.
func (o *outgoing) signature(to []byte) ([]byte, error) {
	for _, v := range o.body {
		t, ok := typeOf(v)
		if !ok {
			return nil, fmt.Errorf("value of type %T has no place in the API", v)
		}
		if o.variant {
			t = "v"
		}
		to = append(to, t...)
	}
	return to, nil
}

// typeOf returns the signature of a value.
func typeOf(v any) (string, bool) {
	switch v.(type) {
	case bool:
		return "b", true
	case uint32:
		return "u", true
	case [][2]string:
		return "a{ss}", true
	}
	return control.TypeOf(v)
}

// align fills up to a multiple of n.
func (e *encoder) align(n int) {
	for len(e.b)%n != 0 {
		e.b = append(e.b, 0)
	}
}

func (e *encoder) number(n uint32) {
	e.align(4)
	e.b = binary.LittleEndian.AppendUint32(e.b, n)
}

// field adds a header field that is text; none that is empty.
func (e *encoder) field(f, kind byte, text string) {
	if text != "" {
		e.align(8)
		e.b = append(e.b, f, 1, kind, 0)
		e.text(text)
	}
}

func (e *encoder) text(s string) {
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	}
	e.number(uint32(len(s)))
	e.b = append(append(e.b, s...), 0)
}

func (e *encoder) signature(s string) {
	e.b = append(append(append(e.b, byte(len(s))), s...), 0)
}

func (e *encoder) variant(v any) {
	t, ok := typeOf(v)
	if !ok {
		e.err = fmt.Errorf("value of type %T has no place in the API", v)
	}
	e.signature(t)
	e.value(v)
}

// array writes an array of n elements that begin at multiples of align.
func (e *encoder) array(n, align int, element func(i int)) {
	e.number(0)
	at := len(e.b)
	e.align(align)
	start := len(e.b)
	for i := range n {
		e.align(align)
		element(i)
	}
	size := len(e.b) - start
	if size > maxArray {
		e.err = errArray
	}
	binary.LittleEndian.PutUint32(e.b[at-4:], uint32(size))
}

// texts writes a list of texts.
func texts[T ~string](e *encoder, list []T) {
	e.array(len(list), 4, func(i int) { e.text(string(list[i])) })
}

// value writes a value of a type that typeOf knows.
func (e *encoder) value(v any) {
	switch v := v.(type) {
	case string:
		e.text(v)
	case control.ObjectPath:
		e.text(string(v))
	case int32:
		e.number(uint32(v))
	case uint32:
		e.number(v)
	case bool:
		var n uint32
		if v {
			n = 1
		}
		e.number(n)
	case []string:
		texts(e, v)
	case []control.ObjectPath:
		texts(e, v)
	case [][]string:
		e.array(len(v), 4, func(i int) { texts(e, v[i]) })
	case [][2]string:
		e.array(len(v), 8, func(i int) { e.text(v[i][0]); e.text(v[i][1]) })
	case []control.ProcessInfo:
		e.array(len(v), 8, func(i int) { e.text(v[i].Name); e.number(uint32(v[i].PID)) })
	case []control.FactInfo:
		e.array(len(v), 8, func(i int) { e.text(v[i].Name); texts(e, v[i].Env); e.text(v[i].Owner) })
	case []control.Property:
		e.array(len(v), 8, func(i int) { e.text(v[i].Name); e.variant(v[i].Value) })
	}
}
