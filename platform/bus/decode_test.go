package bus

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"onset/core/control"
)

// someFiles stand for descriptors that came with a message.
var someFiles = []int{7, 8}

// samples are requests with all kinds of arguments, and what else comes.
func samples(t testing.TB) (all []string) {
	variant := dbus.MakeVariant
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		all = append(all, in(t, order, 9, "Get", "a", []string{"b", ""}, uint32(7), true, variant("c"), variant(variant(int16(-1))),
			map[string]dbus.Variant{"UnixUserID": variant(uint32(1)), "x": variant([]byte{1, 2}), "y": variant(map[uint16]float64{1: 2})},
			byte(1), int16(2), uint16(3), int32(4), int64(5), uint64(6), 7.5, dbus.ObjectPath("/a"), dbus.SignatureOf("a"),
			struct {
				A byte
				B []struct{ C, D string }
			}{1, []struct{ C, D string }{{"e", "f"}}}, map[byte][]uint64{1: {2}}, [][]int16{{1}, {}}, []dbus.Variant{variant("z")}))
	}
	for _, args := range [][]any{{}, {"a"}, {""}, {[]string{}}, {[]string{"A=1"}}, {true}, {dbus.UnixFD(0)},
		{"net-device-up", []string{"IFACE=eth0", "ADDRFAM=inet", ""}, true, dbus.UnixFD(1)},
		{[]string{"job", "instance"}, []string{"A=1", strings.Repeat("x", 300)}, false},
		{[]string{"job"}, "A=1", true}} {
		all = append(all, message(t, 7, "EmitEvent", args...))
	}
	return all
}

// codec decodes a message by godbus, which panics on some.
func codec(b []byte, files []int) (m *dbus.Message, err error) {
	defer func() {
		if p := recover(); p != nil {
			m, err = nil, fmt.Errorf("panic: %v", p)
		}
	}()
	return dbus.DecodeMessageWithFDs(bytes.NewReader(b), files)
}

// field returns a field of a header, nil without it.
func field[T any](m *dbus.Message, f dbus.HeaderField) (v T) {
	v, _ = m.Headers[f].Value().(T)
	return v
}

// expected is a message that godbus decoded as this package has it.
func expected(m *dbus.Message) *incoming {
	in := &incoming{kind: messageKind(m.Type), serial: m.Serial(), replyTo: field[uint32](m, dbus.FieldReplySerial),
		files: field[uint32](m, dbus.FieldUnixFDs), path: string(field[dbus.ObjectPath](m, dbus.FieldPath)),
		iface: field[string](m, dbus.FieldInterface), member: field[string](m, dbus.FieldMember),
		err: field[string](m, dbus.FieldErrorName), sender: field[string](m, dbus.FieldSender),
		signature: field[dbus.Signature](m, dbus.FieldSignature).String(), body: []any{}}
	if m.Flags&dbus.FlagNoReplyExpected != 0 {
		in.reply = noReply
	}
	for _, v := range m.Body {
		in.body = append(in.body, plain(v))
	}
	return in
}

// plain is a value that godbus decoded as reader.value has it.
func plain(v any) any {
	switch v := v.(type) {
	case string, bool, uint32, []string:
		return v
	case dbus.UnixFD:
		return int(v)
	case dbus.Variant:
		if _, ok := v.Value().(dbus.Variant); ok {
			return nil
		}
		return plain(v.Value())
	case map[string]dbus.Variant:
		m := map[string]any{}
		for k, v := range v {
			m[k] = plain(v)
		}
		return m
	}
	return nil
}

// same holds the decoder to godbus: what both take has the same values. It
// returns why one of them refuses the message.
func same(t testing.TB, b []byte) (ours, theirs error) {
	m := &incoming{}
	r, ours := m.header(b)
	if ours == nil {
		r.files = someFiles
		ours = m.values(&r)
	}
	if ours != nil {
		return ours, nil // godbus goes round without end for some of them
	}
	d, theirs := codec(b, someFiles)
	if theirs == nil {
		if want := expected(d); !reflect.DeepEqual(m, want) {
			t.Fatalf("%q:\ngot  %#v\nwant %#v", b, m, want)
		}
	}
	return nil, theirs
}

func TestDecodesAsAnotherCodec(t *testing.T) {
	for _, s := range samples(t) {
		if ours, theirs := same(t, []byte(s)); ours != nil || theirs != nil {
			t.Errorf("%q: ours %v, godbus %v", s, ours, theirs)
		}
		taken := 0
		for i := range s {
			for _, c := range []byte{0, 1, 2, 3, 4, 8, 'a', 's', 'g', 'v', '(', '{', '.', '/', '1', 255, s[i] + 1, s[i] - 1} {
				b := []byte(s)
				b[i] = c
				if ours, theirs := same(t, b); ours == nil && theirs == nil {
					taken++
				}
				if ours, _ := same(t, b[:i]); ours == nil {
					t.Errorf("%d of %d bytes are taken: %q", i, len(b), b)
				}
			}
		}
		if taken == 0 {
			t.Errorf("no variation is taken: %q", s)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range samples(f) {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) { same(t, b) })
}

// What is sent is what the codec reads of it.
func TestEncoding(t *testing.T) {
	variant := dbus.MakeVariant
	tests := []struct {
		signature string
		in, want  any
	}{
		{"s", "", ""},
		{"s", "a\x00\xffb", "a\uFFFD\uFFFDb"},
		{"i", int32(-1), int32(-1)},
		{"u", uint32(1) << 31, uint32(1) << 31},
		{"b", true, true},
		{"o", control.ObjectPath("/a"), dbus.ObjectPath("/a")},
		{"as", []string{}, []string{}},
		{"as", []string{"a", "", "abc\xff"}, []string{"a", "", "abc\uFFFD"}},
		{"aas", [][]string{{"a", "b"}, {}, {"abcd"}}, [][]string{{"a", "b"}, {}, {"abcd"}}},
		{"ao", []control.ObjectPath{"/", "/a/b"}, []dbus.ObjectPath{"/", "/a/b"}},
		{"a(si)", []control.ProcessInfo{}, [][]any{}},
		{"a(si)", []control.ProcessInfo{{Name: "main", PID: 7}, {Name: "x", PID: 8}}, [][]any{{"main", int32(7)}, {"x", int32(8)}}},
		{"a(sass)", []control.FactInfo{{Name: "f", Env: []string{"A=1", "B"}, Owner: "o"}, {}},
			[][]any{{"f", []string{"A=1", "B"}, "o"}, {"", []string{}, ""}}},
		{"a{ss}", [][2]string{{"a", "b"}, {"c", ""}}, map[string]string{"a": "b", "c": ""}},
		{"a{sv}", []control.Property{{Name: "a", Value: "b"}, {Name: "list", Value: []string{"c"}}},
			map[string]dbus.Variant{"a": variant("b"), "list": variant([]string{"c"})}},
	}
	for _, tt := range tests {
		for shift := range 3 { // places of the value that are aligned in different ways
			before := strings.Repeat("x", shift)
			o := outgoing{kind: signalMessage, path: "/a", iface: "b.c", member: "D", destination: ":1.1", replyTo: 9, body: []any{before, tt.in}}
			b, err := o.encode(5)
			if err != nil {
				t.Fatal(err)
			}
			m, err := codec(b, nil)
			if err != nil {
				t.Fatalf("%#v: %v in %q", tt.in, err, b)
			}
			if got := field[dbus.Signature](m, dbus.FieldSignature).String(); got != "s"+tt.signature || !reflect.DeepEqual(m.Body, []any{before, tt.want}) {
				t.Errorf("got %s %#v, want %s %#v", got, m.Body, tt.signature, tt.want)
			}
			if size, err := frame(b); err != nil || size != uint64(len(b)) || m.Serial() != 5 {
				t.Errorf("%d bytes, want %d, %v", len(b), size, err)
			}
			o.variant = true
			if b, err = o.encode(5); err == nil {
				m, err = codec(b, nil)
			}
			if err != nil || field[dbus.Signature](m, dbus.FieldSignature).String() != "vv" || !reflect.DeepEqual(m.Body[1].(dbus.Variant).Value(), tt.want) {
				t.Errorf("as a variant %#v: got %v, %v", tt.in, m, err)
			}
		}
	}
	o := outgoing{kind: returnMessage, replyTo: 1, body: []any{[]control.Property{{Name: "a", Value: 1}}}}
	if _, err := o.encode(1); err == nil {
		t.Error("no error for a type without a place in the API")
	}
	if b, err := (&outgoing{kind: returnMessage, replyTo: 1<<32 - 1}).encode(1); err != nil || binary.LittleEndian.Uint32(b[4:]) != 0 {
		t.Errorf("%q, %v", b, err)
	}
}
