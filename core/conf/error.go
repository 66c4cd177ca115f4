package conf

import (
	"errors"
	"strconv"
	"strings"
)

// SizeMax is how many bytes a file may have.
const SizeMax = 1 << 20

// ErrLarge is the fault of one that has more.
var ErrLarge = errors.New("file is larger than 1 MiB")

// The messages of UPSTART App. B.
const (
	expectedToken     = "Expected token"
	unexpectedToken   = "Unexpected token"
	trailingSlash     = "Trailing slash in file"
	unterminatedQuote = "Unterminated quoted string"
	unterminatedBlock = "Unterminated block"
	unknownStanza     = "Unknown stanza"
	illegalInterval   = "Illegal interval, expected number of seconds"
	illegalExit       = "Illegal exit status, expected integer"
	illegalSignal     = "Illegal signal status, expected integer"
	illegalUmask      = "Illegal file creation mask, expected octal integer"
	illegalNice       = "Illegal nice value, expected -20 to 19"
	illegalOOM        = "Illegal oom adjustment, expected -16 to 15 or 'never'"
	illegalOOMScore   = "Illegal oom score adjustment, expected -999 to 1000 or 'never'"
	illegalLimit      = "Illegal limit, expected 'unlimited' or integer"
	expectedEvent     = "Expected event"
	expectedOperator  = "Expected operator"
	expectedVariable  = "Expected variable name before value"
	mismatchedParens  = "Mismatched parentheses"
)

// The messages of stanzas that Upstart does not have.
const (
	expectedFact     = "Expected fact"
	expectedOn       = "Expected 'on' stanza"
	illegalFD        = "Illegal file descriptor, expected integer from 3"
	illegalFailures  = "Illegal number of failures, expected integer from 1"
	illegalIOLevel   = "Illegal I/O priority level, expected 0 to 7"
	illegalCPUs      = "Illegal CPU list, expected numbers and ranges"
	illegalSchedPrio = "Illegal scheduling priority, expected 1 to 99"
	unknownCap       = "Unknown capability"
)

// Error is a fault in a job, override or alias file.
type Error struct {
	Path      string
	Line, Col int    // of the failing argument, from 1; Col in bytes
	Msg       string // one of the fixed texts
	Text      string // the failing argument as written, cut if long; empty at an end
	Hint      string // what may have been meant, or where the construct began
}

// maxErrorText bounds the text an error quotes, in bytes.
const maxErrorText = 40

// Error returns PATH:LINE: MSG, the form of UPSTART §1.3.
func (e *Error) Error() string {
	return e.Path + ":" + strconv.Itoa(e.Line) + ": " + e.Msg
}

// Detail returns a second line for people: column, text and hint.
func (e *Error) Detail() string {
	if e.Text == "" && e.Hint == "" {
		return ""
	}
	s := "column " + strconv.Itoa(e.Col)
	if e.Text != "" {
		s += ", at " + strconv.Quote(e.Text)
	}
	if e.Hint != "" {
		s += ": " + e.Hint
	}
	return s
}

// line returns the line and column of an offset, both from 1.
func line(text string, pos int) (line, col int) {
	before := text[:pos]
	return strings.Count(before, "\n") + 1, pos - strings.LastIndexByte(before, '\n')
}
