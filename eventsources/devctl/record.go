package devctl

import (
	"strings"

	"onset/eventsources"
)

// record is what the kernel tells in one read (devctl(4)).
type record struct {
	// kind is '+' for a device that was attached, '-' for one that will go, '?'
	// for one that no driver wants, '!' for all else.
	kind   byte
	device string // of '+' and '-'
	parent string // of '+', '-' and '?'
	// Of '!'.
	system, subsystem, what string
	vars                    []variable // what else it says
}

type variable struct{ key, value string }

// get returns the value of a variable; empty if it is not there.
func (r *record) get(key string) string {
	for _, v := range r.vars {
		if v.key == key {
			return v.value
		}
	}
	return ""
}

// parseRecord reads a record. It is false for what is none.
//
//	+em0 at slot=3 function=0 vendor=0x8086 … on pci0
//	? at slot=4 … on pci0
//	!system=IFNET subsystem=em0 type=LINK_UP …
func parseRecord(line string) (r record, ok bool) {
	line = strings.TrimRight(line, "\n\x00")
	if line == "" {
		return r, false
	}
	r.kind, line = line[0], line[1:]
	switch r.kind {
	case '!':
		r.vars = parseVars(line)
		for _, field := range []struct {
			key  string
			into *string
		}{{"system", &r.system}, {"subsystem", &r.subsystem}, {"type", &r.what}} {
			if len(r.vars) == 0 || r.vars[0].key != field.key {
				return r, false
			}
			*field.into, r.vars = r.vars[0].value, r.vars[1:]
		}
		return r, true
	case '+', '-', '?':
		r.device, line, ok = strings.Cut(line, "at ")
		r.device = strings.TrimRight(r.device, " ")
		if i := strings.LastIndex(line, " on "); i >= 0 { // else the kernel had no room for it
			line, r.parent = line[:i], line[i+len(" on "):]
		}
		r.vars = parseVars(line)
		return r, ok && (r.device == "") == (r.kind == '?')
	}
	return r, false
}

// parseVars reads KEY=VALUE and KEY="VALUE" with blanks between. In quotes a
// backslash stands for what follows it. A word without a key goes on with the
// value before it.
func parseVars(s string) (vars []variable) {
	for s = strings.TrimLeft(s, " \t"); s != ""; s = strings.TrimLeft(s, " \t") {
		var v variable
		end := strings.IndexAny(s, " \t=")
		switch {
		case end < 0 || s[end] != '=':
			if end < 0 {
				end = len(s)
			}
			if len(vars) > 0 {
				vars[len(vars)-1].value += " " + s[:end]
			}
			s = s[end:]
			continue
		case strings.HasPrefix(s[end+1:], `"`):
			v.key = s[:end]
			v.value, s = unquote(s[end+2:])
		default:
			v.key = s[:end]
			s = s[end+1:]
			if end = strings.IndexAny(s, " \t"); end < 0 {
				end = len(s)
			}
			v.value, s = s[:end], s[end:]
		}
		if v.key != "" {
			vars = append(vars, v)
		}
	}
	return vars
}

// unquote reads up to the quote that ends a value, or to the end.
func unquote(s string) (value, rest string) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:]
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), ""
}

// env returns the variables as those of an event. Their names have a prefix of
// their own: a device that lies may so not set PATH in a job.
func (r *record) env() (env []string) {
	for _, v := range r.vars {
		env = append(env, "DEV_"+envName(v.key)+"="+eventsources.Printable(v.value))
	}
	return env
}

func envName(key string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_':
			return r
		}
		return '_'
	}, key)
}
