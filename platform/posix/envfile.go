package posix

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"onset/core/env"
)

const maxEnvFile = 1 << 20 // bytes

// envFiles adds the variables of the job's files to its environment (EXTENSIONS
// §5). A file wins over all that the job has, a later file over an earlier one.
func (s *stage) envFiles() *SetupError {
	table := env.Table(s.Env)
	for _, f := range s.Isolation.EnvFiles {
		text, err := readBounded(f.Path, maxEnvFile)
		if f.Optional && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return failure("unable to read environment file: "+f.Path, err)
		}
		vars, line, err := parseEnvFile(string(text))
		if err != nil {
			return failure(fmt.Sprintf("unable to read environment file: %s:%d", f.Path, line), err)
		}
		for _, v := range vars {
			if !ofInit(env.Key(v)) {
				table = table.Set(v, true)
			}
		}
	}
	s.Env = table
	return nil
}

// readBounded reads a file of at most so many bytes.
func readBounded(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = unix.EFBIG
	}
	return text, err
}

// ofInit reports whether a variable tells a job what only init knows; files
// leave it alone.
func ofInit(key string) bool {
	switch key {
	case "NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", credentialsVar:
		return true
	}
	return strings.HasPrefix(key, "UPSTART_") || strings.HasPrefix(key, "ONSET_")
}

var (
	errEnvNUL   = errors.New("a NUL byte")
	errEnvEqual = errors.New("no =")
	errEnvName  = errors.New("illegal name of a variable")
	errEnvQuote = errors.New("unterminated quote")
)

// parseEnvFile reads the format of systemd's EnvironmentFile: lines KEY=VALUE,
// with comments, quotes and continuations. An error comes with its line, and
// never with the text, which may be secret.
func parseEnvFile(text string) (vars []string, line int, err error) {
	p := &envParser{text: strings.ReplaceAll(text, "\r\n", "\n")}
	for p.nextLine() {
		start := p.pos
		key, ok := p.key()
		switch {
		case !ok:
			return nil, p.line(start), errEnvEqual
		case !isEnvName(key):
			return nil, p.line(start), errEnvName
		}
		value, err := p.value()
		if err == nil && strings.IndexByte(value, 0) >= 0 {
			err = errEnvNUL
		}
		if err != nil {
			return nil, p.line(start), err
		}
		vars = append(vars, key+"="+value)
	}
	return vars, 0, nil
}

type envParser struct {
	text string
	pos  int
}

func (p *envParser) line(pos int) int { return 1 + strings.Count(p.text[:pos], "\n") }

// nextLine goes to the next line that is neither empty nor a comment.
func (p *envParser) nextLine() bool {
	for p.pos < len(p.text) {
		switch c := p.text[p.pos]; {
		case c == '#' || c == ';':
			if n := strings.IndexByte(p.text[p.pos:], '\n'); n >= 0 {
				p.pos += n
			} else {
				p.pos = len(p.text)
			}
		case !isSpace(c):
			return true
		default:
			p.pos++
		}
	}
	return false
}

// key reads up to the =, which has to stand in the same line.
func (p *envParser) key() (string, bool) {
	n := strings.IndexAny(p.text[p.pos:], "=\n")
	if n < 0 || p.text[p.pos+n] == '\n' {
		return "", false
	}
	key := strings.TrimRight(p.text[p.pos:p.pos+n], blanks)
	p.pos += n + 1
	return key, true
}

// value reads quoted parts, which are joined, and then a bare one up to the
// end of the line.
func (p *envParser) value() (string, error) {
	var b bytes.Buffer
	for p.pos < len(p.text) {
		c := p.text[p.pos]
		p.pos++
		switch {
		case c == '\n':
			return b.String(), nil
		case isSpace(c):
		case c == '\'' || c == '"':
			if !p.quoted(&b, c) {
				return "", errEnvQuote
			}
		default:
			p.pos--
			p.bare(&b)
			return b.String(), nil
		}
	}
	return b.String(), nil
}

// quoted reads up to the closing quote. In double quotes a backslash takes
// away the meaning of what the shell gives one, and of the end of a line.
func (p *envParser) quoted(b *bytes.Buffer, quote byte) (closed bool) {
	for p.pos < len(p.text) {
		c := p.text[p.pos]
		p.pos++
		if c == quote {
			return true
		}
		if c != '\\' || quote == '\'' || p.pos == len(p.text) {
			b.WriteByte(c)
			continue
		}
		c = p.text[p.pos]
		p.pos++
		switch c {
		case '\n':
		case '"', '\\', '`', '$':
			b.WriteByte(c)
		default:
			b.WriteByte('\\')
			b.WriteByte(c)
		}
	}
	return false
}

// bare reads up to the end of the line, without the blanks before it. A
// backslash takes away any meaning.
func (p *envParser) bare(b *bytes.Buffer) {
	keep := b.Len()
	for p.pos < len(p.text) {
		c := p.text[p.pos]
		p.pos++
		switch {
		case c == '\n':
			b.Truncate(keep)
			return
		case c != '\\':
			b.WriteByte(c)
			if !isSpace(c) {
				keep = b.Len()
			}
		case p.pos < len(p.text):
			if c = p.text[p.pos]; c != '\n' {
				b.WriteByte(c)
				keep = b.Len()
			}
			p.pos++
		}
	}
	b.Truncate(keep)
}

func isSpace(c byte) bool { return strings.IndexByte(blanks, c) >= 0 }

func isEnvName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
