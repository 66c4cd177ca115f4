package bus

import (
	"encoding/binary"
	"errors"
)

// headerSize is the part of a message that tells its length.
const headerSize = 16

// messageKind is what a message is.
type messageKind byte

const (
	callMessage messageKind = 1 + iota
	returnMessage
	errorMessage
	signalMessage
)

// noReplyExpected is the one flag of a message that init heeds.
const noReplyExpected = 1

// Fields of a header.
const (
	fieldPath        = 1
	fieldInterface   = 2
	fieldMember      = 3
	fieldErrorName   = 4
	fieldReplySerial = 5
	fieldDestination = 6
	fieldSender      = 7
	fieldSignature   = 8
	fieldFiles       = 9
)

// fieldTypes are the types of these fields, by number.
const fieldTypes = "\x00osssussgu"

// required are the fields that a message has at least, by kind.
var required = [...]uint{
	callMessage:   1<<fieldPath | 1<<fieldMember,
	returnMessage: 1 << fieldReplySerial,
	errorMessage:  1<<fieldErrorName | 1<<fieldReplySerial,
	signalMessage: 1<<fieldPath | 1<<fieldInterface | 1<<fieldMember,
}

var (
	errVersion   = errors.New("not D-Bus protocol 1")
	errMalformed = errors.New("malformed message")
)

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

// orderOf returns the byte order of a message whose frame is known.
func orderOf(b []byte) binary.ByteOrder {
	if b[0] == 'B' {
		return binary.BigEndian
	}
	return binary.LittleEndian
}
