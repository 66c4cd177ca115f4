package control

import "strings"

// Root is the path of the manager, below which all other objects are.
const Root = "/com/ubuntu/Upstart"

// Upstart is the version whose tools and API this has, in the words that
// programs look for in the text of --version.
const Upstart = "upstart 1.13.2"

const (
	jobs     = Root + "/jobs"
	hexDigit = "0123456789abcdef"
)

// Path returns the object path (UPSTART §6.2, DECISIONS 11).
func (o Object) Path() ObjectPath {
	if o.Kind == Manager {
		return Root
	}
	b := make([]byte, 0, len(jobs)+3*(3+len(o.Session)+len(o.Class)+len(o.Instance)))
	b = append(b, jobs...)
	if o.Session != "" {
		b = appendPart(b, o.Session)
	}
	b = appendPart(b, o.Class)
	if o.Kind == Instance {
		b = appendPart(b, o.Instance)
	}
	return ObjectPath(b)
}

// ParsePath returns the object a path names. The form of a path alone tells
// a chroot session's class from an instance: a session is an absolute
// directory, and a job name never starts with a slash.
func ParsePath(path string) (Object, bool) {
	if path == Root {
		return Object{}, true
	}
	rest, ok := strings.CutPrefix(path, jobs+"/")
	if !ok {
		return Object{}, false
	}
	var o Object
	parts := strings.Split(rest, "/")
	for i, p := range parts {
		if parts[i], ok = unescape(p); !ok {
			return Object{}, false
		}
	}
	if strings.HasPrefix(parts[0], "/") {
		o.Session, parts = parts[0], parts[1:]
	}
	switch len(parts) {
	case 1:
		o.Kind, o.Class = Class, parts[0]
	case 2:
		o.Kind, o.Class, o.Instance = Instance, parts[0], parts[1]
	}
	return o, o.Class != "" && len(parts) <= 2
}

// Escape returns one component of an object path for a name.
func Escape(name string) string { return string(appendPart(nil, name)[1:]) }

// appendPart appends a slash and the escaped name.
func appendPart(b []byte, name string) []byte {
	b = append(b, '/')
	if name == "" {
		return append(b, '_')
	}
	for i := range len(name) {
		if c := name[i]; alnum(c) {
			b = append(b, c)
		} else {
			b = append(b, '_', hexDigit[c>>4], hexDigit[c&0xf])
		}
	}
	return b
}

// unescape undoes Escape, and accepts nothing that Escape does not write:
// an object has exactly one path.
func unescape(part string) (string, bool) {
	if part == "_" {
		return "", true
	}
	b := make([]byte, 0, len(part))
	for i := 0; i < len(part); i++ {
		c := part[i]
		if c == '_' {
			if i+2 >= len(part) {
				return "", false
			}
			hi, lo := strings.IndexByte(hexDigit, part[i+1]), strings.IndexByte(hexDigit, part[i+2])
			if hi < 0 || lo < 0 || alnum(byte(hi<<4|lo)) {
				return "", false
			}
			c = byte(hi<<4 | lo)
			i += 2
		} else if !alnum(c) {
			return "", false
		}
		b = append(b, c)
	}
	return string(b), len(b) > 0
}

func alnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
