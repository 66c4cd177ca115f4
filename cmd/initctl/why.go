package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"onset/core/cause"
	"onset/core/control"
)

// change is one entry of what the Why method answers, newest first
// (EXTENSIONS §13).
type change struct {
	Time     time.Time `json:"time"`
	Action   string    `json:"action"`
	Instance string    `json:"instance"`
	Causes   []struct {
		Time    time.Time `json:"time"`
		Kind    string    `json:"kind"`
		Text    string    `json:"text"`
		UID     *int      `json:"uid"`
		PID     *int      `json:"pid"`
		Command string    `json:"command"`
	} `json:"causes"` // nearest first
}

// why prints the last change of each instance of a job with its causes, after
// the last thing since that changed nothing, or with --all the whole history;
// --json is init's answer as it came.
func (t *tool) why(args []string) error {
	text, err := ask[string](t, manager, control.Why, args[:min(len(args), 2)])
	if err != nil {
		return err
	}
	if t.opts.has("json") {
		t.print(text + "\n")
		return nil
	}
	var changes []change
	if json.Unmarshal([]byte(text), &changes) != nil {
		return spoken("Unexpected reply from init")
	}
	if len(changes) == 0 {
		t.print(args[0] + ": nothing has happened to it\n")
	}
	changed, idle := map[string]bool{}, map[string]bool{}
	for _, c := range changes {
		nothing := c.changedNothing()
		if t.opts.has("all") || !changed[c.Instance] && !(nothing && idle[c.Instance]) {
			t.print(c.format(args[0]))
		}
		if nothing {
			idle[c.Instance] = true
		} else {
			changed[c.Instance] = true
		}
	}
	return nil
}

// changedNothing reports whether a request was refused or a condition came
// true in vain, which does not say why a job is as it is.
func (c *change) changedNothing() bool {
	return c.Action == cause.Refuse.String() || c.Action == cause.Skip.String()
}

// format prints a change and, each further indented, its causes.
func (c *change) format(job string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s %s\n", stamp(c.Time), control.JobName(job, c.Instance), c.Action)
	for i, cause := range c.Causes {
		fmt.Fprintf(&b, "%s  %s%s", stamp(cause.Time), strings.Repeat("  ", i+1), strings.ReplaceAll(cause.Text, "\n", "; "))
		if cause.UID != nil && cause.PID != nil {
			fmt.Fprintf(&b, " (uid %d", *cause.UID)
			if *cause.PID >= 0 { // not every kernel tells
				fmt.Fprintf(&b, ", pid %d", *cause.PID)
			}
			if cause.Command != "" {
				b.WriteString(": " + cause.Command)
			}
			b.WriteByte(')')
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func stamp(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05.000") }
