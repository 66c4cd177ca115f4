package timers

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// window is what an operand `time-window` says: hours of days, which go on
// into the next day where they do not end after they begin.
type window struct {
	from, to time.Duration // since midnight, by the clock on the wall
	days     [7]bool       // on which it begins, from Sunday
	zone     *time.Location
}

// parseWindow reads the arguments of an operand `time-window`.
func parseWindow(args []string, find zones) (w window, err error) {
	w.to = 24 * time.Hour
	everyDay := true
	var names []string
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "FROM":
			w.from, err = parseHour(value)
		case "TO":
			w.to, err = parseHour(value)
		case "DAYS":
			everyDay = false
			w.days, err = parseDays(value)
		case "TZ":
			w.zone, err = find(value)
		case "NAME":
		default:
			return w, fmt.Errorf("%q is not known", arg)
		}
		if slices.Contains(names, key) {
			err = errors.New("it is there twice")
		}
		if err != nil {
			return w, fmt.Errorf("%s: %w", key, err)
		}
		names = append(names, key)
	}
	switch {
	case len(args) == 0:
		return w, errors.New("it needs one of FROM, TO and DAYS")
	case w.from == w.to || w.from == 24*time.Hour:
		return w, errors.New("it is empty")
	}
	if w.to < w.from {
		w.to += 24 * time.Hour
	}
	if everyDay {
		w.days = [7]bool{true, true, true, true, true, true, true}
	}
	return w, nil
}

// parseHour reads HH:MM, up to 24:00.
func parseHour(text string) (time.Duration, error) {
	if text == "24:00" {
		return 24 * time.Hour, nil
	}
	t, err := time.Parse("15:04", text)
	if err != nil {
		return 0, errors.New("it is not as 09:30")
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, nil
}

var dayNames = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// parseDays reads a list as mon-fri,sun.
func parseDays(text string) (days [7]bool, err error) {
	for item := range strings.SplitSeq(strings.ToLower(text), ",") {
		from, to, isRange := strings.Cut(item, "-")
		if !isRange {
			to = from
		}
		first, last := slices.Index(dayNames, from), slices.Index(dayNames, to)
		if first < 0 || last < 0 {
			return days, errors.New("it is not as mon-fri,sun")
		}
		for d := first; ; d = (d + 1) % 7 {
			days[d] = true
			if d == last {
				break
			}
		}
	}
	return days, nil
}

// at reports whether a time is in the window, and when that changes next;
// never if that is zero.
func (w window) at(t time.Time, zone *time.Location) (in bool, change time.Time) {
	if w.zone != nil {
		zone = w.zone
	}
	local := t.In(zone)
	today := time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, time.UTC)
	for d := -2; d <= 8; d++ {
		day := today.AddDate(0, 0, d)
		if !w.days[day.Weekday()] {
			continue
		}
		start, end := instant(day.Add(w.from), zone), instant(day.Add(w.to), zone)
		switch {
		case !end.After(t) || !end.After(start):
		case in && start.After(change): // a gap follows
			return in, change
		case in: // the next begins when this ends
			change = end
		case start.After(t):
			return false, start
		default:
			in, change = true, end
		}
	}
	if in && change.Sub(t) > 7*24*time.Hour {
		change = time.Time{} // all of the week
	}
	return in, change
}
