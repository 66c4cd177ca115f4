//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// recordings are what the original program did and said.
var recordings = filepath.Join("..", "..", "..", "shared")

// needsRecordings skips a test that cannot be run, and says why on the screen,
// verbose or not.
func needsRecordings(t *testing.T, script string) string {
	t.Helper()
	script, err := filepath.Abs(filepath.Join(recordings, script))
	if err != nil {
		t.Fatal(err)
	}
	_, missing := os.Stat(script)
	if missing == nil && os.Getuid() != 0 {
		missing = fmt.Errorf("only root can make the namespaces")
	}
	for _, tool := range []string{"bash", "unshare", "nsenter", "setpriv", "ip", "dbus-send", "/usr/bin/python3"} {
		if missing == nil {
			_, missing = exec.LookPath(tool)
		}
	}
	if missing == nil && exec.Command("/usr/bin/python3", "-c", "import dbus, gi").Run() != nil {
		missing = fmt.Errorf("python3-dbus or python3-gi is not installed")
	}
	if missing != nil {
		os.Stderr.WriteString("cmd/init: SKIPPED: " + t.Name() + ": " + missing.Error() + "\n")
		t.Skip(missing)
	}
	return script
}

// differences are the changed lines of each scenario that differs on purpose.
type differences map[string]*difference

type difference struct {
	reason string
	lines  []string
}

// header is "== SCENARIO: REASON"; what is below it, up to the next header, is
// lines of diff.
var header = regexp.MustCompile(`^== (\S+): (.+)$`)

func readDifferences(t *testing.T, file string) differences {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	all := differences{}
	var last *difference
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		switch m := header.FindStringSubmatch(line); {
		case m != nil:
			last = &difference{reason: m[2]}
			all[m[1]] = last
		case strings.HasPrefix(line, "<") || strings.HasPrefix(line, ">"):
			last.lines = append(last.lines, line)
		case line != "" && !strings.HasPrefix(line, "#"):
			t.Fatalf("%s: neither header nor difference: %s", file, line)
		}
	}
	return all
}

// TestRecordedScenarios runs every scenario recorded from the original, and
// wants no difference but those of testdata/differences.txt, to the line.
func TestRecordedScenarios(t *testing.T) {
	script := needsRecordings(t, "oracle/run.sh")
	listed := readDifferences(t, filepath.Join("testdata", "differences.txt"))
	files, err := filepath.Glob(filepath.Join(filepath.Dir(script), "*.scn"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	names := map[string]bool{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".scn")
		names[name] = true
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			compareScenario(t, script, name, listed[name])
		})
	}
	for name := range listed {
		if !names[name] {
			t.Errorf("%s is listed, and there is no such scenario", name)
		}
	}
}

// attempts is how often a scenario is run: a few count on times that a busy
// machine does not keep, and a few recordings hold one outcome of
// a race in the original.
const attempts = 6

func compareScenario(t *testing.T, script, name string, listed *difference) {
	want := &difference{reason: "not listed"}
	if listed != nil {
		want = listed
	}
	var got []string
	for n := range attempts {
		if got = runScenario(t, script, name); slices.Equal(got, want.lines) {
			return
		}
		t.Logf("run %d differs:\n%s", n+1, strings.Join(got, "\n"))
	}
	if len(got) == 0 {
		t.Errorf("listed (%s), and no longer different: take it out of the list", want.reason)
		return
	}
	t.Errorf("difference (%s) is not as listed; it is:\n%s", want.reason, strings.Join(got, "\n"))
}

// runScenario returns the changed lines.
func runScenario(t *testing.T, script, name string) []string {
	t.Helper()
	out, err := os.MkdirTemp("/var/tmp", "onset-scenario")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(out)
	cmd := exec.Command("bash", script, "--level", "norm", program("init"), program("initctl"), "^"+name+"$")
	cmd.Env = append(os.Environ(), "RETRY=0", "ORACLE_NOCOPY=1", "ORACLE_OUT="+out)
	report, _ := cmd.CombinedOutput() // its status says only that something differs
	if !bytes.Contains(report, []byte(" "+name)) {
		t.Fatalf("the scenario was not run:\n%s", report)
	}
	diff, err := os.ReadFile(filepath.Join(out, name+".diff"))
	if err != nil {
		t.Fatalf("%v\n%s", err, report)
	}
	var lines []string
	for line := range strings.Lines(string(diff)) {
		if strings.HasPrefix(line, "<") || strings.HasPrefix(line, ">") {
			lines = append(lines, strings.TrimRight(line, "\n"))
		}
	}
	if len(lines) > 0 && bytes.Contains(report, []byte("SAME "+name)) {
		return nil // equal to another outcome that was recorded
	}
	return lines
}

// TestRecordedJobFiles loads the job files of ../shared and compares verdicts,
// messages and what show-config says of them.
func TestRecordedJobFiles(t *testing.T) {
	script := needsRecordings(t, "corpus/check.sh")
	cmd := exec.Command("bash", script, program("init"), program("initctl"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
