package conf_test

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"onset/core/conf"
	"onset/core/control"
	"onset/core/job"
)

// corpusDir finds the job files collected elsewhere, or skips the test.
func corpusDir(tb testing.TB) string {
	tb.Helper()
	corpus, ok := findCorpus(tb)
	if !ok {
		tb.Skip("the corpus of job files is not there: ", corpus)
	}
	return corpus
}

func findCorpus(tb testing.TB) (dir string, ok bool) {
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
	_, err = os.Stat(corpus)
	return corpus, err == nil
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
	snippet    bool
	said       string // "" when it accepted the file, else "LINE: MESSAGE"
}

func verdicts(tb testing.TB, corpus string) []verdict {
	tb.Helper()
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
		v := verdict{name: f[0], snippet: true, text: readFile(tb, corpus, "snippets", f[1], f[0]+".conf")}
		if f[1] == "reject" {
			v.said = strings.TrimSpace(f[2])
		}
		all = append(all, v)
	}
	return all
}

func parse(v verdict) (*job.Class, []*conf.Error) {
	return conf.Parse(v.name, job.Origin{Path: "x", Text: v.text}, defaults)
}

func said(errs []*conf.Error) string {
	if len(errs) == 0 {
		return "accepted"
	}
	return strings.TrimPrefix(errs[0].Error(), "x:")
}

// difference is a line of testdata/differences.txt: for files where the
// original said one thing on a line of such a text, we say another.
type difference struct {
	original, line, ours string
	used                 bool
}

func readDifferences(tb testing.TB) []difference {
	tb.Helper()
	var all []difference
	for l := range strings.SplitSeq(readFile(tb, "testdata", "differences.txt"), "\n") {
		if l == "" || l[0] == '#' {
			continue
		}
		f := strings.Split(l, " | ")
		if len(f) != 3 {
			tb.Fatalf("differences.txt: malformed line %q", l)
		}
		all = append(all, difference{original: f[0], line: f[1], ours: f[2]})
	}
	return all
}

// excuses reports whether the difference covers what we said of a file.
func (d *difference) excuses(v verdict, got string) bool {
	number, msg, numbered := strings.Cut(v.said, ": ")
	ours := d.ours
	if n, err := strconv.Atoi(number); numbered && err == nil {
		lines := strings.Split(v.text, "\n")
		if msg != d.original || n > len(lines) || !strings.HasPrefix(strings.TrimSpace(lines[n-1]), d.line) {
			return false
		}
		ours = strings.Replace(ours, "LINE", number, 1)
	} else if v.said != d.original || !strings.HasPrefix(strings.TrimSpace(v.text), d.line) {
		return false
	}
	return got == ours
}

func TestCorpusVerdictsAreTheOriginals(t *testing.T) {
	corpus, differences := corpusDir(t), readDifferences(t)
	for _, v := range verdicts(t, corpus) {
		_, errs := parse(v)
		got, want := said(errs), v.said
		if want == "" {
			want = "accepted"
		}
		if got == want {
			continue
		}
		excused := false
		for i := range differences {
			if differences[i].excuses(v, got) {
				excused, differences[i].used = true, true
			}
		}
		if !excused {
			t.Errorf("%s: said %q, want %q", v.name, got, want)
		}
	}
	for _, d := range differences {
		if !d.used {
			t.Errorf("differences.txt: nothing needs %q on %q", d.original, d.line)
		}
	}
}

func TestCorpusShowConfigIsTheOriginals(t *testing.T) {
	corpus := corpusDir(t)
	plain := blocks(readFile(t, corpus, "show-config.txt"))
	events := blocks(readFile(t, corpus, "show-config-e.txt"))
	snippets := map[string]string{}
	for block := range strings.SplitSeq(readFile(t, corpus, "snippets", "show-config-e.txt"), "=== ") {
		name, text, _ := strings.Cut(block, "\n")
		snippets[name] = text
	}
	jobs := 0
	for _, v := range verdicts(t, corpus) {
		c, _ := parse(v)
		if v.said != "" || c == nil {
			continue
		}
		jobs++
		info := control.ClassInfo{Name: c.Name, Emits: c.Emits, StartOn: c.StartOn, StopOn: c.StopOn}
		e := control.ShowConfigEvents(&info)
		if v.snippet {
			compare(t, v.name, e+"Usage: "+c.Usage+"\n", snippets[v.name])
			continue
		}
		compare(t, v.name, e, events[v.name])
		compare(t, v.name, control.ShowConfig(&info), plain[v.name])
	}
	if want := len(plain) + len(snippets) - 1; jobs != want {
		t.Errorf("compared %d jobs, want %d", jobs, want)
	}
}

func compare(t *testing.T, name, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got\n%swant\n%s", name, got, want)
	}
}

// blocks cuts the output of show-config into one text a job.
func blocks(text string) map[string]string {
	all, name := map[string]string{}, ""
	for l := range strings.Lines(text) {
		if l[0] != ' ' {
			name = strings.TrimSpace(l)
		}
		all[name] += l
	}
	return all
}

func TestCorpusPrintsAndParsesBack(t *testing.T) {
	for _, v := range verdicts(t, corpusDir(t)) {
		if c, _ := parse(v); c != nil {
			checkPrint(t, v.name, c)
		}
	}
}

// checkPrint checks that the printed class parses to an equal one, of which
// the same is printed.
func checkPrint(t *testing.T, name string, c *job.Class) {
	t.Helper()
	text := conf.Print(c, linux)
	back, errs := conf.Parse(c.Name, job.Origin{Path: "x", Text: text}, defaults)
	if back == nil {
		t.Errorf("%s: printed text does not parse: %v\n%s", name, errs[0], text)
		return
	}
	want := *c
	want.Origin = back.Origin
	if !reflect.DeepEqual(&want, back) {
		t.Errorf("%s: got  %+v\nwant %+v\nfrom:\n%s", name, back, &want, text)
	}
	if again := conf.Print(back, linux); again != text {
		t.Errorf("%s: printed again:\n%s\nwant\n%s", name, again, text)
	}
}

// BenchmarkParseCorpus parses the corpus file by file, or where it is missing
// the examples of the tests as one file.
func BenchmarkParseCorpus(b *testing.B) {
	var texts []verdict
	if corpus, ok := findCorpus(b); ok {
		texts = slices.DeleteFunc(verdicts(b, corpus), func(v verdict) bool { return v.snippet })
	} else {
		var all strings.Builder
		for _, a := range allAccepted() {
			all.WriteString(a.text + "\n\n")
		}
		texts = []verdict{{name: "all", text: all.String()}}
	}
	size := 0
	for _, v := range texts {
		size += len(v.text)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		for _, v := range texts {
			parse(v)
		}
	}
}
