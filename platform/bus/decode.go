package bus

import (
	"strings"

	"onset/core/control"
	"onset/platform/posix"
)

// incoming is a message that came, a request in most cases.
type incoming struct {
	kind                     messageKind
	reply                    replyKind // plainReply or noReply
	serial, replyTo          uint32
	files                    uint32 // descriptors that belong to it
	path, iface, member, err string
	sender, signature        string
	body                     []any // see reader.value
}

// decode decodes a whole message and claims its descriptors.
func (st *stream) decode(b []byte) (m *incoming, files []int, err error) {
	m = &incoming{}
	body, err := m.header(b)
	if err == nil && len(st.files) > 0 {
		files, err = st.claim(m.files)
	}
	if err == nil {
		body.files = files
		err = m.values(&body)
	}
	if err != nil {
		posix.CloseAll(files)
		return nil, nil, err
	}
	return m, files, nil
}

// header takes the header of a message, and returns its body. As D-Bus demands,
// flags and fields of later versions are ignored; a message of a kind of theirs
// becomes a reply to nothing, with its descriptors.
func (m *incoming) header(b []byte) (body reader, err error) {
	if size, err := frame(b); err != nil || size == 0 || size != uint64(len(b)) {
		return body, errMalformed
	}
	order := orderOf(b)
	m.kind, m.serial = messageKind(b[1]), order.Uint32(b[8:])
	if b[2]&noReplyExpected != 0 {
		m.reply = noReply
	}
	end := headerSize + int(order.Uint32(b[12:]))
	r := reader{b: b[:end], at: headerSize, order: order}
	have := uint(0)
	for r.at < end && !r.bad {
		have |= m.field(&r, have)
	}
	switch {
	case r.bad || m.serial == 0 || m.kind == 0:
		return body, errMalformed
	case m.kind > signalMessage:
		*m = incoming{kind: returnMessage, serial: m.serial, files: m.files}
		return body, nil
	case !m.inOrder(have):
		return body, errMalformed
	}
	return reader{b: b[(end+7)&^7:], order: order}, nil
}

// field takes one field of a header, and returns its bit. None may come twice.
func (m *incoming) field(r *reader, have uint) uint {
	r.align(8)
	code, kind := r.octet(), r.signature()
	if code >= len(fieldTypes) {
		r.held(string(kind))
		return 0
	}
	if have&(1<<code) != 0 || len(kind) != 1 || kind[0] != fieldTypes[code] {
		r.bad = true
		return 0
	}
	switch code {
	case fieldPath:
		m.path = r.text()
	case fieldInterface:
		m.iface = r.text()
	case fieldMember:
		m.member = r.text()
	case fieldErrorName:
		m.err = r.text()
	case fieldReplySerial:
		m.replyTo = r.number()
	case fieldDestination:
		r.bytes()
	case fieldSender:
		m.sender = r.text()
	case fieldSignature:
		m.signature = shared(r.signature())
	case fieldFiles:
		m.files = r.number()
	}
	return 1 << code
}

// inOrder reports whether the fields that a message has are as they must be.
func (m *incoming) inOrder(have uint) bool {
	has := func(field uint) bool { return have&(1<<field) != 0 }
	return have&required[m.kind] == required[m.kind] &&
		(!has(fieldPath) || validPath(m.path)) && (!has(fieldInterface) || validName(m.iface, true)) &&
		(!has(fieldMember) || validName(m.member, false)) && (!has(fieldErrorName) || validName(m.err, true))
}

// values takes the body.
func (m *incoming) values(r *reader) error {
	m.body = make([]any, 0, 4)
	for s := m.signature; s != ""; {
		n := typeSize(s)
		if n == 0 || r.bad {
			return errMalformed
		}
		m.body = append(m.body, r.value(s[:n]))
		s = s[n:]
	}
	if r.bad || r.at != len(r.b) {
		return errMalformed
	}
	return nil
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
