package conf

import "strings"

// Classes of bytes; a token's delimiters are a union of them.
const (
	space  uint8 = 1 << iota // space, tab, carriage return
	stop                     // '#' and line feed: what ends a line's arguments
	paren                    // delimiters in expressions only
	quote                    // opens a quoted run
	escape                   // backslash
)

var class = [256]uint8{
	' ': space, '\t': space, '\r': space,
	'#': stop, '\n': stop,
	'(': paren, ')': paren,
	'"': quote, '\'': quote,
	'\\': escape,
}

// The delimiter sets of UPSTART §1.2.
const (
	argument = space | stop
	operand  = space | stop | paren
	command  = stop
)

// lexer cuts a text into tokens. Tokens are substrings of the text wherever
// nothing in them has to be rewritten.
type lexer struct {
	text string
	pos  int
	buf  []byte // of tokens that had to be rewritten; reused
}

// skipSpace moves over whitespace and line continuations.
func (l *lexer) skipSpace() {
	for l.pos < len(l.text) {
		switch c := l.text[l.pos]; {
		case class[c]&space != 0:
			l.pos++
		case c == '\\' && strings.HasPrefix(l.text[l.pos+1:], "\n"):
			l.pos += 2
		default:
			return
		}
	}
}

// more reports whether the line has a further token.
func (l *lexer) more() bool {
	return l.pos < len(l.text) && class[l.text[l.pos]]&stop == 0
}

// skipComment moves to the start of the next line.
func (l *lexer) skipComment() {
	if i := strings.IndexByte(l.text[l.pos:], '\n'); i >= 0 {
		l.pos += i + 1
	} else {
		l.pos = len(l.text)
	}
}

// pieces joins substrings, copying only from the second one on.
type pieces struct {
	first string
	buf   []byte
}

func (s *pieces) add(piece string) {
	switch {
	case piece == "":
	case s.first == "":
		s.first = piece
	default:
		if len(s.buf) == 0 {
			s.buf = append(s.buf, s.first...)
		}
		s.buf = append(s.buf, piece...)
	}
}

func (s *pieces) String() string {
	if len(s.buf) > 0 {
		return string(s.buf)
	}
	return s.first
}

// token reads one token up to an unquoted, unescaped byte of the delimiters,
// and the whitespace behind it (UPSTART §1.2). On failure msg says why and
// open is the offset of a quote left open, or -1.
func (l *lexer) token(delims uint8, dequote bool) (tok, msg string, open int) {
	i := l.pos
	for i < len(l.text) && class[l.text[i]]&(delims|quote|escape|space) == 0 {
		i++
	}
	if i == len(l.text) || class[l.text[i]]&delims != 0 {
		tok = l.text[l.pos:i]
		l.pos = i
	} else if tok, msg, open = l.rewrite(i, delims, dequote); msg != "" {
		return "", msg, open
	}
	if tok == "" {
		return "", expectedToken, -1
	}
	l.skipSpace()
	return tok, "", -1
}

// rewrite is token for texts with quotes, escapes or inner whitespace. The
// bytes before i are known to be plain.
func (l *lexer) rewrite(i int, delims uint8, dequote bool) (tok, msg string, open int) {
	out := pieces{buf: l.buf[:0]}
	seg, last := l.pos, i // text[seg:last] is read and not yet in out
	broken := false       // the whitespace behind last holds a line feed
	quoted := -1          // offset of the open quote
	join := func() {      // the byte at i belongs to the token
		if broken {
			out.add(l.text[seg:last])
			out.add(" ")
			seg, broken = i, false
		}
	}
	drop := func() { // the byte at i is read but not part of the token
		join()
		out.add(l.text[seg:i])
		seg = i + 1
	}
scan:
	for ; i < len(l.text); i++ {
		c := l.text[i]
		k := class[c]
		switch {
		case k == escape && i+1 == len(l.text):
			l.pos = i
			return "", trailingSlash, -1
		case k == escape && l.text[i+1] == '\n':
			broken = true
			i++
			continue
		case k == escape:
			if dequote && class[l.text[i+1]]&(space|escape) != 0 {
				drop()
			} else {
				join()
			}
			i++
		case k == quote && (quoted < 0 || c == l.text[quoted]):
			if dequote {
				drop()
			} else {
				join()
			}
			if quoted < 0 {
				quoted = i
			} else {
				quoted = -1
			}
		case quoted >= 0 && c == '\n':
			broken = true
			continue
		case quoted < 0 && k&delims != 0:
			break scan
		case k == space:
			continue
		default:
			join()
		}
		last = i + 1
	}
	if quoted >= 0 {
		return "", unterminatedQuote, quoted
	}
	l.pos = i
	if seg < last {
		out.add(l.text[seg:last])
	}
	l.buf = out.buf
	return out.String(), "", -1
}

// block reads the lines of a script up to its end line, without their common
// indentation (UPSTART §1.2.1); ok is false when there is no end line.
func (l *lexer) block() (body string, ok bool) {
	start := l.pos
	for l.pos < len(l.text) {
		line := l.pos
		l.skipComment()
		if endsBlock(l.text[line:l.pos]) {
			return dedent(l.text[start:line]), true
		}
	}
	return "", false
}

// endsBlock reports whether a line is "end script", perhaps with a comment.
func endsBlock(line string) bool {
	line, ok := strings.CutPrefix(trimSpace(line), "end")
	if !ok || line == "" || class[line[0]]&space == 0 {
		return false
	}
	line, ok = strings.CutPrefix(trimSpace(line), "script")
	line = trimSpace(line)
	return ok && (line == "" || class[line[0]]&stop != 0)
}

// trimSpace returns s without leading whitespace.
func trimSpace(s string) string { return s[indent(s):] }

// indent returns the length of the leading whitespace of s.
func indent(s string) int {
	n := 0
	for n < len(s) && class[s[n]]&space != 0 {
		n++
	}
	return n
}

// dedent removes the whitespace that all lines of a block begin with.
func dedent(body string) string {
	prefix := body[:indent(body)]
	for rest := body; rest != "" && prefix != ""; {
		n := 0
		for n < len(prefix) && n < len(rest) && rest[n] == prefix[n] {
			n++
		}
		prefix = prefix[:n]
		_, rest, _ = strings.Cut(rest, "\n")
	}
	if prefix == "" {
		return body
	}
	var b strings.Builder
	b.Grow(len(body))
	for rest := body; rest != ""; {
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		b.WriteString(line[len(prefix):])
		b.WriteByte('\n')
	}
	return b.String()
}
