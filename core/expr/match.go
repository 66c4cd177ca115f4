package expr

import "strings"

// Subject is what an operand is matched against: an event or a fact.
type Subject struct {
	Name string
	Env  []string // KEY=VALUE, in order
	// Jobs are further names that the JOB variable answers to: the abstract
	// services the job provides (EXTENSIONS §3).
	Jobs []string
}

// Expand replaces $VAR references of a pattern; an error means no match.
type Expand func(pattern string) (string, error)

// Matches reports whether an operand matches, by the parallel walk of
// UPSTART §1.5.1.
func (n *Node) Matches(s *Subject, expand Expand) bool {
	if n.Name != s.Name {
		return false
	}
	cursor := 0
	for _, arg := range n.Args {
		key, pattern, negated := splitArg(arg)
		if key != "" {
			cursor = indexOf(s.Env, key)
		}
		if cursor < 0 || cursor >= len(s.Env) {
			return false
		}
		if strings.IndexByte(pattern, '$') >= 0 {
			var err error
			if pattern, err = expand(pattern); err != nil {
				return false
			}
		}
		if s.valueMatches(cursor, pattern) == negated {
			return false
		}
		cursor++
	}
	return true
}

// valueMatches compares the variable at i, and for JOB also the names the
// job provides.
func (s *Subject) valueMatches(i int, pattern string) bool {
	key, value, _ := strings.Cut(s.Env[i], "=")
	if Glob(pattern, value) {
		return true
	}
	if key != "JOB" {
		return false
	}
	for _, name := range s.Jobs {
		if Glob(pattern, name) {
			return true
		}
	}
	return false
}

// splitArg takes an argument apart; key is empty for a positional one. The
// first != wins over any =.
func splitArg(arg string) (key, pattern string, negated bool) {
	if i := strings.Index(arg, "!="); i >= 0 {
		return arg[:i], arg[i+2:], true
	}
	if i := strings.IndexByte(arg, '='); i >= 0 {
		return arg[:i], arg[i+1:], false
	}
	return "", arg, false
}

func indexOf(vars []string, key string) int {
	for i, v := range vars {
		if len(v) > len(key) && v[len(key)] == '=' && v[:len(key)] == key {
			return i
		}
	}
	return -1
}

// IndexKey returns a variable and a value that every match of the operand
// must have, so that an event need not look at operands that cannot match.
// Key is "" for the first variable whatever its name; ok is false when the
// operand has no such argument.
func (n *Node) IndexKey() (key, value string, ok bool) {
	for i, arg := range n.Args {
		key, pattern, negated := splitArg(arg)
		if negated || strings.ContainsAny(pattern, `*?[\$`) {
			continue
		}
		if key != "" || i == 0 {
			return key, pattern, true
		}
	}
	return "", "", false
}
