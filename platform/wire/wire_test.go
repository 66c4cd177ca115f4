package wire

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
		[]dbus.ObjectPath{"/b"}, map[string]dbus.Variant{"k": dbus.MakeVariant([]string{})}, []struct {
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
	want := []any{"text", control.ObjectPath("/a"), int32(-7), uint32(8), true,
		[]string{"a", ""}, [][]string{{"b"}, {}}, []control.ObjectPath{"/b"}, Properties{"k": []string{}},
		[][]any{{"main", int32(7)}}}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		m, err := Read(bytes.NewReader(foreign(t, order)))
		if err != nil || m.Kind != ReturnMessage || m.ReplyTo != 5 {
			t.Errorf("%v: got %+v, %v", order, m, err)
			continue
		}
		if body, err := m.Body(); err != nil || !reflect.DeepEqual(body, want) {
			t.Errorf("%v: got %+v, %v", order, body, err)
		}
	}
}

func TestAnotherCodecReadsCalls(t *testing.T) {
	c := Call{"com.example", "/a", control.EmitEventWithFile.Spec(), []any{"name", []string{"A=1", "B="}, true, 0}}
	b, err := c.Encode(7)
	if err != nil {
		t.Fatal(err)
	}
	SetSerial(b, 8)
	m, err := dbus.DecodeMessageWithFDs(bytes.NewReader(b), []int{5})
	if err != nil || m.IsValid() != nil || m.Serial() != 8 {
		t.Fatalf("%v, %v", m, err)
	}
	if want := []any{"name", []string{"A=1", "B="}, true, dbus.UnixFDIndex(0)}; !reflect.DeepEqual(m.Body, want) && !reflect.DeepEqual(m.Body[:3], want[:3]) {
		t.Errorf("%#v", m.Body)
	}
	if n := m.Headers[dbus.FieldUnixFDs].Value(); n != uint32(1) {
		t.Errorf("%v descriptors", n)
	}
	c.Args[0] = "\xff"
	if _, err := c.Encode(9); err != ErrText {
		t.Errorf("not UTF-8: %v", err)
	}
}

// No change of a byte makes the reader fall, nor does an early end.
func TestStandsDamage(t *testing.T) {
	whole := foreign(t, binary.LittleEndian)
	for i := range whole {
		if _, err := Read(bytes.NewReader(whole[:i])); err == nil {
			t.Errorf("%d bytes are a message", i)
		}
		for _, v := range []byte{0, 1, 'a', '(', 'v', 0x7f, 0xff} {
			b := bytes.Clone(whole)
			b[i] = v
			if m, err := Read(bytes.NewReader(b)); err == nil {
				m.Body()
			}
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
