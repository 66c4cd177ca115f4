//go:build linux

package main

import (
	"os"
	"strings"
	"testing"
)

// TestIsolationExample runs the example of docs/ISOLATION.md.
func TestIsolationExample(t *testing.T) {
	text, err := os.ReadFile("../../docs/ISOLATION.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(text), "## An example\n")
	conf, want, ok := strings.Cut(example, "\nwrites to its log:\n")
	if !ok {
		t.Fatal("there is no example")
	}
	s := startSession(t, map[string]string{"shown.conf": unindent(conf)})
	if err := s.tryRun("start", "shown"); err != nil {
		if strings.Contains(s.messages(), "unable to isolate: user:") {
			t.Skip("no user namespaces here")
		}
		t.Fatalf("%v\n%s", err, s.messages())
	}
	var got string
	s.await("the log", func() bool {
		log, _ := os.ReadFile(s.path("log", "shown.log"))
		got = strings.ReplaceAll(string(log), "\r\n", "\n")
		return strings.Count(got, "\n") == strings.Count(unindent(want), "\n")
	})
	if got != unindent(want) {
		t.Errorf("it says\n%s\nwant\n%s", got, unindent(want))
	}
}

// unindent returns the lines of an indented block.
func unindent(block string) string {
	var b strings.Builder
	for line := range strings.Lines(block) {
		if rest, ok := strings.CutPrefix(line, "    "); ok {
			b.WriteString(rest)
		} else if b.Len() > 0 {
			break
		}
	}
	return b.String()
}
