package conf_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"onset/core/conf"
	"onset/core/job"
)

// linux is the signal table of UPSTART §1.4 on Linux.
var linux = job.Signals{{"HUP", 1}, {"INT", 2}, {"QUIT", 3}, {"ILL", 4}, {"TRAP", 5}, {"ABRT", 6}, {"IOT", 6},
	{"BUS", 7}, {"FPE", 8}, {"KILL", 9}, {"USR1", 10}, {"SEGV", 11}, {"USR2", 12}, {"PIPE", 13}, {"ALRM", 14},
	{"TERM", 15}, {"STKFLT", 16}, {"CHLD", 17}, {"CLD", 17}, {"CONT", 18}, {"STOP", 19}, {"TSTP", 20},
	{"TTIN", 21}, {"TTOU", 22}, {"URG", 23}, {"XCPU", 24}, {"XFSZ", 25}, {"VTALRM", 26}, {"PROF", 27},
	{"WINCH", 28}, {"IO", 29}, {"POLL", 29}, {"PWR", 30}, {"SYS", 31}}

var defaults = job.Defaults{Console: job.ConsoleLog, Signals: linux}

// corpusDir finds the job files collected elsewhere, or skips the test.
func corpusDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			tb.Fatal("no go.mod above the test")
		}
	}
	corpus := filepath.Join(filepath.Dir(dir), "shared", "corpus")
	if _, err := os.Stat(corpus); err != nil {
		tb.Skip("the corpus of job files is not there: ", corpus)
	}
	return corpus
}

func readFile(tb testing.TB, path ...string) string {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

// verdict is one line of a table of what the original said.
type verdict struct {
	name, text string
	said       string // "" when it accepted the file, else "LINE: MESSAGE"
}

func verdicts(tb testing.TB, corpus string) []verdict {
	var all []verdict
	for i, l := range strings.Split(strings.TrimSpace(readFile(tb, corpus, "verdicts.tsv")), "\n") {
		if f := strings.Split(l, "\t"); i > 0 {
			v := verdict{name: f[0], text: readFile(tb, corpus, "jobs", f[0]+".conf")}
			if f[1] == "reject" {
				v.said = f[2] + ": " + f[3]
			}
			all = append(all, v)
		}
	}
	for l := range strings.SplitSeq(strings.TrimSpace(readFile(tb, corpus, "snippets", "verdicts.tsv")), "\n") {
		f := strings.Split(l, "\t")
		v := verdict{name: f[0], text: readFile(tb, corpus, "snippets", f[1], f[0]+".conf")}
		if f[1] == "reject" {
			v.said = strings.TrimSpace(f[2])
		}
		all = append(all, v)
	}
	return all
}

func said(errs []*conf.Error) string {
	if len(errs) == 0 {
		return ""
	}
	return strings.TrimPrefix(errs[0].Error(), errs[0].Path+":")
}

func TestCorpusVerdicts(t *testing.T) {
	corpus := corpusDir(t)
	for _, v := range verdicts(t, corpus) {
		_, errs := conf.Parse(v.name, job.Origin{Path: v.name, Text: v.text}, defaults)
		if got := said(errs); got != v.said {
			t.Errorf("%s: said %q, want %q", v.name, got, v.said)
		}
	}
}
