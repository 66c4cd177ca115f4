package bus

import (
	"encoding/binary"
	"strings"

	"github.com/godbus/dbus/v5"

	"onset/core/control"
	"onset/platform/posix"
)

// incoming is a message that came, a request in most cases.
type incoming struct {
	kind                     dbus.Type
	reply                    replyKind // plainReply or noReply
	serial, replyTo          uint32
	files                    uint32 // descriptors that belong to it
	path, iface, member, err string
	sender, signature        string
	body                     []any // see arguments
}

// decode decodes a message and claims its descriptors. What is not a plain
// request, or not in order, is left to the codec.
func (st *stream) decode(b []byte) (m *incoming, files []int, err error) {
	m = &incoming{}
	body, plain := m.plainHeader(b)
	if !plain {
		if b, err = sift(b); err != nil {
			return nil, nil, err
		}
	}
	if !plain && len(st.files) > 0 { // the header comes before the body that needs them
		d, err := decode(b, nil)
		if err != nil {
			return nil, nil, err
		}
		m.files = number(d, dbus.FieldUnixFDs)
	}
	if len(st.files) > 0 {
		if files, err = st.claim(m.files); err != nil {
			return nil, nil, err
		}
	}
	if plain && m.plainBody(body, files) {
		return m, files, nil
	}
	d, err := decode(b, files)
	if err != nil {
		posix.CloseAll(files)
		return nil, nil, err
	}
	return newIncoming(d), files, nil
}

func newIncoming(d *dbus.Message) *incoming {
	m := &incoming{kind: d.Type, serial: d.Serial(), replyTo: number(d, dbus.FieldReplySerial),
		files: number(d, dbus.FieldUnixFDs), path: text(d, dbus.FieldPath), iface: text(d, dbus.FieldInterface),
		member: text(d, dbus.FieldMember), err: text(d, dbus.FieldErrorName), sender: text(d, dbus.FieldSender),
		signature: text(d, dbus.FieldSignature), body: arguments(d.Body)}
	if d.Flags&dbus.FlagNoReplyExpected != 0 {
		m.reply = noReply
	}
	return m
}

// arguments converts what the codec decoded into what control.NewCall takes.
// Strings are copied: the codec's are parts of a larger buffer that they would
// keep alive.
func arguments(body []any) []any {
	args := make([]any, len(body))
	for i, v := range body {
		switch v := v.(type) {
		case string:
			args[i] = strings.Clone(v)
		case []string:
			for k := range v {
				v[k] = strings.Clone(v[k])
			}
			args[i] = v
		case dbus.UnixFD:
			args[i] = int(v)
		case dbus.Variant:
			args[i] = v.Value()
			if s, ok := args[i].(string); ok {
				args[i] = strings.Clone(s)
			}
		default:
			args[i] = v
		}
	}
	return args
}

// plainHeader takes the header of a request in little endian, and returns its
// body. It is false for any message that it is not sure of: those it takes
// are as the codec takes them, which costs twenty times as much.
func (m *incoming) plainHeader(b []byte) (body []byte, ok bool) {
	if len(b) < headerSize || b[0] != 'l' || b[1] != byte(dbus.TypeMethodCall) || b[2] > 7 {
		return nil, false
	}
	m.kind, m.serial = dbus.TypeMethodCall, binary.LittleEndian.Uint32(b[8:])
	if b[2]&byte(dbus.FlagNoReplyExpected) != 0 {
		m.reply = noReply
	}
	end := headerSize + int(binary.LittleEndian.Uint32(b[12:]))
	at := (end + 7) &^ 7
	if at > len(b) || len(b)-at != int(binary.LittleEndian.Uint32(b[4:])) {
		return nil, false
	}
	r := plain{b: b[:end], at: headerSize}
	for have := uint(0); r.at < end; {
		r.align(8)
		head := r.take(4)
		if head == nil || head[1] != 1 || head[3] != 0 || have&(1<<head[0]) != 0 || !m.plainField(&r, head[0], head[2]) {
			return nil, false
		}
		have |= 1 << head[0]
	}
	return b[at:], r.at == end && m.serial != 0 && validPath(m.path) && validName(m.member, false) &&
		(m.iface == "" || validName(m.iface, true))
}

// plainField takes one field of a header.
func (m *incoming) plainField(r *plain, field, kind byte) bool {
	var to *string
	switch (dbus.HeaderField)(field) {
	case dbus.FieldPath:
		return kind == 'o' && r.text(&m.path)
	case dbus.FieldInterface:
		to = &m.iface
	case dbus.FieldMember:
		to = &m.member
	case dbus.FieldSender:
		to = &m.sender
	case dbus.FieldDestination:
		to = new(string)
	case dbus.FieldSignature:
		n := r.take(1)
		if kind != 'g' || n == nil {
			return false
		}
		s := r.take(int(n[0]) + 1)
		if s == nil || s[n[0]] != 0 {
			return false
		}
		m.signature = shared(s[:n[0]])
		return true
	case dbus.FieldUnixFDs:
		return kind == 'u' && r.number(&m.files)
	default:
		return false
	}
	return kind == 's' && r.text(to)
}

// plainBody takes the values of a request that has no others than texts,
// lists of them, truths and descriptors.
func (m *incoming) plainBody(body []byte, files []int) bool {
	r := plain{b: body}
	m.body = make([]any, 0, 4)
	for s := m.signature; s != ""; s = s[1:] {
		var v any
		var n uint32
		var text string
		ok := false
		switch {
		case s[0] == 's':
			ok = r.text(&text)
			v = text
		case s[0] == 'b':
			ok = r.number(&n) && n <= 1
			v = n == 1
		case s[0] == 'h':
			if ok = r.number(&n) && uint64(n) < uint64(len(files)); ok {
				v = files[n]
			}
		case strings.HasPrefix(s, "as"):
			v, ok = r.list()
			s = s[1:]
		}
		if !ok {
			return false
		}
		m.body = append(m.body, v)
	}
	return r.at == len(body)
}

// plain reads values in little endian. Once it has read beyond the end, at is
// there too.
type plain struct {
	b  []byte
	at int
}

func (r *plain) align(n int) { r.at = (r.at + n - 1) &^ (n - 1) }

// take returns the next n bytes; nil if there are none.
func (r *plain) take(n int) []byte {
	if n > len(r.b)-r.at {
		return nil
	}
	r.at += n
	return r.b[r.at-n : r.at]
}

func (r *plain) number(n *uint32) bool {
	r.align(4)
	b := r.take(4)
	if b != nil {
		*n = binary.LittleEndian.Uint32(b)
	}
	return b != nil
}

// bytes returns a text, which ends with a NUL.
func (r *plain) bytes() []byte {
	var n uint32
	if !r.number(&n) || uint64(n) >= uint64(len(r.b)-r.at) || r.b[r.at+int(n)] != 0 {
		return nil
	}
	r.at += int(n) + 1
	return r.b[r.at-int(n)-1 : r.at-1]
}

func (r *plain) text(s *string) bool {
	b := r.bytes()
	*s = shared(b)
	return b != nil
}

// list returns a list of texts, which share their memory.
func (r *plain) list() ([]string, bool) {
	var size uint32
	if !r.number(&size) || uint64(size) > uint64(len(r.b)-r.at) {
		return nil, false
	}
	items := plain{b: r.b[r.at : r.at+int(size)]}
	all := string(items.b)
	r.at += int(size)
	list := make([]string, 0, min(size/16+1, 64))
	for items.at < len(items.b) {
		b := items.bytes()
		if b == nil {
			return nil, false
		}
		list = append(list, all[items.at-1-len(b):items.at-1])
	}
	return list, true
}

// words are texts that come often.
var words = func() map[string]string {
	w := map[string]string{}
	for m := range control.Methods {
		for _, s := range [...]string{control.Root, control.Methods[m].Interface, control.Methods[m].Name, signatures[m]} {
			w[s] = s
		}
	}
	return w
}()

// shared returns bytes as a string, without a copy where it is a word.
func shared(b []byte) string {
	if s, ok := words[string(b)]; ok {
		return s
	}
	return string(b)
}

// validPath reports whether that is a path as D-Bus has them.
func validPath(s string) bool {
	for i := range len(s) {
		if s[i] == '/' && i+1 < len(s) && s[i+1] == '/' || s[i] != '/' && !nameChar(s[i]) {
			return false
		}
	}
	return s != "" && s[0] == '/' && (s == "/" || s[len(s)-1] != '/')
}

// validName reports whether that is the name of a member, or of an interface,
// which has dots.
func validName(s string, dots bool) bool {
	if s == "" || len(s) > 255 || s[len(s)-1] == '.' {
		return false
	}
	for i := range len(s) {
		first := i == 0 || s[i-1] == '.'
		switch c := s[i]; {
		case c == '.' && (first || !dots), c != '.' && !nameChar(c), first && c >= '0' && c <= '9':
			return false
		}
	}
	return !dots || strings.IndexByte(s, '.') > 0
}

func nameChar(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '_'
}
