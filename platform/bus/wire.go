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
