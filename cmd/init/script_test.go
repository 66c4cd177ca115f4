//go:build linux || freebsd

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write what the scripts give into them")

// A script is job files ("-- NAME --") and, below "-- RUN --", commands of a
// shell with what they gave: lines of output, lines of error output behind
// "2> ", and "[STATUS]" if that is not 0. A command behind "? " is run until it
// gives that; "$ " is for the others. The names of all commands of initctl are
// links to it. Standing for what differs from run to run are PID, DIR (of the
// session, with conf and log below it) and TIME. A script of one kernel has its
// name in front of its own.
type script struct {
	head     string            // up to and with the line of RUN
	jobs     map[string]string // by file name
	commands []scriptCommand
}

type scriptCommand struct {
	retry  bool
	line   string
	result string
}

var fileMark = regexp.MustCompile(`^-- (\S+) --$`)

func readScript(t *testing.T, file string) *script {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s, name := &script{jobs: map[string]string{}}, ""
	for line := range strings.Lines(string(text)) {
		if name != "RUN" {
			s.head += line
		}
		switch m := fileMark.FindStringSubmatch(strings.TrimSuffix(line, "\n")); {
		case m != nil && name != "RUN":
			name = m[1]
		case name != "RUN":
			s.jobs[name] += line
		case strings.HasPrefix(line, "$ ") || strings.HasPrefix(line, "? "):
			s.commands = append(s.commands, scriptCommand{retry: line[0] == '?', line: strings.TrimSuffix(line[2:], "\n")})
		case len(s.commands) == 0:
			t.Fatalf("%s: a result without a command: %s", file, line)
		default:
			s.commands[len(s.commands)-1].result += line
		}
	}
	delete(s.jobs, "") // the comment
	return s
}

func (s *script) String() string {
	text := s.head
	for _, c := range s.commands {
		sign := "$ "
		if c.retry {
			sign = "? "
		}
		text += sign + c.line + "\n" + c.result
	}
	return text
}

func TestScripts(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "scripts", "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		if kernel, _, one := strings.Cut(filepath.Base(file), "_"); one && kernel != runtime.GOOS {
			continue
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			runScript(t, file)
		})
	}
}

func runScript(t *testing.T, file string) {
	script := readScript(t, file)
	s := startSession(t, script.jobs)
	s.link(commandNames(t))
	for i := range script.commands {
		c := &script.commands[i]
		if !*update {
			c.result = onThisKernel(c.result)
		}
		got := s.shell(c.line)
		for deadline := time.Now().Add(patience); c.retry && got != c.result && time.Now().Before(deadline); {
			time.Sleep(20 * time.Millisecond)
			got = s.shell(c.line)
		}
		if got != c.result && (c.retry || !*update) {
			t.Errorf("%s\ngot:\n%swant:\n%s", c.line, got, c.result)
		}
		if !c.retry {
			c.result = got
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(script.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// commandNames is what "initctl help" lists.
func commandNames(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command(program("initctl"), "help").Output()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(out)) {
		if name, ok := strings.CutPrefix(line, "  "); ok && name[0] != ' ' {
			names = append(names, strings.Fields(name)[0])
		}
	}
	return names
}

func (s *session) link(names []string) {
	s.t.Helper()
	if err := os.Mkdir(s.path("bin"), 0o755); err != nil {
		s.t.Fatal(err)
	}
	for _, name := range append(names, "initctl", "init-checkconf") {
		if err := os.Symlink(program("initctl"), s.path("bin", name)); err != nil {
			s.t.Fatal(err)
		}
	}
}

// shell runs one command and returns its result as scripts show it.
func (s *session) shell(line string) string {
	var out, errs strings.Builder
	limit, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(limit, "sh", "-c", line)
	cmd.Dir, cmd.WaitDelay = s.dir, 20*time.Second
	cmd.Env = []string{"PATH=" + s.path("bin") + ":" + os.Getenv("PATH"), "UPSTART_SESSION=" + s.address,
		"XDG_RUNTIME_DIR=" + s.path("run"), "COLUMNS=80", "TZ=UTC"}
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if limit.Err() != nil {
		s.t.Errorf("%s: no end in %v", line, patience)
	}
	text := out.String()
	if strings.Contains(line, "--json") && err == nil && !json.Valid([]byte(text)) {
		s.t.Errorf("%s: that is no JSON:\n%s", line, text)
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "(no end of line)\n"
	}
	for line := range strings.Lines(errs.String()) {
		text += "2> " + strings.TrimSuffix(line, "\n") + "\n"
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		text += "[" + strings.TrimPrefix(exit.Error(), "exit status ") + "]\n"
	} else if err != nil {
		text += err.Error() + "\n"
	}
	return onThisKernel(s.normal(text))
}

var changing = []struct {
	re   *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`process [0-9]+`), "process PID"},
	{regexp.MustCompile(`pid [0-9]+`), "pid PID"},
	{regexp.MustCompile(`"pid": ?[0-9]+`), `"pid": "PID"`},
	{regexp.MustCompile(`uid [0-9]+`), "uid UID"},
	{regexp.MustCompile(`"uid": ?[0-9]+`), `"uid": "UID"`},
	{regexp.MustCompile(`[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]+Z?`), "TIME"},
	{regexp.MustCompile(`(?s),\n    "tree": \{.*?\n    \}`), ""}, // what was used differs, and without cgroups it is not there
	{regexp.MustCompile(`upstart-session/[0-9]+/[0-9]+`), "upstart-session/UID/PID"},
	{regexp.MustCompile(`upstart/[0-9]+[.]socket`), "upstart/PID.socket"},
}

func (s *session) normal(text string) string {
	text = strings.ReplaceAll(text, s.dir, "DIR")
	for _, c := range changing {
		text = c.re.ReplaceAllString(text, c.with)
	}
	return text
}

// TestEveryCommandHasAScript wants each command under its own name and as an
// argument of initctl.
func TestEveryCommandHasAScript(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join("testdata", "scripts", "*.txt"))
	var lines []string
	for _, file := range files {
		for _, c := range readScript(t, file).commands {
			lines = append(lines, c.line)
		}
	}
	names := commandNames(t)
	if len(names) == 0 {
		t.Fatal("initctl help lists no command")
	}
	for _, name := range names {
		for what, pattern := range map[string]string{
			"initctl " + name:        `(^|[ (])initctl (-\S+ )*` + name + `( |$)`,
			name + " under its name": `(^|[;|&(] ?|=\S* )` + name + `( |$)`,
		} {
			re := regexp.MustCompile(pattern)
			if !slices.ContainsFunc(lines, re.MatchString) {
				t.Errorf("no script runs %s", what)
			}
		}
	}
}
