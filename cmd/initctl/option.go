package main

import "strings"

// option is one option of a command line (UPSTART §7.1).
type option struct {
	short  byte   // 0 = none
	long   string // empty = none
	value  string // what the help calls the value; empty = takes none
	help   string
	hidden bool // from the help
}

// name is the option's key in options.
func (o option) name() string {
	if o.long == "" {
		return string(rune(o.short))
	}
	return o.long
}

// options are the options given: the values of each, by name. An option
// without a value has empty ones.
type options map[string][]string

// has reports whether the option was given.
func (o options) has(name string) bool { return len(o[name]) > 0 }

// value returns the last value given, or "".
func (o options) value(name string) string {
	if v := o[name]; len(v) > 0 {
		return v[len(v)-1]
	}
	return ""
}

// usageError is an error in the command line. It is followed by a hint at the
// help.
type usageError string

func (e usageError) Error() string { return string(e) }

// parser splits a command line into options and arguments. Options may come
// anywhere; one that needs a value takes the next argument, even when other
// options stand between.
type parser struct {
	known   []option
	given   options
	order   []string // names of the options given that take no value
	args    []string
	waiting []string // as written, options that still need their value
	names   []string // their names
	// onArg may add known options when an argument is met.
	onArg func(n int, arg string) ([]option, error)
}

// errStop ends the parsing: --help or --version was met.
type errStop string

func (e errStop) Error() string { return string(e) }

// parse reads the command line, program name excluded. An error is a
// usageError, an errStop, or what onArg returned.
func (p *parser) parse(line []string) error {
	p.given = options{}
	ended := false
	for _, word := range line {
		var err error
		switch {
		case ended || word == "-" || !strings.HasPrefix(word, "-"):
			err = p.arg(word)
		case word == "--":
			ended = true
		case strings.HasPrefix(word, "--"):
			err = p.long(word)
		default:
			err = p.cluster(word)
		}
		if err != nil {
			return err
		}
	}
	if len(p.waiting) > 0 {
		return usageError("missing argument: " + p.waiting[0])
	}
	return nil
}

func (p *parser) arg(word string) error {
	if len(p.waiting) > 0 {
		p.given[p.names[0]] = append(p.given[p.names[0]], word)
		p.waiting, p.names = p.waiting[1:], p.names[1:]
		return nil
	}
	p.args = append(p.args, word)
	if p.onArg == nil {
		return nil
	}
	more, err := p.onArg(len(p.args), word)
	p.known = append(p.known[:len(p.known):len(p.known)], more...)
	return err
}

func (p *parser) long(word string) error {
	name, value, hasValue := strings.Cut(word[2:], "=")
	for _, o := range p.known {
		switch {
		case o.long == "" || o.long != name:
			continue
		case !hasValue:
			return p.take(o, word)
		case o.value == "":
			return usageError("unexpected argument: " + word)
		}
		p.given[o.long] = append(p.given[o.long], value)
		return nil
	}
	return usageError("invalid option: --" + name)
}

func (p *parser) cluster(word string) error {
	for i := 1; i < len(word); i++ {
		o, ok := p.shortOption(word[i])
		switch {
		case !ok:
			return usageError("invalid option: -" + word[i:i+1])
		case i == 1 && o.value != "" && len(word) > 2:
			p.given[o.name()] = append(p.given[o.name()], word[2:])
			return nil
		}
		if err := p.take(o, "-"+word[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) shortOption(c byte) (option, bool) {
	for _, o := range p.known {
		if o.short == c {
			return o, true
		}
	}
	return option{}, false
}

// take notes an option whose value, if it needs one, is still to come.
func (p *parser) take(o option, word string) error {
	switch {
	case o.value != "":
		p.waiting, p.names = append(p.waiting, word), append(p.names, o.name())
	case o.long == "help" || o.long == "version":
		return errStop(o.long)
	default:
		p.given[o.name()] = append(p.given[o.name()], "")
		p.order = append(p.order, o.name())
	}
	return nil
}
