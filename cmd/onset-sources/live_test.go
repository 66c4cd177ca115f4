package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"onset/eventsources"
	"onset/eventsources/sourcetest"
)

// scriptMark in the environment makes the test binary onset-sources with one
// source, which does what the lines of that file say as it grows.
const scriptMark = "ONSET_TEST_SCRIPT"

// TestMain makes the test binary the real program too, by a name of it.
func TestMain(m *testing.M) {
	name := os.Getenv(scriptMark)
	if name != "" {
		sources = func(*options) []eventsources.Source { return []eventsources.Source{script(name)} }
	}
	if program := filepath.Base(os.Args[0]); name != "" || program == "onset-sources" || strings.HasPrefix(program, "upstart-") {
		main()
		return
	}
	os.Exit(m.Run())
}

// script is a source that reads a FIFO and keeps what holds in a file.
type script string

func (script) Name() string { return "script" }
func (script) Concerns(c eventsources.Condition) bool {
	return strings.HasPrefix(c.Operand.Name, "thing")
}
func (s script) Run(ctx context.Context, init eventsources.Init) error {
	stop := context.AfterFunc(ctx, func() { os.Exit(0) }) // reading the FIFO does not end by itself
	defer stop()
	kept, _ := os.ReadFile(string(s) + ".holds")
	if len(kept) > 0 {
		if err := init.Hold([]eventsources.Fact{{Name: "thing", Env: []string{string(kept)}}}); err != nil {
			return err
		}
	}
	for {
		file, err := os.Open(string(s))
		if err != nil {
			return err
		}
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			if err := s.do(ctx, init, lines.Text()); err != nil {
				return err
			}
		}
		file.Close()
	}
}

func (s script) do(ctx context.Context, init eventsources.Init, line string) error {
	verb, arg, _ := strings.Cut(line, " ")
	switch verb {
	case "assert":
		if err := os.WriteFile(string(s)+".holds", []byte(arg), 0o600); err != nil {
			return err
		}
		return init.Assert(eventsources.Fact{Name: "thing", Env: []string{arg}})
	case "emit":
		return init.Emit(ctx, eventsources.Event{Name: "thing-added", Env: []string{arg}})
	case "wait":
		if err := init.EmitWait(ctx, eventsources.Event{Name: "thing-added", Env: []string{arg}}); err != nil {
			fmt.Println("failed:", err)
		}
		fmt.Println("waited")
		return nil
	case "storm":
		return storm(ctx, init, arg)
	case "pid":
		fmt.Println("pid", os.Getpid())
		return nil
	}
	return fmt.Errorf("unknown word %q", verb)
}

// world is a session whose job sources runs the script.
type world struct {
	*sourcetest.Session
	t *testing.T
}

func newWorld(t *testing.T) *world {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, Session: sourcetest.NewSession(t, map[string]string{
		"sources.conf": "start on go\nrespawn\nenv " + scriptMark + "=PATH/script\nexec " + self + "\n",
		"keeps.conf":   "while thing N=*\ninstance $N\nexec sleep 1000000\n",
		"once.conf":    "start on thing-added\ninstance $N\ntask\nscript\n\techo got $N\n\techo $N >>PATH/ran\nend script\n",
		"bad.conf":     "start on thing-added N=bad\ntask\nexec false\n",
	})}
	if err := syscall.Mkfifo(w.Path("script"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.Initctl("emit", "go")
	return w
}

// say has the source do something.
func (w *world) say(line string) {
	w.t.Helper()
	file, err := os.OpenFile(w.Path("script"), os.O_WRONLY, 0)
	if err == nil {
		_, err = fmt.Fprintln(file, line)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	file.Close()
}

func (w *world) awaitText(what, text string, get func() string) {
	w.t.Helper()
	w.Await(what, func() bool { return strings.Contains(get(), text) })
}

func (w *world) list() string { return w.Initctl("list") }

// keeper returns the status of the instance that a fact keeps.
func (w *world) keeper() string {
	for line := range strings.Lines(w.list()) {
		if strings.HasPrefix(line, "keeps (") {
			return line
		}
	}
	return ""
}

func TestEventsStartJobs(t *testing.T) {
	w := newWorld(t)
	w.say("emit N=1")
	w.awaitText("the job", "got 1\n", func() string { return w.Log("once-1") })
	w.say("wait N=2")
	w.awaitText("the end of the event", "waited\n", func() string { return w.Log("sources") })
	if ran, _ := os.ReadFile(w.Path("ran")); !strings.HasSuffix(string(ran), "2\n") {
		t.Errorf("told of the end before the job had run: %q", ran)
	}
	w.say("wait N=bad")
	w.awaitText("a failure", "failed: ", func() string { return w.Log("sources") })
}

// TestKilledHost wants facts to outlive the process that asserted them for as
// long as it takes init to start another, and no longer.
func TestKilledHost(t *testing.T) {
	t.Parallel() // it waits most of the time
	w := newWorld(t)
	w.say("assert N=7")
	w.awaitText("the job", "start/running", w.keeper)
	before := w.keeper()
	for range 3 {
		status := w.Initctl("status", "sources")
		pid, err := strconv.Atoi(strings.TrimSpace(status[strings.LastIndexByte(status, ' ')+1:]))
		if err != nil {
			t.Fatalf("%q", status)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		w.Await("the next host", func() bool {
			next := w.Initctl("status", "sources")
			return strings.Contains(next, "running") && next != status
		})
		w.say("pid")
	}
	w.Await("the facts of the dead to end", func() bool { return strings.Count(w.Initctl("facts"), "N=7 (source)") == 1 })
	if after := w.keeper(); after != before {
		t.Errorf("%q was interrupted: %q", before, after)
	}
	w.Initctl("stop", "sources")
	w.Await("the end of the job", func() bool { return w.keeper() == "" })
}
