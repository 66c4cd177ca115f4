package bus

import (
	"encoding/binary"
	"reflect"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"onset/core/control"
)

// someFiles stand for descriptors that came with a message.
var someFiles = []int{7, 8}

// samples are requests with all kinds of arguments.
func samples(t testing.TB) (all []string) {
	for _, args := range [][]any{{}, {"a"}, {""}, {[]string{}}, {[]string{"A=1"}}, {true}, {dbus.UnixFD(0)},
		{"net-device-up", []string{"IFACE=eth0", "ADDRFAM=inet", ""}, true, dbus.UnixFD(1)},
		{[]string{"job", "instance"}, []string{"A=1", strings.Repeat("x", 300)}, false},
		{[]string{"job"}, "A=1", true}} {
		all = append(all, message(t, 7, "EmitEvent", args...))
	}
	return all
}

// samePlain holds the decoder of plain requests to the codec: what it takes
// the codec takes too, with the same values.
func samePlain(t testing.TB, b []byte) (taken bool) {
	m := &incoming{}
	body, ok := m.plainHeader(b)
	if !ok || !m.plainBody(body, someFiles) {
		return false
	}
	d, err := decode(b, someFiles)
	if err != nil {
		t.Fatalf("%q: the codec refuses it: %v", b, err)
	}
	if want := newIncoming(d); !reflect.DeepEqual(m, want) {
		t.Fatalf("%q:\ngot  %#v\nwant %#v", b, m, want)
	}
	return true
}

func TestPlainRequestsAreDecodedAsByTheCodec(t *testing.T) {
	for _, s := range samples(t) {
		if !samePlain(t, []byte(s)) {
			t.Errorf("not plain: %q", s)
		}
		taken := 0
		for i := range s {
			for _, c := range []byte{0, 1, 2, 3, 4, 8, 'a', 's', 'g', '.', '/', '1', 255, s[i] + 1, s[i] - 1} {
				b := []byte(s)
				b[i] = c
				if samePlain(t, b) {
					taken++
				}
				samePlain(t, b[:i])
			}
		}
		if taken == 0 {
			t.Errorf("no variation is taken: %q", s)
		}
	}
}

func FuzzPlainRequest(f *testing.F) {
	for _, s := range samples(f) {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) { samePlain(t, b) })
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
			m, err := decode(b, nil)
			if err != nil {
				t.Fatalf("%#v: %v in %q", tt.in, err, b)
			}
			if got := text(m, dbus.FieldSignature); got != "s"+tt.signature || !reflect.DeepEqual(m.Body, []any{before, tt.want}) {
				t.Errorf("got %s %#v, want %s %#v", got, m.Body, tt.signature, tt.want)
			}
			if size, err := frame(b); err != nil || size != uint64(len(b)) || m.Serial() != 5 {
				t.Errorf("%d bytes, want %d, %v", len(b), size, err)
			}
			o.variant = true
			if b, err = o.encode(5); err == nil {
				m, err = decode(b, nil)
			}
			if err != nil || text(m, dbus.FieldSignature) != "vv" || !reflect.DeepEqual(m.Body[1].(dbus.Variant).Value(), tt.want) {
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
