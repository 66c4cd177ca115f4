//go:build linux

package main

import (
	"os"
	"strings"
	"testing"
)

const trackingFile = "../../docs/TRACKING.md"

const trackingHead = "# Daemons of Debian and their expect lines\n" + `
Each daemon is started as its package does it, and in the foreground, with right and wrong ` + "`expect`" + ` lines. The tables are
made by ` + "`go test ./cmd/init -run TestDaemons -update`" + `; without ` + "`-update`" + ` the test compares. Lines with stop, listen, notify
and dbus go with ` + "`expect timeout 20`" + `: without it, a daemon that does not speak the protocol is taken for ready after 90 s, with a
warning to remove the line.

* *start* is what becomes of ` + "`initctl start`" + `.
* *watched* is the process whose end is the end of the job.
* *advice* is what the warning about the ` + "`expect`" + ` line says to do, or, without advice, what went wrong.
* *stop* tells whether anything of the job lives after ` + "`initctl stop`" + `, *kill* whether init notices that the watched process is
  killed; neither is tried where nothing is watched.
`

// trackingTable is the text of docs/TRACKING.md.
func trackingTable(trials []*trial) string {
	var b strings.Builder
	b.WriteString(trackingHead)
	for _, d := range daemons {
		b.WriteString("\n## " + d.name + "\n")
		for _, w := range d.ways {
			b.WriteString(heading(w))
			for _, r := range trials {
				if r.d.name == d.name && r.way.run == w.run {
					b.WriteString(r.row())
				}
			}
		}
	}
	return b.String()
}

// heading is what the rows of one way of starting a daemon begin with.
func heading(w way) string {
	return "\n`" + oneLine(w.run) + "`\n\n| expect | start | watched | advice | stop | kill |\n|---|---|---|---|---|---|\n"
}

func (r *trial) row() string { return "| " + strings.Join(r.cells(), " | ") + " |\n" }

// isIn reports whether the text has the row.
func (r *trial) isIn(text string) bool {
	_, rows, _ := strings.Cut(text, heading(r.way))
	rows, _, _ = strings.Cut(rows, "\n\n")
	return strings.Contains("\n"+rows+"\n", "\n"+r.row())
}

func (r *trial) cells() []string {
	line, _, _ := strings.Cut(strings.TrimPrefix(r.expect, "expect "), "\n")
	return []string{line, r.started, r.supervised, r.advice, r.stopped, r.killed}
}

func oneLine(script string) string {
	return strings.Join(strings.Fields(script), " ")
}

// compareTracking wants the file to have this text, or writes it.
func compareTracking(t *testing.T, text string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(trackingFile, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	compareLines(t, trackingFile, readTracking(t), text, func(line string) bool { return strings.HasPrefix(line, "## ") || strings.HasPrefix(line, "`") })
}

func readTracking(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(trackingFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
