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

// everything is what a service can have of its own, where its files have to
// be those of the test.
const everything = "namespace mount pid net uts ipc user cgroup\nprivate dev\nreadonly /usr\n"

// TestReadyInNamespaces has services say by each protocol, from inside their
// namespaces, that they are ready, and stops them, who know of no signal.
func TestReadyInNamespaces(t *testing.T) {
	const forever = "\nkill timeout 3600\n"
	s := startSession(t, map[string]string{
		"none.conf":   everything + "exec sleep 3600" + forever,
		"notify.conf": everything + "expect notify\nexec " + client("notify", "READY=1", "sleep") + forever,
		"fd.conf":     everything + "expect fd 3\nscript\necho >&3\nexec sleep 3600\nend script" + forever,
		"listen.conf": everything + "expect listen *:7\nexec " + client("listen", "tcp", "127.0.0.1:7", "sleep") + forever,
	})
	for _, job := range []string{"none", "notify", "fd", "listen"} {
		if err := s.tryRun("start", job); err != nil {
			if strings.Contains(s.messages(), "unable to isolate: user:") {
				t.Skip("no user namespaces here")
			}
			t.Fatalf("%s does not start: %v", job, err)
		}
		if got := s.run("status", job); !strings.HasPrefix(got, job+" start/running, process ") {
			t.Errorf("%s", got)
		}
		if got := s.run("stop", job); got != job+" stop/waiting\n" {
			t.Errorf("%s", got)
		}
	}
}

// TestOptionalNamespace tells once what a job does without, and why another
// does not start.
func TestOptionalNamespace(t *testing.T) {
	s := startSession(t, map[string]string{
		"with.conf":    "namespace net /nowhere\nexec sleep 3600\n",
		"without.conf": "namespace optional net /nowhere\nexec sleep 3600\n",
		"forks.conf":   "namespace pid\nexpect daemon\nexec sleep 3600\n",
	})
	s.run("log-priority", "info")
	for range 2 {
		s.run("start", "without")
		s.run("stop", "without")
	}
	for _, job := range []string{"with", "forks"} {
		if s.tryRun("start", job) == nil {
			t.Errorf("%s is started", job)
		}
	}
	const last = "unable to isolate: pid: its processes end with the first"
	s.await("the last message", func() bool { return strings.Contains(s.messages(), last) })
	for _, text := range []string{last, "without namespace net /nowhere is left out: No such file or directory\n",
		"unable to isolate: net /nowhere: No such file or directory\n"} {
		if n := strings.Count(s.messages(), text); n != 1 {
			t.Errorf("%d times %q, want it once", n, text)
		}
	}
}
