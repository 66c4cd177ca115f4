package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// timerInfo is a timer of a job (EXTENSIONS §8), and the schema of timers
// --json: an array of these. Times are in RFC 3339; one that there is not is
// left out.
type timerInfo struct {
	Job   string `json:"job"`
	Timer string `json:"timer"` // the operand's arguments, as in a job file
	Next  string `json:"next,omitempty"`
	Last  string `json:"last,omitempty"`

	next time.Time
}

// timers prints what the source of time tells of its timers in facts.
func (t *tool) timers([]string) error {
	facts, err := t.getFacts()
	if err != nil {
		return err
	}
	list := []timerInfo{}
	for _, f := range facts {
		if f.Name == "timer" && strings.HasPrefix(f.Owner, "source") {
			list = append(list, newTimerInfo(f.Env))
		}
	}
	// Facts of a source that was killed hold for a while beside the next one's.
	slices.SortStableFunc(list, func(a, b timerInfo) int {
		return cmp.Or(cmp.Compare(a.Job, b.Job), cmp.Compare(a.Timer, b.Timer), b.next.Compare(a.next))
	})
	list = slices.CompactFunc(list, func(a, b timerInfo) bool { return a.Job == b.Job && a.Timer == b.Timer })
	slices.SortStableFunc(list, func(a, b timerInfo) int {
		if a.next.IsZero() != b.next.IsZero() {
			return b.next.Compare(a.next)
		}
		return a.next.Compare(b.next)
	})
	if t.opts.has("json") {
		return t.printJSON(list)
	}
	if len(list) > 0 {
		t.print(timerTable(list, t.now()))
	}
	return nil
}

func newTimerInfo(env []string) (info timerInfo) {
	for _, variable := range env {
		key, value, _ := strings.Cut(variable, "=")
		switch key {
		case "JOB":
			info.Job = value
		case "TIMER":
			info.Timer = value
		case "NEXT":
			info.Next = value
			info.next, _ = time.Parse(time.RFC3339, value)
		case "LAST":
			info.Last = value
		}
	}
	return info
}

// timerTable returns the timers in columns.
func timerTable(list []timerInfo, now time.Time) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NEXT\tLEFT\tLAST\tJOB\tTIMER")
	for _, i := range list {
		left := "-"
		if !i.next.IsZero() {
			left = shortDuration(i.next.Sub(now))
		}
		fmt.Fprintln(w, strings.Join([]string{shownTime(i.Next), left, shownTime(i.Last), i.Job, i.Timer}, "\t"))
	}
	w.Flush()
	return b.String()
}

func shownTime(text string) string {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return "-"
	}
	return at.Local().Format("Mon 2006-01-02 15:04:05 MST")
}

// shortDuration returns the two largest units of a time that is left.
func shortDuration(d time.Duration) string {
	var parts []string
	for _, unit := range []struct {
		name string
		size time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"min", time.Minute}, {"s", time.Second}} {
		if n := d / unit.size; n > 0 || len(parts) > 0 {
			parts = append(parts, fmt.Sprint(int64(n), unit.name))
			d -= n * unit.size
		}
	}
	if len(parts) == 0 {
		return "now"
	}
	return strings.Join(parts[:min(len(parts), 2)], " ")
}
