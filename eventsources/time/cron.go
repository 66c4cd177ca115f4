package timers

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/adhocore/gronx"
)

// cron is a cron expression. The library is asked in UTC alone, as if it were
// the wall clock's time; what zones and their changes make of that is here.
type cron struct {
	expr string
	// elapsed is an expression whose minute or hour begins with a star: it goes
	// by time that passes, as in Debian's cron(8), and not by what the clock
	// leaves out or shows twice.
	elapsed bool
}

// descriptors are the words for expressions.
var descriptors = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
	"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}

// parseCron reads five fields, or a word for them.
func parseCron(text string) (cron, error) {
	expr := text
	if strings.HasPrefix(text, "@") {
		if expr = descriptors[strings.ToLower(text)]; expr == "" {
			return cron{}, errors.New("it is not known")
		}
	}
	fields := strings.Fields(expr)
	if len(fields) != 5 {
		return cron{}, errors.New("it has not five fields")
	}
	for i, field := range fields {
		if len(field) > maxField {
			return cron{}, errors.New("a field is too long")
		}
		for item := range strings.SplitSeq(field, ",") {
			// Each alone, since the library does not look at all of a list.
			valid := func(item string) bool {
				alone := []string{"*", "*", "*", "*", "*"}
				alone[i] = item
				return gronx.IsValid(strings.Join(alone, " "))
			}
			if !validItem(item) || !valid(item) || !valid(dayOf(item)) {
				return cron{}, fmt.Errorf("%q is not valid there", item)
			}
		}
	}
	c := cron{strings.Join(fields, " "), fields[0][0] == '*' || fields[1][0] == '*'}
	if _, ok := c.wallAfter(time.Now().UTC()); !ok {
		return cron{}, errors.New("it is never")
	}
	return c, nil
}

// maxField has room for all minutes of an hour, one by one.
const maxField = 255

// validItem leaves out what the library takes and cron does not.
func validItem(item string) bool {
	item, step, _ := strings.Cut(item, "/")
	_, end, _ := strings.Cut(item, "-")
	_, nth, isNth := strings.Cut(item, "#")
	return !strings.ContainsAny(item+step, "?/ ") && !strings.Contains(end, "-") && len(step) <= 3 &&
		(!isNth || len(nth) == 1 && nth[0] >= '1' && nth[0] <= '5')
}

// dayOf returns the number in 1L, 15W and 1#2, which the library takes whatever
// it is; any other item as it is.
func dayOf(item string) string {
	rest := strings.TrimLeft(item, "0123456789")
	if rest == "" || !strings.Contains("LlWw#", rest[:1]) || len(rest) == len(item) {
		return item
	}
	return item[:len(item)-len(rest)]
}

// wallAfter returns the next match after a time of a clock without zones.
func (c cron) wallAfter(t time.Time) (time.Time, bool) {
	next, err := gronx.NextTickAfter(c.expr, t, false)
	return next, err == nil && next.After(t)
}

// next returns the first time after that one; false if there is none.
func (c cron) next(after time.Time, zone *time.Location) (time.Time, bool) {
	if c.elapsed {
		return c.nextElapsed(after, zone)
	}
	for wall := wallOf(after.In(zone)); ; {
		next, ok := c.wallAfter(wall)
		if !ok {
			return time.Time{}, false
		}
		if t := instant(next, zone); t.After(after) {
			return t, true
		}
		wall = next
	}
}

// nextElapsed looks in one stretch without a change of the zone after the other.
func (c cron) nextElapsed(after time.Time, zone *time.Location) (time.Time, bool) {
	for at := after.In(zone); ; {
		_, end := bounds(at)
		_, offset := at.Zone()
		next, ok := c.wallAfter(wallOf(at))
		if !ok {
			return time.Time{}, false
		}
		t := next.Add(-time.Duration(offset) * time.Second).In(zone)
		if end.IsZero() || t.Before(end) {
			return t, true
		}
		if at = end.In(zone); c.matches(wallOf(at)) {
			return at, true
		}
	}
}

func (c cron) matches(wall time.Time) bool {
	due, err := gronx.New().IsDue(c.expr, wall)
	return due && err == nil
}

// bounds returns between which changes of its zone a time is. The library's
// answer for the last day of leap years from 2040 on is a day short.
func bounds(t time.Time) (start, end time.Time) {
	start, end = t.ZoneBounds()
	if !end.IsZero() && !end.After(t) {
		end = t.Add(24 * time.Hour)
	}
	return start, end
}

// wallOf returns what a clock there shows, as a time of a clock without zones.
func wallOf(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// instant returns when clocks of a zone show a time first. That of one which
// they leave out is the moment of the change.
func instant(wall time.Time, zone *time.Location) time.Time {
	at := wall.Add(-26 * time.Hour).In(zone) // before, whatever the zone
	for {
		start, end := bounds(at)
		_, offset := at.Zone()
		t := wall.Add(-time.Duration(offset) * time.Second).In(zone)
		switch {
		case t.Before(start):
			return start
		case end.IsZero() || t.Before(end):
			return t
		}
		at = end.In(zone)
	}
}

// errZone is of a time zone that is none.
var errZone = errors.New("no such time zone here")

// findZone returns a time zone by its name in the system's data (tzfile(5)).
func findZone(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		return nil, errZone
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, errZone
	}
	return zone, nil
}
