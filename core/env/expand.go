package env

//lint:file-ignore ST1005 clients know these texts

import (
	"errors"
	"fmt"
	"strings"
)

// Bounds on one expansion, far above what a kernel takes as an argument.
const (
	maxExpandDepth = 64
	maxExpanded    = 1 << 20 // bytes
)

var (
	errOperator = errors.New("Expected operator")
	errBraces   = errors.New("Mismatched braces")
	errDepth    = errors.New("Expansion nested too deeply")
	errLength   = errors.New("Expansion too long")
)

// Expand replaces $NAME, ${NAME} and the default and alternative forms in a
// text (UPSTART §1.6.2). The errors are the texts given there; nesting deeper
// than 64 and results over 1 MiB are errors too.
func Expand(text string, lookup func(name string) (string, bool)) (string, error) {
	if strings.IndexByte(text, '$') < 0 {
		return text, nil
	}
	x := expander{text: text, lookup: lookup}
	out, err := x.until(func(byte) bool { return false })
	if err != nil {
		return "", err
	}
	return out, nil
}

type expander struct {
	text   string
	pos    int
	depth  int
	lookup func(string) (string, bool)
}

// until expands up to the first byte outside of references that ends says
// ends it, or the end of the text.
func (x *expander) until(ends func(byte) bool) (string, error) {
	if x.depth++; x.depth > maxExpandDepth {
		return "", errDepth
	}
	var b strings.Builder
	for x.pos < len(x.text) && !ends(x.text[x.pos]) {
		if x.text[x.pos] != '$' {
			b.WriteByte(x.text[x.pos])
			x.pos++
			continue
		}
		value, err := x.reference()
		if err != nil {
			return "", err
		}
		if b.Len()+len(value) > maxExpanded {
			return "", errLength
		}
		b.WriteString(value)
	}
	x.depth--
	return b.String(), nil
}

// reference expands what the '$' at the current position begins.
func (x *expander) reference() (string, error) {
	x.pos++
	rest := x.text[x.pos:]
	switch {
	case rest == "":
		return "$", nil
	case rest[0] == '{':
		x.pos++
		return x.braces()
	case !nameByte(rest[0]) || isDigit(rest[0]):
		return "$", nil
	}
	n := 1
	for n < len(rest) && nameByte(rest[n]) {
		n++
	}
	x.pos += n
	return x.value(rest[:n])
}

func (x *expander) value(name string) (string, error) {
	if v, ok := x.lookup(name); ok {
		return v, nil
	}
	return "", fmt.Errorf("Unknown parameter: %s", name)
}

// braces expands the reference whose opening brace was just read.
func (x *expander) braces() (string, error) {
	name, err := x.until(func(c byte) bool { return c != '$' && !nameByte(c) })
	if err != nil {
		return "", err
	}
	op, err := x.operator()
	switch {
	case err != nil:
		return "", err
	case op == "" && name == "":
		return "$", nil
	case op == "":
		return x.value(name)
	}
	word, err := x.until(func(c byte) bool { return c == '}' })
	if err != nil {
		return "", err
	}
	if x.pos == len(x.text) {
		return "", errBraces
	}
	x.pos++
	value, set := x.lookup(name)
	if op[0] == ':' && value == "" {
		set = false
	}
	switch {
	case set == (op[len(op)-1] == '+'):
		return word, nil
	case set:
		return value, nil
	}
	return "", nil
}

// operator reads what stands between name and word: -, :-, + or :+; the
// closing brace yields an empty one.
func (x *expander) operator() (string, error) {
	rest := x.text[x.pos:]
	for _, op := range []string{"-", ":-", "+", ":+"} {
		if strings.HasPrefix(rest, op) {
			x.pos += len(op)
			return op, nil
		}
	}
	switch {
	case rest == "" || rest == ":":
		return "", errBraces
	case rest[0] == '}':
		x.pos++
		return "", nil
	}
	return "", errOperator
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func nameByte(c byte) bool {
	return c == '_' || isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
