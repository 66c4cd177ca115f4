package main

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"testing"

	"github.com/godbus/dbus/v5"

	"onset/core/control"
)

// foreign is a reply as another codec makes it, with every type of the API.
func foreign(t testing.TB, order binary.ByteOrder) []byte {
	body := []any{"text", dbus.ObjectPath("/a"), int32(-7), uint32(8), true, []string{"a", ""}, [][]string{{"b"}, {}},
		[]dbus.ObjectPath{"/b"}, table{"k": dbus.MakeVariant([]string{})}, []struct {
			Name string
			PID  int32
		}{{"main", 7}}}
	m := dbus.Message{Type: dbus.TypeMethodReply, Body: body, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldReplySerial: dbus.MakeVariant(uint32(5)), dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(body...))}}
	var b bytes.Buffer
	if err := m.EncodeTo(&b, order); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReadsWhatAnotherCodecWrites(t *testing.T) {
	want := &message{kind: returnMessage, replyTo: 5, body: []any{"text", control.ObjectPath("/a"), int32(-7), uint32(8), true,
		[]string{"a", ""}, [][]string{{"b"}, {}}, []control.ObjectPath{"/b"}, properties{"k": []string{}},
		[][]any{{"main", int32(7)}}}}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		got, err := readMessage(bytes.NewReader(foreign(t, order)))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v: got %+v, %v", order, got, err)
		}
	}
}

// No change of a byte makes the reader fall, nor does an early end.
func TestStandsDamage(t *testing.T) {
	whole := foreign(t, binary.LittleEndian)
	for i := range whole {
		if _, err := readMessage(bytes.NewReader(whole[:i])); err == nil {
			t.Errorf("%d bytes are a message", i)
		}
		for _, v := range []byte{0, 1, 'a', '(', 'v', 0x7f, 0xff} {
			b := bytes.Clone(whole)
			b[i] = v
			readMessage(bytes.NewReader(b))
		}
	}
}

func TestStopsWithoutProgress(t *testing.T) {
	r := reader{b: []byte{8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, order: binary.LittleEndian}
	if r.value("a()"); !r.bad {
		t.Error("an array of nothing is an array")
	}
	r = reader{b: bytes.Repeat([]byte("\x01v\x00"), 1000), order: binary.LittleEndian}
	if r.variant(); !r.bad {
		t.Error("variants nest without end")
	}
}

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{"/a": "/a", "%2fa%20b": "/a b", "": "", "%2": "", "%": "", "%zz": "", "a%2Fb%": ""} {
		if got, err := unescape(in); got != want || (err != nil) != (want == "" && in != "") {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}
