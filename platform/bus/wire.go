package bus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/godbus/dbus/v5"

	"onset/core/control"
)

// headerSize is the part of a message that tells its length.
const headerSize = 16

var errVersion = errors.New("not D-Bus protocol 1")

// frame returns the length in bytes of the message that b begins with, 0 if
// b is too short to tell.
func frame(b []byte) (uint64, error) {
	if len(b) < headerSize {
		return 0, nil
	}
	var order binary.ByteOrder = binary.LittleEndian
	switch b[0] {
	case 'l':
	case 'B':
		order = binary.BigEndian
	default:
		return 0, errVersion
	}
	if b[3] != 1 {
		return 0, errVersion
	}
	body, fields := uint64(order.Uint32(b[4:])), uint64(order.Uint32(b[12:]))
	return headerSize + (fields+7)&^7 + body, nil
}

// isMessage tells a message from a line of the handshake.
func isMessage(b []byte) bool {
	return len(b) > 1 && (b[0] == 'l' || b[0] == 'B' && b[1] < 'A')
}

// decode decodes one whole message. The codec panics on some malformed ones.
func decode(b []byte, files []int) (m *dbus.Message, err error) {
	defer func() {
		if p := recover(); p != nil {
			m, err = nil, fmt.Errorf("malformed message: %v", p)
		}
	}()
	m, err = dbus.DecodeMessageWithFDs(bytes.NewReader(b), files)
	if err == nil && m.Serial() == 0 {
		return nil, errors.New("message with serial 0")
	}
	return m, err
}

// outgoing is a message to be encoded.
type outgoing struct {
	kind        dbus.Type
	replyTo     uint32 // serial; replies and errors
	err         string // name; errors
	destination string // empty on a peer connection
	path        control.ObjectPath
	iface       string
	member      string
	signature   string
	body        []any
	wantsReply  bool
}

// encode returns the bytes of a message with that serial. Text that is not
// UTF-8 has no place on the wire: what is not gets replaced.
func (o *outgoing) encode(serial uint32) ([]byte, error) {
	m := dbus.Message{Type: o.kind, Headers: o.headers(), Body: o.body}
	if !o.wantsReply {
		m.Flags = dbus.FlagNoReplyExpected
	}
	var b bytes.Buffer
	err := m.EncodeTo(&b, binary.LittleEndian)
	var format dbus.FormatError
	if errors.As(err, &format) {
		m.Body = clean(o.body)
		b.Reset()
		err = m.EncodeTo(&b, binary.LittleEndian)
	}
	if err != nil {
		return nil, err
	}
	binary.LittleEndian.PutUint32(b.Bytes()[8:], serial)
	return b.Bytes(), nil
}

func (o *outgoing) headers() map[dbus.HeaderField]dbus.Variant {
	h := make(map[dbus.HeaderField]dbus.Variant, 4)
	text := func(f dbus.HeaderField, s string) {
		if s != "" {
			h[f] = dbus.MakeVariant(s)
		}
	}
	text(dbus.FieldErrorName, o.err)
	text(dbus.FieldDestination, o.destination)
	text(dbus.FieldInterface, o.iface)
	text(dbus.FieldMember, o.member)
	if o.path != "" {
		h[dbus.FieldPath] = dbus.MakeVariant(dbus.ObjectPath(o.path))
	}
	if o.replyTo != 0 {
		h[dbus.FieldReplySerial] = dbus.MakeVariant(o.replyTo)
	}
	if o.signature != "" {
		h[dbus.FieldSignature] = dbus.MakeVariant(dbus.ParseSignatureMust(o.signature))
	}
	return h
}

// body turns values of the API into what the codec encodes alike, and
// returns their signature. asVariant wraps them, as Properties.Get wants it.
func body(values []any, asVariant bool) (signature string, out []any, err error) {
	out = make([]any, len(values))
	for i, v := range values {
		t, ok := control.TypeOf(v)
		if !ok {
			return "", nil, fmt.Errorf("value of type %T has no place in the API", v)
		}
		switch p, isList := v.([]control.Property); {
		case asVariant:
			t, v = "v", variant(v)
		case isList:
			v = dictionary(p)
		}
		out[i] = v
		signature += t
	}
	return signature, out, nil
}

func variant(v any) dbus.Variant {
	t, _ := control.TypeOf(v)
	return dbus.MakeVariantWithSignature(v, dbus.ParseSignatureMust(t))
}

// entry is on the wire like an entry of a dictionary; a list of them, unlike
// a map, keeps its order.
type entry struct {
	Key   string
	Value dbus.Variant
}

func dictionary(props []control.Property) []entry {
	d := make([]entry, len(props))
	for i, p := range props {
		d[i] = entry{p.Name, variant(p.Value)}
	}
	return d
}

// clean returns values with texts that the wire can carry.
func clean(values []any) []any {
	out := make([]any, len(values))
	for i, v := range values {
		out[i] = cleanValue(v)
	}
	return out
}

func cleanValue(v any) any {
	switch v := v.(type) {
	case string:
		return cleanText(v)
	case []string:
		return cleanList(v)
	case [][]string:
		out := make([][]string, len(v))
		for i := range v {
			out[i] = cleanList(v[i])
		}
		return out
	case []control.ProcessInfo:
		return v
	case []control.FactInfo:
		out := make([]control.FactInfo, len(v))
		for i, f := range v {
			out[i] = control.FactInfo{Name: cleanText(f.Name), Env: cleanList(f.Env), Owner: cleanText(f.Owner)}
		}
		return out
	case dbus.Variant:
		return dbus.MakeVariantWithSignature(cleanValue(v.Value()), v.Signature())
	case []entry:
		out := make([]entry, len(v))
		for i, e := range v {
			out[i] = entry{e.Key, cleanValue(e.Value).(dbus.Variant)}
		}
		return out
	}
	return v
}

func cleanList(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = cleanText(s)
	}
	return out
}

func cleanText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// text returns a header field that is a string or path; empty without it.
func text(m *dbus.Message, f dbus.HeaderField) string {
	switch v := m.Headers[f].Value().(type) {
	case string:
		return v
	case dbus.ObjectPath:
		return string(v)
	case dbus.Signature:
		return v.String()
	}
	return ""
}

// number returns a header field that is a number; 0 without it.
func number(m *dbus.Message, f dbus.HeaderField) uint32 {
	n, _ := m.Headers[f].Value().(uint32)
	return n
}
