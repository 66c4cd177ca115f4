package bus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/godbus/dbus/v5"
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
	if b[0] != 'l' && b[0] != 'B' || b[3] != 1 {
		return 0, errVersion
	}
	order := orderOf(b)
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

// The codec knows no more than the D-Bus of its time, which demands that what is
// added later is ignored: types of messages, flags and header fields.
const (
	lastType  = signalMessage
	lastField = dbus.FieldUnixFDs
	allFlags  = dbus.FlagNoReplyExpected | dbus.FlagNoAutoStart | dbus.FlagAllowInteractiveAuthorization
)

// sift returns a whole message without what is to be ignored. One of an unknown
// type becomes a reply to nothing, with its descriptors.
func sift(b []byte) ([]byte, error) {
	order := orderOf(b)
	known, err := fields(b)
	if err != nil {
		return nil, err
	}
	m := dbus.Message{Type: dbus.Type(b[1]), Flags: dbus.Flags(b[2]) & allFlags, Headers: known}
	body := b[(headerSize+order.Uint32(b[12:])+7)&^7:]
	if m.Type > lastType {
		m.Type, body = returnMessage, nil
		m.Headers = map[dbus.HeaderField]dbus.Variant{dbus.FieldReplySerial: dbus.MakeVariant(uint32(0))}
		if files, ok := known[dbus.FieldUnixFDs]; ok {
			m.Headers[dbus.FieldUnixFDs] = files
		}
	}
	return assemble(&m, order, order.Uint32(b[8:]), body)
}

// fields returns those header fields of a whole message that are known. The
// codec takes whole messages only, so it gets them as the body of another.
func fields(b []byte) (map[dbus.HeaderField]dbus.Variant, error) {
	order := orderOf(b)
	end := headerSize + order.Uint32(b[12:])
	list := append(append([]byte(nil), b[12:headerSize]...), 0, 0, 0, 0) // structures begin at eight bytes
	outer := dbus.Message{Type: dbus.TypeMethodCall, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath("/")), dbus.FieldMember: dbus.MakeVariant("m"),
		dbus.FieldSignature: dbus.MakeVariant(dbus.ParseSignatureMust("a(yv)"))}}
	whole, err := assemble(&outer, order, 1, append(list, b[headerSize:end]...))
	if err != nil {
		return nil, err
	}
	m, err := decode(whole, nil)
	if err != nil {
		return nil, err
	}
	known := map[dbus.HeaderField]dbus.Variant{}
	all, _ := m.Body[0].([][]any)
	for _, f := range all {
		if code := dbus.HeaderField(f[0].(byte)); code <= lastField {
			known[code] = f[1].(dbus.Variant)
		}
	}
	return known, nil
}

// assemble encodes a header, and puts a body that is encoded behind it.
func assemble(m *dbus.Message, order binary.ByteOrder, serial uint32, body []byte) ([]byte, error) {
	var whole bytes.Buffer
	if err := m.EncodeTo(&whole, order); err != nil {
		return nil, err
	}
	order.PutUint32(whole.Bytes()[4:], uint32(len(body)))
	order.PutUint32(whole.Bytes()[8:], serial)
	whole.Write(body)
	return whole.Bytes(), nil
}

// orderOf returns the byte order of a message whose frame is known.
func orderOf(b []byte) binary.ByteOrder {
	if b[0] == 'B' {
		return binary.BigEndian
	}
	return binary.LittleEndian
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
