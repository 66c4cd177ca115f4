// Package conf reads the job language: job files, override files and alias
// files (UPSTART §1.1-§1.5, §1.8; EXTENSIONS §1-§6).
//
// A text is a sequence of stanzas. The lexer cuts it into tokens, one table
// (stanzas.go) names the handler of every stanza, and a handler reads its
// arguments and sets fields of the class. The first fault ends the parse and
// is reported with its line. Print is the way back: its text parses to an
// equal class.
//
// The package does no I/O, keeps no state between calls and may be called
// from several goroutines. The results share memory with the given texts,
// which Go strings make safe.
package conf

import (
	"math"
	"strconv"
	"strings"
	"time"

	"onset/core/expr"
	"onset/core/job"
)

// Parse reads a job file and its override, if it has one. A fault in the job
// file yields a nil class; a fault in the override leaves the override out as
// a whole (DECISIONS 4).
func Parse(name string, o job.Origin, d job.Defaults) (c *job.Class, errs []*Error) {
	c = newClass(name, o, d)
	p := parser{table: &jobTable, class: c, signals: d.Signals}
	if err := p.parse(o.Path, o.Text); err != nil {
		return nil, []*Error{err}
	}
	if o.OverridePath == "" {
		return c, nil
	}
	p.class = newClass(name, o, d) // a trial, so that c never sees half of it
	if err := p.parse(o.OverridePath, o.OverrideText); err != nil {
		return c, []*Error{err}
	}
	p.class = c
	p.parse(o.OverridePath, o.OverrideText)
	return c, nil
}

// newClass returns a class with the defaults of UPSTART §1.4.
func newClass(name string, o job.Origin, d job.Defaults) *job.Class {
	c := job.NewClass(name)
	c.Origin = o
	c.Attrs.Console, c.Attrs.Umask = d.Console, -1
	c.KillTimeout, c.Health = defaultKillTimeout, defaultHealth
	c.RespawnLimit, c.RespawnInterval = defaultRespawnLimit, defaultRespawnInterval
	c.KillSignal, _ = d.Signals.Number("TERM")
	c.ReloadSignal, _ = d.Signals.Number("HUP")
	return c
}

// Defaults that Print leaves out.
const (
	defaultKillTimeout     = 5
	defaultRespawnLimit    = 10
	defaultRespawnInterval = 5
)

var defaultHealth = job.HealthRule{Interval: 30, Timeout: 30, Failures: 3}

// Alias is a parsed alias file: a name for an event expression.
type Alias struct {
	Name        string
	Origin      job.Origin
	Description string
	On          expr.Tree
}

// ParseAlias reads an alias file and its override (EXTENSIONS §2), with the
// same treatment of faults as Parse.
func ParseAlias(name string, o job.Origin) (*Alias, []*Error) {
	a := &Alias{Name: name, Origin: o}
	p := parser{table: &aliasTable, alias: a}
	if err := p.parse(o.Path, o.Text); err != nil {
		return nil, []*Error{err}
	}
	if a.On == nil {
		p.failAt(len(o.Text), expectedOn)
		return nil, []*Error{p.err}
	}
	if o.OverridePath == "" {
		return a, nil
	}
	with := *a
	p.alias = &with
	if err := p.parse(o.OverridePath, o.OverrideText); err != nil {
		return a, []*Error{err}
	}
	return &with, nil
}

// ParseEmpty checks a file in which no stanza is known, such as
// /etc/init.conf (UPSTART §1.1.1).
func ParseEmpty(path, text string) []*Error {
	p := parser{table: &emptyTable}
	if err := p.parse(path, text); err != nil {
		return []*Error{err}
	}
	return nil
}

// parser reads one text into a class or an alias. The first failure sticks:
// after it every method returns zero values and reads nothing.
type parser struct {
	lexer
	path    string
	at      int // where the argument read last begins
	err     *Error
	table   *node
	signals job.Signals
	class   *job.Class
	alias   *Alias
}

func (p *parser) parse(path, text string) *Error {
	p.path, p.text, p.pos, p.err = path, text, 0, nil
	for {
		p.skipSpace()
		switch {
		case p.err != nil || p.pos == len(p.text):
			return p.err
		case p.more():
			p.stanza()
		default:
			p.skipComment()
		}
	}
}

// stanza follows the words of a stanza through the table to its handler.
func (p *parser) stanza() {
	n := p.table
	for n.next != nil {
		if n.parse != nil && !p.more() {
			break
		}
		word := p.keyword()
		if p.err != nil {
			return
		}
		next := n.next[word]
		if next == nil {
			p.unknown(n.phrase, n.words)
			return
		}
		n = next
	}
	n.parse(p)
}

// fail reports msg about the argument read last.
func (p *parser) fail(msg string) { p.failAt(p.at, msg) }

func (p *parser) failAt(pos int, msg string) {
	if p.err != nil {
		return
	}
	l, col := line(p.text, pos)
	end := pos
	for end < len(p.text) && end < pos+maxErrorText && class[p.text[end]]&argument == 0 {
		end++
	}
	p.err = &Error{Path: p.path, Line: l, Col: col, Msg: msg, Text: p.text[pos:end]}
}

// unclosed reports that what was opened at an offset does not end.
func (p *parser) unclosed(open int, msg string) {
	if p.err != nil {
		return
	}
	p.failAt(len(p.text), msg)
	l, _ := line(p.text, open)
	p.err.Hint = "opened on line " + strconv.Itoa(l)
}

// unknown reports an argument that is none of words, which may follow phrase.
func (p *parser) unknown(phrase string, words []string) {
	p.fail(unknownStanza)
	p.suggest(phrase, words)
}

// suggest adds to a failure which of words may have been meant.
func (p *parser) suggest(phrase string, words []string) {
	if near := nearest(p.err.Text, words); near != "" {
		p.err.Hint = "did you mean " + strconv.Quote(strings.TrimLeft(phrase+" "+near, " ")) + "?"
	}
}

// read returns the next token of the line.
func (p *parser) read(delims uint8, dequote bool) string {
	if p.err != nil {
		return ""
	}
	p.at = p.pos
	tok, msg, open := p.token(delims, dequote)
	switch {
	case msg == "":
	case open >= 0:
		p.unclosed(open, msg)
	case msg == trailingSlash:
		p.failAt(p.pos, msg)
	default:
		p.fail(msg)
	}
	return tok
}

// keyword returns the next token as written, so that a quoted one matches
// nothing.
func (p *parser) keyword() string { return p.read(argument, false) }

// arg returns the next argument, dequoted.
func (p *parser) arg() string { return p.read(argument, true) }

// end checks that the line has no further argument.
func (p *parser) end() {
	if p.err != nil {
		return
	}
	if p.more() {
		p.failAt(p.pos, unexpectedToken)
		return
	}
	p.skipComment()
}

// only returns the only argument of the line.
func (p *parser) only() string {
	s := p.arg()
	p.end()
	return s
}

// list adds the one or more arguments of the line to dst.
func (p *parser) list(dst []string) []string {
	dst = append(dst, p.arg())
	for p.err == nil && p.more() {
		dst = append(dst, p.arg())
	}
	p.end()
	return dst
}

// choice returns the index of the next argument in words.
func (p *parser) choice(phrase string, words []string) int {
	s := p.arg()
	for i, w := range words {
		if s == w {
			return i
		}
	}
	if p.err == nil {
		p.unknown(phrase, words)
	}
	return 0
}

// pick returns the index of the only argument of the line in words.
func (p *parser) pick(phrase string, words []string) int {
	i := p.choice(phrase, words)
	p.end()
	return i
}

// number returns the next argument, an integer between two bounds.
func (p *parser) number(base int, low, high int64, msg string) int {
	n, ok := integer(p.arg(), base)
	if !ok || n < low || n > high {
		p.fail(msg)
		return 0
	}
	return int(n)
}

// seconds returns the next argument, a number of seconds. What no timer can
// hold is cut to the longest time there is, 68 years.
func (p *parser) seconds(low int64) int {
	n, ok := integer(p.arg(), 10)
	if !ok || n < low {
		p.fail(illegalInterval)
	}
	return int(min(n, math.MaxInt32))
}

// delay returns the next argument, a number of seconds that may have a
// fraction.
func (p *parser) delay() time.Duration {
	s := p.arg()
	whole, fraction, _ := strings.Cut(s, ".")
	n, ok := integer(whole, 10)
	part, err := time.ParseDuration("0." + fraction + "0s")
	if !ok || strings.Contains(whole, "-") || err != nil || fraction == "" && whole != s || strings.Trim(fraction, "0123456789") != "" {
		p.fail(illegalInterval)
	}
	return time.Duration(min(n, math.MaxInt32))*time.Second + part
}

// interval returns the only argument of the line, a number of seconds from
// low.
func (p *parser) interval(low int64) int {
	n := p.seconds(low)
	p.end()
	return n
}

// signal returns the next argument, the name or number of a signal. The
// original reports a bad one without a line (DECISIONS 5).
func (p *parser) signal(phrase string) job.Signal {
	s := p.arg()
	if n, ok := p.signals.Number(s); ok {
		return n
	}
	n, ok := integer(s, 10)
	if p.err == nil && (!ok || n < 0 || n > math.MaxInt32) {
		p.fail(illegalSignal)
		p.suggest(phrase, signalNames(p.signals))
	}
	return job.Signal(n)
}

func signalNames(t job.Signals) []string {
	names := make([]string, len(t))
	for i, s := range t {
		names[i] = s.Name
	}
	return names
}

// The whitespace that C's integer conversions skip.
const cSpace = " \t\n\v\f\r"

// integer converts as strtol does, all of s being needed.
func integer(s string, base int) (int64, bool) {
	n, err := strconv.ParseInt(strings.TrimLeft(s, cSpace), base, 64)
	return n, err == nil
}

// unsigned converts as strtoul does, where a minus sign negates.
func unsigned(s string) (uint64, bool) {
	s = strings.TrimLeft(s, cSpace)
	digits, negative := strings.CutPrefix(s, "-")
	if !negative {
		digits = strings.TrimPrefix(s, "+")
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if negative {
		n = -n
	}
	return n, err == nil
}
