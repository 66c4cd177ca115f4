package expr

import (
	"strings"
	"testing"
)

var globs = []struct {
	pattern, s string
	want       bool
}{
	{"", "", true}, {"", "a", false}, {"a", "", false}, {"abc", "abc", true},
	{"*", "", true}, {"*", ".a/b", true}, {"?", "/", true}, {"?", "", false},
	{"a*c", "abbc", true}, {"a*c", "ab", false}, {"*a*b*", "xaxbx", true}, {"a**", "a", true},
	{"[abc]", "b", true}, {"[abc]", "d", false}, {"[a-c]x", "bx", true}, {"[c-a]", "b", false},
	{"[!a-c]", "d", true}, {"[^a-c]", "b", false}, {"[!2345]", "6", true}, {"[!a]", "", false},
	{"[]a]", "]", true}, {"[!]a]", "]", false}, {"[a-]", "-", true}, {"[-a]", "-", true}, {"[a-]", "b", false},
	{"[", "[", true}, {"[a", "[a", true}, {"[a", "a", false}, {"x[]", "x[]", true}, {"[!]", "[!]", true}, {"*[a", "x[a", true},
	{`\*`, "*", true}, {`\*`, "a", false}, {`\a`, "a", true}, {`\`, `\`, false}, {`\\`, `\`, true}, {`a\`, "a", false},
	{`[\]]`, "]", true}, {`[\a-\c]`, "b", true}, {`[\\]`, `\`, true},
	{"[[:digit:]]", "7", true}, {"[[:digit:]]", "a", false}, {"[![:space:]]", "\t", false}, {"[[:upper:]x]", "x", true},
	{"[[:alpha:][:digit:]]", "1", true}, {"[[:nothing:]]", "a", false}, {"[![:nothing:]]", "a", false},
	{"[[.a.]]", "a", true}, {"[[=a=]]", "a", true}, {"[[.a.]-c]", "b", true}, {"[[.ab.]]", "a", false}, {"[[.-.]]", "-", true},
	{"[[:alpha]", "[", true}, {"[[:alpha]", "p", true}, {"[[:alpha]", "x", false}, {"[:alpha:]", "p", true},
	{"\xff?", "\xff\xfe", true}, {"?", "\u00e9", false}, {"[\x80-\xff]", "\xc3", true}, {"[[:alpha:]]", "\xe9", false},
}

func TestGlobIsFnmatchInTheCLocale(t *testing.T) {
	for _, g := range globs {
		if got := Glob(g.pattern, g.s); got != g.want {
			t.Errorf("Glob(%q, %q) = %v", g.pattern, g.s, got)
		}
	}
}

func TestGlobClassesAreASCII(t *testing.T) {
	count := map[string]int{"alnum": 62, "alpha": 52, "blank": 2, "cntrl": 33, "digit": 10, "graph": 94,
		"lower": 26, "print": 95, "punct": 32, "space": 6, "upper": 26, "xdigit": 22}
	for class, want := range count {
		n := 0
		for c := range 256 {
			if Glob("[[:"+class+":]]", string([]byte{byte(c)})) {
				n++
			}
		}
		if n != want {
			t.Errorf("%s has %d bytes, want %d", class, n, want)
		}
	}
}

func TestGlobDoesNotExplode(t *testing.T) {
	if Glob(strings.Repeat("a*", 1000)+"b", strings.Repeat("a", 2000)) {
		t.Error("matched")
	}
	for _, open := range []string{"[", "[[:", "[a"} { // brackets that do not end
		if Glob("*"+strings.Repeat(open, 400)+"z", strings.Repeat(open, 800)) {
			t.Errorf("matched with %q", open)
		}
	}
}

// slowGlob tries every split of the text; brackets are those of Glob.
func slowGlob(pattern, s string) bool {
	if pattern == "" {
		return s == ""
	}
	if pattern[0] == '*' {
		return slowGlob(pattern[1:], s) || s != "" && slowGlob(pattern, s[1:])
	}
	if s == "" {
		return false
	}
	n, ok := 1, pattern[0] == '?' || pattern[0] == s[0]
	switch pattern[0] {
	case '\\':
		if len(pattern) == 1 {
			return false
		}
		n, ok = 2, pattern[1] == s[0]
	case '[':
		if end := slowBracketEnd(pattern); end > 0 {
			n, ok = end, slowMember(pattern[1:end-1], s[0])
		}
	}
	return ok && slowGlob(pattern[n:], s[1:])
}

// slowBracketEnd returns the length of a bracket expression, or 0. A class
// such as [:alpha:] may be a member but not the end of a range.
func slowBracketEnd(p string) int {
	i := 1
	if i < len(p) && (p[i] == '!' || p[i] == '^') {
		i++
	}
	skip := func(marks string) {
		if p[i] == '\\' {
			i++
		} else if p[i] == '[' && i+1 < len(p) && strings.IndexByte(marks, p[i+1]) >= 0 {
			if end := strings.Index(p[i+2:], p[i+1:i+2]+"]"); end >= 0 {
				i += end + 3
			}
		}
		i++
	}
	for first := i; i < len(p); {
		if p[i] == ']' && i > first {
			return i + 1
		}
		class := strings.HasPrefix(p[i:], "[:") && strings.Contains(p[i+2:], ":]")
		skip(":.=")
		if !class && i+1 < len(p) && p[i] == '-' && p[i+1] != ']' {
			i++
			skip(".=")
		}
	}
	return 0
}

// slowMember looks a byte up in the set of all members of a bracket.
func slowMember(inside string, c byte) bool {
	negate := inside[0] == '!' || inside[0] == '^'
	if negate {
		inside = inside[1:]
	}
	var set [256]bool
	one := func() (byte, bool) { // the next member, if it is one byte
		if len(inside) > 3 && inside[0] == '[' && (inside[1] == '.' || inside[1] == '=') {
			if end := strings.Index(inside[2:], inside[1:2]+"]"); end >= 0 {
				name := inside[2 : 2+end]
				inside = inside[end+4:]
				return (name + "\x00")[0], len(name) == 1
			}
		}
		if inside[0] == '\\' && len(inside) > 1 {
			inside = inside[1:]
		}
		b := inside[0]
		inside = inside[1:]
		return b, true
	}
	for inside != "" {
		if strings.HasPrefix(inside, "[:") {
			if name, rest, ok := strings.Cut(inside[2:], ":]"); ok {
				if _, known := inClass(name, 0); !known {
					return false
				}
				for b := range set {
					in, _ := inClass(name, byte(b))
					set[b] = set[b] || in
				}
				inside = rest
				continue
			}
		}
		low, ok := one()
		high := low
		if len(inside) > 1 && inside[0] == '-' {
			inside = inside[1:]
			var okHigh bool
			high, okHigh = one()
			ok = ok && okHigh
		}
		if !ok {
			return false
		}
		for b := int(low); b <= int(high); b++ {
			set[b] = true
		}
	}
	return set[c] != negate
}

func FuzzGlob(f *testing.F) {
	for _, g := range globs {
		f.Add(g.pattern, g.s)
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		switch {
		case len(s) > 1000 || len(pattern) > 1000:
			return // long patterns of nothing but brackets take seconds
		case len(s) > 30 || len(pattern) > 100 || strings.Count(pattern, "*") > 5:
			Glob(pattern, s)
			return
		}
		if got, want := Glob(pattern, s), slowGlob(pattern, s); got != want {
			t.Errorf("Glob(%q, %q) = %v, want %v", pattern, s, got, want)
		}
	})
}
