package file

import (
	"path/filepath"
	"slices"
	"strings"

	"onset/core/expr"
	"onset/eventsources"
)

// kind is what happened to a file.
type kind uint8

const (
	create kind = iota
	modify
	remove
)

var kinds = [...]string{create: "create", modify: "modify", remove: "delete"}

// operand is what all operands with the same FILE= ask for.
type operand struct {
	file   string // as written
	path   string // absolute
	asDir  bool   // ends in /
	wants  [len(kinds)]bool
	fact   bool
	jobs   []string // those that want create, in order
	someOf string   // one of all
}

// isGlob reports whether an operand is for all files of a pattern.
func (o *operand) isGlob() bool { return !o.asDir && strings.ContainsAny(filepath.Base(o.path), globs) }

const globs = "*?[]"

// operandsOf returns what conditions ask for, by FILE=, and warns of those that
// cannot be.
func operandsOf(list []eventsources.Condition, user bool, home string, warn func(job, text string)) map[string]*operand {
	found := map[string]*operand{}
	for _, c := range list {
		o, fault := parse(c, user, home)
		switch {
		case fault != "":
			warn(c.Job, fault)
			continue
		case o == nil:
			continue
		}
		all := found[o.file]
		if all == nil {
			found[o.file] = o
			continue
		}
		for k, wanted := range o.wants {
			all.wants[k] = all.wants[k] || wanted
		}
		all.fact = all.fact || o.fact
		all.jobs = append(all.jobs, o.jobs...)
	}
	for _, o := range found {
		slices.Sort(o.jobs)
	}
	return found
}

// parse reads an operand; nil if it names no file. The faults are in Upstart's
// words where it has them.
func parse(c eventsources.Condition, user bool, home string) (o *operand, fault string) {
	o = &operand{fact: c.Fact, someOf: c.Job}
	for k := range kinds {
		o.wants[k] = !c.Fact
	}
	placed := false
	for _, arg := range c.Operand.Args {
		if fault := o.take(arg); fault != "" {
			return nil, fault
		}
		placed = placed || strings.HasPrefix(arg, "FILE=")
	}
	if !placed {
		return nil, ""
	}
	if o.wants[create] {
		o.jobs = []string{c.Job}
	}
	return o, o.resolve(user, home)
}

// take reads an argument.
func (o *operand) take(arg string) (fault string) {
	key, value, named := strings.Cut(arg, "=")
	name := strings.TrimSuffix(key, "!")
	switch {
	case !named:
		return "an argument without a name: " + arg
	case key == "FILE":
		o.file = value
	case name == "EVENT" && !o.fact:
		for k, kind := range kinds {
			o.wants[k] = o.wants[k] && (strings.Contains(value, "$") || expr.Glob(value, kind) == (key == "EVENT"))
		}
		if o.wants == [len(kinds)]bool{} {
			return "no event is of this kind: " + arg
		}
	case name != "FILE" && name != "MATCH":
		return "unknown variable: " + arg
	}
	return ""
}

// resolve makes the path of what is written.
func (o *operand) resolve(user bool, home string) (fault string) {
	path := o.file
	switch {
	case path == "":
		return "Path must be absolute: "
	case strings.Contains(path, "$"):
		return "Path must not contain variables: " + path
	case strings.Contains(path, "!="): // init takes all before it for the name of a variable (UPSTART §1.5.1)
		return "Path must not contain !=: " + path
	case user && strings.HasPrefix(path, "~/"):
		path = home + path[1:]
	case user && path[0] != '/' && path[0] != '.':
		path = home + "/" + path
	case path[0] != '/':
		return "Path must be absolute: " + o.file
	}
	if slices.Contains(strings.Split(path, "/"), "..") {
		return "Path must not contain parent reference: " + o.file
	}
	o.asDir = strings.HasSuffix(path, "/")
	o.path = filepath.Clean(path)
	dir := filepath.Dir(o.path)
	if o.asDir {
		dir = o.path
	}
	if strings.ContainsAny(dir, globs) {
		return "Directory globbing not supported: " + o.file
	}
	return ""
}

// matches reports whether a name fits the pattern of an operand. As in shells,
// a pattern has to begin with a dot for names that do.
func (o *operand) matches(name string) bool {
	pattern := filepath.Base(o.path)
	return (name[0] != '.' || pattern[0] == '.') && expr.Glob(pattern, name)
}

// env returns the variables of an event or, without a kind, of a fact. FILE is
// as written, but for a pattern that does not match itself.
func (o *operand) env(event, match string) []string {
	file := o.file
	if match != "" && !expr.Glob(file, file) {
		file = match
	}
	env := []string{"FILE=" + file}
	if event != "" {
		env = append(env, "EVENT="+event)
	}
	if match != "" {
		env = append(env, "MATCH="+match)
	}
	return env
}
