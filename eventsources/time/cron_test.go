package timers

import (
	"strings"
	"testing"
	"time"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := findZone(name)
	if err != nil {
		t.Skipf("there is no data of time zones here: %v: %s", err, name)
	}
	return z
}

func TestCronAndChangesOfTheZone(t *testing.T) {
	const berlin, york, howe, havana = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana"
	for _, c := range []struct {
		why, zone, expr, after string
		want                   string // the next ones
	}{
		{"an hour is left out: once, at the change", berlin, "30 2 * * *", "2026-03-28T12:00:00+01:00",
			"2026-03-29T03:00:00+02:00 2026-03-30T02:30:00+02:00"},
		{"twice in that hour: once", berlin, "0,30 2 * * *", "2026-03-28T12:00:00+01:00",
			"2026-03-29T03:00:00+02:00 2026-03-30T02:00:00+02:00"},
		{"at the end of that hour as well: once", berlin, "0 2,3 * * *", "2026-03-28T12:00:00+01:00",
			"2026-03-29T03:00:00+02:00 2026-03-30T02:00:00+02:00"},
		{"from within the last second before", berlin, "30 2 * * *", "2026-03-29T01:59:59.5+01:00", "2026-03-29T03:00:00+02:00"},
		{"an hour comes twice: the first", berlin, "30 2 * * *", "2026-10-24T12:00:00+02:00",
			"2026-10-25T02:30:00+02:00 2026-10-26T02:30:00+01:00"},
		{"from within the second of the two hours", berlin, "45 2 * * *", "2026-10-25T02:30:00+01:00", "2026-10-26T02:45:00+01:00"},
		{"each hour goes by time that passes: no 2 o'clock", berlin, "0 * * * *", "2026-03-29T01:00:00+01:00",
			"2026-03-29T03:00:00+02:00 2026-03-29T04:00:00+02:00"},
		{"and two of it in autumn", berlin, "0 * * * *", "2026-10-25T01:00:00+02:00",
			"2026-10-25T02:00:00+02:00 2026-10-25T02:00:00+01:00 2026-10-25T03:00:00+01:00"},
		{"each half hour", berlin, "*/30 * * * *", "2026-10-25T02:00:00+02:00",
			"2026-10-25T02:30:00+02:00 2026-10-25T02:00:00+01:00 2026-10-25T02:30:00+01:00 2026-10-25T03:00:00+01:00"},
		{"each minute of an hour that is left out: none", berlin, "* 2 * * *", "2026-03-28T02:59:00+01:00", "2026-03-30T02:00:00+02:00"},
		{"spring in New York", york, "15 2 * * *", "2026-03-07T03:00:00-05:00", "2026-03-08T03:00:00-04:00 2026-03-09T02:15:00-04:00"},
		{"autumn in New York", york, "15 1 * * *", "2026-10-31T03:00:00-04:00", "2026-11-01T01:15:00-04:00 2026-11-02T01:15:00-05:00"},
		{"@daily is not moved", york, "@daily", "2026-03-07T12:00:00-05:00",
			"2026-03-08T00:00:00-05:00 2026-03-09T00:00:00-04:00 2026-03-10T00:00:00-04:00"},
		{"half an hour is left out", howe, "15 2 * * *", "2026-10-03T12:00:00+10:30", "2026-10-04T02:30:00+11:00 2026-10-05T02:15:00+11:00"},
		{"half an hour comes twice", howe, "45 1 * * *", "2026-04-04T12:00:00+11:00", "2026-04-05T01:45:00+11:00 2026-04-06T01:45:00+10:30"},
		{"each quarter, half an hour twice", howe, "*/15 * * * *", "2026-04-05T01:30:00+11:00",
			"2026-04-05T01:45:00+11:00 2026-04-05T01:30:00+10:30 2026-04-05T01:45:00+10:30 2026-04-05T02:00:00+10:30"},
		{"midnight is left out", havana, "0 0 * * *", "2026-03-07T12:00:00-05:00", "2026-03-08T01:00:00-04:00 2026-03-09T00:00:00-04:00"},
		{"midnight is left out, a day of the week", havana, "0 0 * * 0", "2026-03-07T12:00:00-05:00", "2026-03-08T01:00:00-04:00 2026-03-15T00:00:00-04:00"},
		{"midnight comes twice", havana, "0 0 * * *", "2026-10-31T12:00:00-04:00", "2026-11-01T00:00:00-04:00 2026-11-02T00:00:00-05:00"},
		{"a day that is left out", "Pacific/Apia", "0 12 30 12 *", "2011-12-29T12:00:00-10:00", "2011-12-31T00:00:00+14:00"},
		{"no changes", "UTC", "0 4 * * 1-5", "2026-11-20T05:00:00Z", "2026-11-23T04:00:00Z 2026-11-24T04:00:00Z"},
		{"either day", "UTC", "0 0 13 * 5", "2026-11-12T05:00:00Z", "2026-11-13T00:00:00Z 2026-11-20T00:00:00Z"},
		{"both days where one begins with a star", "UTC", "0 0 */2 * 1", "2026-11-02T05:00:00Z", "2026-11-09T00:00:00Z 2026-11-23T00:00:00Z"},
		{"Sunday is 7 too", "UTC", "0 0 * * 7", "2026-11-20T05:00:00Z", "2026-11-22T00:00:00Z"},
		{"names", "UTC", "0 0 * feb MON-wed", "2026-11-20T05:00:00Z", "2027-02-01T00:00:00Z 2027-02-02T00:00:00Z 2027-02-03T00:00:00Z 2027-02-08T00:00:00Z"},
		{"a leap day", "UTC", "0 0 29 2 *", "2026-11-20T05:00:00Z", "2028-02-29T00:00:00Z 2032-02-29T00:00:00Z"},
		{"eight years without one", "UTC", "0 0 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z"},
		{"eight years without one, by minutes", york, "*/30 0 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00-05:00 2104-02-29T00:30:00-05:00"},
		{"the second Monday and the last Friday", "UTC", "0 0 * * mon#2,5L", "2026-11-20T05:00:00Z", "2026-11-27T00:00:00Z 2026-12-14T00:00:00Z"},
		{"the weekday nearest to the 1st", "UTC", "0 0 1w * *", "2026-07-20T05:00:00Z", "2026-08-03T00:00:00Z 2026-09-01T00:00:00Z"},
		{"the last of the month", "UTC", "0 0 L * *", "2026-11-20T05:00:00Z", "2026-11-30T00:00:00Z 2026-12-31T00:00:00Z"},
	} {
		t.Run(c.why, func(t *testing.T) {
			z := zone(t, c.zone)
			cron, err := parseCron(c.expr)
			if err != nil {
				t.Fatal(err)
			}
			at, err := time.Parse(time.RFC3339Nano, c.after)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for range strings.Fields(c.want) {
				next, ok := cron.next(at, z)
				if !ok || !next.After(at) {
					t.Fatalf("%v after %v", next, at)
				}
				at = next
				got = append(got, next.In(z).Format(time.RFC3339Nano))
			}
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("got  %s\nwant %s", s, c.want)
			}
		})
	}
}

// TestCronAgainstMinutes compares with looking at each minute of four months.
func TestCronAgainstMinutes(t *testing.T) {
	for _, expr := range []string{"7 3 * * *", "*/7 */5 * * *", "0 12 1,15 * 3", "30 1 25-31 3,10 7", "59 23 31 * *", "5-50/15 8-17 * 1-6 mon-fri"} {
		c, err := parseCron(expr)
		if err != nil {
			t.Fatal(err)
		}
		at, plainly := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), newPlain(expr)
		next, _ := c.next(at, time.UTC)
		for end := at.AddDate(0, 4, 0); at.Before(end); {
			at = at.Add(time.Minute)
			due := plainly.matches(at)
			if due != at.Equal(next) {
				t.Fatalf("%q: at %v due is %v, next was %v", expr, at, due, next)
			}
			if due {
				next, _ = c.next(at, time.UTC)
			}
		}
	}
}

// plain is crontab(5) for the expressions of a test.
type plain struct {
	is     [5][100]bool
	either bool // day
}

func newPlain(expr string) *plain {
	fields := strings.Fields(strings.NewReplacer("mon", "1", "fri", "5").Replace(expr))
	p := &plain{either: fields[2][0] != '*' && fields[4][0] != '*'}
	for i, field := range fields {
		for item := range strings.SplitSeq(field, ",") {
			span, stepText, hasStep := strings.Cut(item, "/")
			first, last, step := 0, 99, 1
			if span != "*" {
				from, to, isRange := strings.Cut(span, "-")
				if first = number(from); isRange {
					last = number(to)
				} else {
					last = first
				}
			} else if i == 2 || i == 3 {
				first = 1
			}
			if hasStep {
				step = number(stepText)
			}
			for n := first; n <= last; n += step {
				p.is[i][n] = true
			}
		}
	}
	p.is[4][0] = p.is[4][0] || p.is[4][7]
	return p
}

func (p *plain) matches(at time.Time) bool {
	dom, dow := p.is[2][at.Day()], p.is[4][at.Weekday()]
	return p.is[0][at.Minute()] && p.is[1][at.Hour()] && p.is[3][at.Month()] && (dom && dow || p.either && (dom || dow))
}

func number(text string) (n int) {
	for _, c := range text {
		n = n*10 + int(c-'0')
	}
	return n
}

func TestCronRefuses(t *testing.T) {
	for _, expr := range []string{"", "* * * *", "* * * * * *", "60 * * * *", "0 24 * * *", "0 0 0 * *", "0 0 32 * *", "0 0 * 13 *", "0 0 * * 8",
		"0 0 31 2 *", "* * 30 feb *", "a * * * *", "5,60 * * * *", "5,,6 * * * *", "*/0 * * * *", "*/-1 * * * *", "1-2-3 * * * *", "9-1 * * * *",
		"? * * * *", "@reboot", "@every 5m", "@5minutes", "@", "-1 * * * *", "1- * * * *", "1/2/3 * * * *", "*/99999999999999999999 * * * *",
		"* * * * mon-", "* * * * * 2027", "0 4 * * 1#-5", "0 4 * * 1#6", "0 4 * * 1#2#3", "0 4 * * 8#1", "0 4 * * 8L", "0 4 32W * *", "0 4 0w * *",
		"0 0 31" + strings.Repeat(",31", 2000) + " 2 *"} {
		if c, err := parseCron(expr); err == nil {
			t.Errorf("%q: %+v", expr, c)
		}
	}
}

func TestWindows(t *testing.T) {
	for _, c := range []struct {
		why, zone, args string
		from            string
		want            string // whether it holds then, and when it changes
	}{
		{"office hours", "UTC", "FROM=09:00 TO=17:00 DAYS=mon-fri", "2026-11-20T12:00:00Z",
			"in 2026-11-20T17:00:00Z 2026-11-23T09:00:00Z 2026-11-23T17:00:00Z"},
		{"over midnight, by the day it begins", "UTC", "FROM=22:00 TO=06:00 DAYS=fri", "2026-11-20T12:00:00Z",
			"out 2026-11-20T22:00:00Z 2026-11-21T06:00:00Z 2026-11-27T22:00:00Z"},
		{"after midnight", "UTC", "FROM=22:00 TO=06:00 DAYS=fri", "2026-11-21T05:59:59Z", "in 2026-11-21T06:00:00Z"},
		{"whole days", "UTC", "DAYS=sat,sun", "2026-11-21T12:00:00Z", "in 2026-11-23T00:00:00Z 2026-11-28T00:00:00Z"},
		{"days around the end of the week", "UTC", "DAYS=fri-mon", "2026-11-21T12:00:00Z", "in 2026-11-24T00:00:00Z 2026-11-27T00:00:00Z"},
		{"the whole week", "UTC", "DAYS=mon-sun", "2026-11-21T12:00:00Z", "in"},
		{"until midnight", "UTC", "FROM=20:00", "2026-11-21T12:00:00Z", "out 2026-11-21T20:00:00Z 2026-11-22T00:00:00Z"},
		{"the end is not in it", "UTC", "FROM=09:00 TO=17:00", "2026-11-21T17:00:00Z", "out 2026-11-22T09:00:00Z"},
		{"a day of 23 hours", "Europe/Berlin", "FROM=01:00 TO=04:00", "2026-03-28T12:00:00+01:00",
			"out 2026-03-29T01:00:00+01:00 2026-03-29T04:00:00+02:00 2026-03-30T01:00:00+02:00"},
		{"it begins in what is left out", "Europe/Berlin", "FROM=02:30 TO=04:00", "2026-03-28T12:00:00+01:00",
			"out 2026-03-29T03:00:00+02:00 2026-03-29T04:00:00+02:00"},
		{"all of it is left out", "Europe/Berlin", "FROM=02:15 TO=02:45", "2026-03-28T12:00:00+01:00",
			"out 2026-03-30T02:15:00+02:00 2026-03-30T02:45:00+02:00"},
		{"an hour comes twice", "Europe/Berlin", "FROM=02:15 TO=02:45", "2026-10-24T12:00:00+02:00",
			"out 2026-10-25T02:15:00+02:00 2026-10-25T02:45:00+02:00 2026-10-26T02:15:00+01:00"},
		{"over a day of 25 hours", "America/New_York", "FROM=00:30 TO=03:00", "2026-10-31T12:00:00-04:00",
			"out 2026-11-01T00:30:00-04:00 2026-11-01T03:00:00-05:00"},
		{"half an hour is left out", "Australia/Lord_Howe", "FROM=02:15 TO=03:00", "2026-10-03T12:00:00+10:30",
			"out 2026-10-04T02:30:00+11:00 2026-10-04T03:00:00+11:00"},
		{"midnight is left out", "America/Havana", "DAYS=sun", "2026-03-07T12:00:00-05:00", "out 2026-03-08T01:00:00-04:00 2026-03-09T00:00:00-04:00"},
	} {
		t.Run(c.why, func(t *testing.T) {
			z := zone(t, c.zone)
			w, err := parseWindow(strings.Fields(c.args), findZone)
			if err != nil {
				t.Fatal(err)
			}
			at, err := time.Parse(time.RFC3339, c.from)
			if err != nil {
				t.Fatal(err)
			}
			in, change := w.at(at, z)
			got := []string{map[bool]string{true: "in", false: "out"}[in]}
			for range len(strings.Fields(c.want)) - 1 {
				got = append(got, change.In(z).Format(time.RFC3339))
				at = change
				before := in
				if in, change = w.at(at, z); in == before {
					t.Fatalf("no change at %v", at)
				}
			}
			if len(got) == 1 && !change.IsZero() {
				got = append(got, change.String())
			}
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("got  %s\nwant %s", s, c.want)
			}
		})
	}
	for _, args := range []string{"", "FROM=9:60", "FROM=24:01", "FROM=25:00", "TO=", "FROM=09:00 TO=09:00", "FROM=24:00", "DAYS=", "DAYS=mon-", "DAYS=monday",
		"FROM=01:00 FROM=02:00", "TZ=Nowhere/Land FROM=01:00", "TZ= FROM=01:00", "TZ=../etc/passwd FROM=01:00", "UNTIL=10:00", "10:00"} {
		if w, err := parseWindow(strings.Fields(args), findZone); err == nil {
			t.Errorf("%q: %+v", args, w)
		}
	}
}
