package timers

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"onset/core/expr"
)

// kind is when a timer is due.
type kind uint8

const (
	every kind = iota
	calendar
	at
	after
)

// spec is what an operand says.
type spec struct {
	kind       kind
	every      time.Duration // every
	cron       cron          // calendar
	zone       *time.Location
	at         time.Time // at
	after      expr.Node // after
	delay      time.Duration
	jitter     time.Duration
	count      int // 0: no limit
	persistent bool
	queue      bool
}

// byWall reports whether a timer goes by the wall clock.
func (s *spec) byWall() bool { return s.kind == calendar || s.kind == at }

// zones finds time zones.
type zones func(name string) (*time.Location, error)

// variables are those of an operand; each sets one thing.
var variables = map[string]func(s *spec, value string, find zones) error{
	"EVERY": func(s *spec, v string, _ zones) (err error) {
		if s.every, err = parseDuration(v); err == nil && s.every == 0 {
			err = errors.New("it is zero")
		}
		return err
	},
	"CRON": func(s *spec, v string, _ zones) (err error) {
		s.kind = calendar
		s.cron, err = parseCron(v)
		return err
	},
	"AT": func(s *spec, v string, _ zones) (err error) {
		s.kind = at
		if s.at, err = time.Parse(time.RFC3339, v); err != nil {
			err = errors.New("it is not as 2027-01-31T23:59:59Z or with +01:00 in place of Z")
		} else if y := s.at.UTC().Year(); y < 1970 || y > 2250 {
			err = errors.New("it is too far") // for 64 bits of nanoseconds
		}
		return err
	},
	"AFTER": func(s *spec, v string, _ zones) (err error) {
		s.kind = after
		s.after, err = parseEvent(v)
		return err
	},
	"DELAY":      func(s *spec, v string, _ zones) (err error) { s.delay, err = parseDuration(v); return err },
	"JITTER":     func(s *spec, v string, _ zones) (err error) { s.jitter, err = parseDuration(v); return err },
	"TZ":         func(s *spec, v string, find zones) (err error) { s.zone, err = find(v); return err },
	"PERSISTENT": func(s *spec, v string, _ zones) (err error) { s.persistent, err = choose(v, "no", "yes"); return err },
	"OVERLAP":    func(s *spec, v string, _ zones) (err error) { s.queue, err = choose(v, "skip", "queue"); return err },
	"COUNT": func(s *spec, v string, _ zones) (err error) {
		if s.count, err = strconv.Atoi(v); err != nil || s.count < 1 {
			err = errors.New("it is not a number from 1")
		}
		return err
	},
	"NAME": func(*spec, string, zones) error { return nil },
}

// parse reads the arguments of an operand `time`.
func parse(args []string, find zones) (s spec, err error) {
	var names []string
	for _, arg := range args {
		key, value, ok := strings.Cut(arg, "=")
		set := variables[key]
		switch {
		case !ok || set == nil:
			return s, fmt.Errorf("%q is not known", arg)
		case slices.Contains(names, key):
			return s, fmt.Errorf("%s is there twice", key)
		case strings.Contains(value, "$"):
			return s, fmt.Errorf("%s has a variable in it", key)
		}
		if err := set(&s, value, find); err != nil {
			return s, fmt.Errorf("%s: %w", key, err)
		}
		names = append(names, key)
	}
	has := func(key string) bool { return slices.Contains(names, key) }
	kinds := 0
	for _, key := range []string{"EVERY", "CRON", "AT", "AFTER"} {
		if has(key) {
			kinds++
		}
	}
	switch n := (expr.Node{Name: eventName, Args: args}); {
	case kinds != 1:
		return s, errors.New("it needs one of EVERY, CRON, AT and AFTER")
	case has("DELAY") && s.kind != after:
		return s, errors.New("DELAY goes with AFTER")
	case has("TZ") && s.kind != calendar:
		return s, errors.New("TZ goes with CRON")
	case !n.Matches(&expr.Subject{Name: eventName, Env: args}, nil):
		return s, errors.New("as a pattern it does not match itself")
	}
	return s, nil
}

func choose(value, no, yes string) (bool, error) {
	if value != no && value != yes {
		return false, fmt.Errorf("it is neither %s nor %s", no, yes)
	}
	return value == yes, nil
}

var units = map[byte]time.Duration{
	's': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour,
}

// longest is the longest duration of an operand.
const longest = 100 * 366 * 24 * time.Hour

// parseDuration reads a duration as 90, 10m or 1h30m, with s m h d w for units.
func parseDuration(text string) (total time.Duration, err error) {
	if _, err := strconv.ParseUint(text, 10, 64); err == nil {
		text += "s"
	}
	bad := errors.New("it is not a time as 90, 10m or 1h30m")
	for rest := text; rest != "" || text == ""; {
		n := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		if n <= 0 || units[rest[n]] == 0 {
			return 0, bad
		}
		number, err := strconv.ParseInt(rest[:n], 10, 64)
		if unit := units[rest[n]]; err != nil || number > int64((longest-total)/unit) {
			return 0, errors.New("it is too long")
		} else {
			total += time.Duration(number) * unit
		}
		rest = rest[n+1:]
	}
	return total, nil
}

// parseEvent reads an operand as it is written in a job file: words, of which
// parts may be quoted.
func parseEvent(text string) (n expr.Node, err error) {
	words, err := splitWords(text)
	switch {
	case err != nil:
		return n, err
	case len(words) == 0 || words[0] == "":
		return n, errors.New("it names no event")
	case words[0] == eventName:
		return n, errors.New("timers do not wait for each other")
	}
	return expr.Node{Name: words[0], Args: words[1:]}, nil
}

func splitWords(text string) (words []string, err error) {
	var word []byte
	var quote byte
	inWord := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text):
			i++
			word, inWord = append(word, text[i]), true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, inWord = c, true
		case quote == 0 && (c == ' ' || c == '\t' || c == '\n'):
			if inWord {
				words = append(words, string(word))
			}
			word, inWord = nil, false
		default:
			word, inWord = append(word, c), true
		}
	}
	if quote != 0 {
		return nil, errors.New("a quote is not closed")
	}
	if inWord {
		words = append(words, string(word))
	}
	return words, nil
}
