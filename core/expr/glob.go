package expr

import "strings"

// Glob reports whether s matches the pattern as fnmatch(3) without flags in
// the C locale does (UPSTART §1.5.1): bytes, with '/' and leading dots like
// any other. A bracket that does not end is an ordinary '['. The time is
// proportional to the product of the lengths at most, where brackets end.
func Glob(pattern, s string) bool {
	star, mark := -1, 0 // after the last '*', and where its text ends
	p, i := 0, 0
	for i < len(s) || p < len(pattern) {
		if p < len(pattern) {
			if pattern[p] == '*' {
				p++
				star, mark = p, i
				continue
			}
			if i < len(s) {
				if n, ok := matchOne(pattern[p:], s[i]); ok {
					p += n
					i++
					continue
				}
			}
		}
		if star < 0 || mark >= len(s) {
			return false
		}
		mark++
		p, i = star, mark
	}
	return true
}

// matchOne matches one byte with the first element of a pattern, which is
// not a '*', and returns the element's length.
func matchOne(pattern string, c byte) (int, bool) {
	switch pattern[0] {
	case '?':
		return 1, true
	case '[':
		if n, ok := bracket(pattern, c); n > 0 {
			return n, ok
		}
	case '\\':
		return 2, len(pattern) > 1 && pattern[1] == c
	}
	return 1, pattern[0] == c
}

// bracket matches a byte with the bracket expression a pattern begins with.
// Its length is zero when the bracket does not end.
func bracket(pattern string, c byte) (n int, ok bool) {
	if strings.IndexByte(pattern, ']') < 0 {
		return 0, false // soon said, as it is asked again for each byte of a text
	}
	p := 1
	negate := p < len(pattern) && (pattern[p] == '!' || pattern[p] == '^')
	if negate {
		p++
	}
	valid := true // an unknown class makes the bracket match nothing
	for first := p; ; {
		if p >= len(pattern) {
			return 0, false
		}
		if pattern[p] == ']' && p > first {
			return p + 1, valid && ok != negate
		}
		if name, width := named(pattern[p:], ':'); width > 0 {
			in, known := inClass(name, c)
			ok, valid = ok || in, valid && known
			p += width
			continue
		}
		low, width, single := element(pattern[p:])
		valid = valid && single
		p += width
		high := low
		if p+1 < len(pattern) && pattern[p] == '-' && pattern[p+1] != ']' {
			high, width, single = element(pattern[p+1:])
			valid = valid && single
			p += 1 + width
		}
		ok = ok || low <= c && c <= high
	}
}

// element returns a member of a bracket that stands for one byte: itself, an
// escaped byte, [.x.] or [=x=]. The latter two with a longer name name
// nothing in the C locale.
func element(p string) (c byte, width int, single bool) {
	if p[0] == '\\' && len(p) > 1 {
		return p[1], 2, true
	}
	for _, mark := range []byte{'.', '='} {
		if name, width := named(p, mark); width > 0 {
			if len(name) != 1 {
				return 0, width, false
			}
			return name[0], width, true
		}
	}
	return p[0], 1, true
}

// named returns the name in a [:name:], [.name.] or [=name=] that p begins
// with, and the length of it all.
func named(p string, mark byte) (name string, width int) {
	if len(p) < 2 || p[0] != '[' || p[1] != mark {
		return "", 0
	}
	end := strings.Index(p[2:], string([]byte{mark, ']'}))
	if end < 0 {
		return "", 0
	}
	return p[2 : 2+end], end + 4
}

// inClass reports whether a byte is in a character class, and whether there
// is one of that name.
func inClass(name string, c byte) (in, known bool) {
	lower, upper, digit := 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9'
	graph := '!' <= c && c <= '~'
	alnum := lower || upper || digit
	switch name {
	case "alnum":
		return alnum, true
	case "alpha":
		return lower || upper, true
	case "blank":
		return c == ' ' || c == '\t', true
	case "cntrl":
		return c < ' ' || c == 0x7f, true
	case "digit":
		return digit, true
	case "graph":
		return graph, true
	case "lower":
		return lower, true
	case "print":
		return graph || c == ' ', true
	case "punct":
		return graph && !alnum, true
	case "space":
		return c == ' ' || '\t' <= c && c <= '\r', true
	case "upper":
		return upper, true
	case "xdigit":
		return digit || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F', true
	}
	return false, false
}
