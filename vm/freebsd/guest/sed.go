//go:build freebsd

package main

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// sedCommand is [N|$|/RE/](d|p|s/RE/TEXT/[gp]).
type sedCommand struct {
	line    int
	last    bool
	match   *regexp.Regexp
	verb    byte
	pattern *regexp.Regexp
	text    string
	global  bool
	print   bool
}

// sed knows -n, -E, -e and commands of a line or a match: d, p and s.
func sed(args []string) int {
	set, names := flags(args, "e")
	source := set['e']
	if source == "" {
		if len(names) == 0 {
			return fail("sed", errors.New("no commands"))
		}
		source, names = names[0], names[1:]
	}
	compile := func(re string) (*regexp.Regexp, error) {
		if set['E'] == "" {
			re = basic(re)
		}
		return regexp.Compile(re)
	}
	commands, err := sedParse(source, compile)
	if err != nil {
		return fail("sed", err)
	}
	var all []string
	err = lines(names, func(line string) bool { all = append(all, line); return true })
	for i, line := range all {
		deleted := false
		for _, c := range commands {
			if c.line != 0 && c.line != i+1 || c.last && i != len(all)-1 || c.match != nil && !c.match.MatchString(line) {
				continue
			}
			switch c.verb {
			case 'd':
				deleted = true
			case 'p':
				fmt.Println(line)
			case 's':
				was := line
				line = c.substitute(line)
				if c.print && line != was {
					fmt.Println(line)
				}
			}
			if deleted {
				break
			}
		}
		if !deleted && set['n'] == "" {
			fmt.Println(line)
		}
	}
	return done("sed", err)
}

func (c *sedCommand) substitute(line string) string {
	var out strings.Builder
	from := 0
	for _, at := range c.pattern.FindAllStringSubmatchIndex(line, -1) {
		out.WriteString(line[from:at[0]])
		out.Write(c.pattern.ExpandString(nil, c.text, line, at))
		from = at[1]
		if !c.global {
			break
		}
	}
	return out.String() + line[from:]
}

// part returns the text up to the next unescaped end, and what follows.
func part(s string, end byte) (text, rest string, err error) {
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			if s[i+1] == end {
				s = s[:i] + s[i+1:]
			} else {
				i++
			}
		} else if s[i] == end {
			return s[:i], s[i+1:], nil
		}
	}
	return "", "", fmt.Errorf("no %q in %q", end, s)
}

func sedParse(s string, compile func(string) (*regexp.Regexp, error)) (commands []sedCommand, err error) {
	for {
		s = strings.TrimLeft(s, "; \t\n")
		if s == "" {
			return commands, nil
		}
		var c sedCommand
		var re string
		switch {
		case s[0] == '/':
			if re, s, err = part(s[1:], '/'); err == nil {
				c.match, err = compile(re)
			}
		case s[0] == '$':
			c.last, s = true, s[1:]
		case s[0] >= '0' && s[0] <= '9':
			digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
			c.line, err = strconv.Atoi(s[:digits])
			s = s[digits:]
		}
		if err != nil || s == "" {
			return nil, errors.Join(err, errors.New("no command"))
		}
		c.verb, s = s[0], s[1:]
		switch {
		case c.verb == 's' && s != "":
			end := s[0]
			if re, s, err = part(s[1:], end); err == nil {
				c.pattern, err = compile(re)
			}
			if err == nil {
				c.text, s, err = part(s, end)
			}
			if err != nil {
				return nil, err
			}
			c.text = replacement(c.text)
			for ; s != "" && (s[0] == 'g' || s[0] == 'p'); s = s[1:] {
				c.global = c.global || s[0] == 'g'
				c.print = c.print || s[0] == 'p'
			}
		case c.verb != 'd' && c.verb != 'p':
			return nil, fmt.Errorf("unknown command %q", c.verb)
		}
		commands = append(commands, c)
	}
}

// replacement turns \1 and & into what package regexp expands.
func replacement(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			switch {
			case s[i] >= '1' && s[i] <= '9':
				out.WriteString("${" + s[i:i+1] + "}")
			case s[i] == 'n':
				out.WriteByte('\n')
			default:
				out.WriteByte(s[i])
			}
		case s[i] == '&':
			out.WriteString("${0}")
		case s[i] == '$':
			out.WriteString("$$")
		default:
			out.WriteByte(s[i])
		}
	}
	return out.String()
}
