package file

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"onset/core/expr"
	"onset/eventsources"
	"onset/eventsources/sourcetest"
)

// on returns conditions of jobs a, b, …; those that begin with "while " are of
// while.
func on(operands ...string) (list []eventsources.Condition) {
	for i, text := range operands {
		text, fact := strings.CutPrefix(text, "while ")
		args := strings.Fields(text)
		list = append(list, eventsources.Condition{Job: string(rune('a' + i)), Fact: fact, Operand: expr.Node{Name: "file", Args: args}})
	}
	return list
}

// world is a folder and a source that runs.
type world struct {
	sourcetest.Recorder
	t        *testing.T
	dir, end string // end is for saying that all was told, and comes after dir in any order
	operands []string
	lines    []string
	rounds   int
}

func newWorld(t *testing.T, operands ...string) *world {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: dir + "/a", end: dir + "/b", operands: operands}
	w.do("mkdir .")
	w.do("mkdir ../b")
	return w
}

// run starts the source, which ends with the test.
func (w *world) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Source{}.Run(ctx, w) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
	w.set(w.operands...)
}

// set makes operands the conditions, beside those that say that all was told,
// and waits until the source knows.
func (w *world) set(operands ...string) {
	w.t.Helper()
	w.rounds++
	mark := fmt.Sprintf("%s/set%d", w.end, w.rounds)
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		w.t.Fatal(err)
	}
	list := on(append(operands, "FILE="+w.end+"/*", "FILE="+mark)...)
	for _, c := range list {
		for i, arg := range c.Operand.Args {
			c.Operand.Args[i] = strings.ReplaceAll(arg, "D/", w.dir+"/")
		}
	}
	w.SetConditions(list)
	w.await("emit file FILE=" + mark + " EVENT=create")
}

// await waits until something was told, all of which it leaves in lines.
func (w *world) await(lines ...string) {
	w.t.Helper()
	for end := time.Now().Add(sourcetest.Patience); ; time.Sleep(time.Millisecond) {
		w.lines = append(w.lines, w.Take()...)
		if !slices.ContainsFunc(lines, func(l string) bool { return !slices.Contains(w.lines, l) }) {
			return
		}
		if time.Now().After(end) {
			w.t.Fatalf("waited in vain for %q; told:\n%s", lines, strings.Join(w.lines, "\n"))
		}
	}
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

// do does what words say: write, append, touch, mkdir, rm, mv, ln, each with
// names below the folder.
func (w *world) do(words string) {
	w.t.Helper()
	f := strings.Fields(words)
	one := w.path(f[1])
	var err error
	switch f[0] {
	case "write":
		err = os.WriteFile(one, []byte("x"), 0o644)
	case "touch":
		var file *os.File
		if file, err = os.OpenFile(one, os.O_WRONLY, 0); err == nil {
			err = file.Close()
		}
	case "mkdir":
		err = os.MkdirAll(one, 0o755)
	case "rm":
		err = os.RemoveAll(one)
	case "mv":
		err = os.Rename(one, w.path(f[2]))
	case "ln":
		err = os.Symlink(one, w.path(f[2]))
	case "chmod":
		err = os.Chmod(one, 0o600)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// settle waits until all that was done has been told, and returns what was told.
func (w *world) settle(atLeast int) (told []string) {
	w.t.Helper()
	ours := func(l string) bool { return strings.Contains(l, w.end) }
	for end := time.Now().Add(sourcetest.Patience); ; time.Sleep(time.Millisecond) {
		w.lines = append(w.lines, w.Take()...)
		if told = slices.DeleteFunc(slices.Clone(w.lines), ours); len(told) >= atLeast || time.Now().After(end) {
			break
		}
	}
	w.rounds++
	mark := fmt.Sprintf("%s/%d", w.end, w.rounds)
	if err := os.WriteFile(mark, []byte("x"), 0o644); err != nil {
		w.t.Fatal(err)
	}
	start := "emit file FILE=" + w.end + "/* EVENT="
	w.await(start+"create MATCH="+mark, start+"modify MATCH="+mark)
	told = slices.DeleteFunc(w.lines, ours)
	for i := range told {
		told[i] = strings.ReplaceAll(strings.TrimPrefix(told[i], "emit "), w.dir+"/", "D/")
	}
	w.lines = nil
	return told
}

// expect wants this to be told, and no more.
func (w *world) expect(after string, want ...string) {
	w.t.Helper()
	if got := w.settle(len(want)); !slices.Equal(got, want) {
		w.t.Errorf("after %s told\n\t%s\nwant\n\t%s", after, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// step is something that is done, and what is told after that.
type step struct {
	do   string // things, with commas
	want []string
}

// told returns lines without those of another system.
func told(lines ...string) (list []string) {
	for _, l := range lines {
		if of, line, some := strings.Cut(l, ": file"); !some {
			list = append(list, l)
		} else if of == runtime.GOOS {
			list = append(list, "file"+line)
		}
	}
	return list
}

func TestWhatIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		before   string // done before the source runs
		operands string // with commas
		steps    []step
	}{
		"a file": {"", "FILE=D/f", []step{
			{"", nil},
			{"write f", told("file FILE=D/f EVENT=create", "file FILE=D/f EVENT=modify")},
			{"write f", told("file FILE=D/f EVENT=modify")},
			{"touch f", told("file FILE=D/f EVENT=modify")},
			{"chmod f", nil},
			{"write g", nil},
			{"rm f", told("file FILE=D/f EVENT=delete")},
		}},
		"one that is there": {"write f", "FILE=D/f", []step{
			{"", told("file FILE=D/f EVENT=create")},
			{"rm f", told("file FILE=D/f EVENT=delete")},
		}},
		"one that is there, and nobody asks": {"write f", "FILE=D/f EVENT=modify", []step{
			{"", nil},
			{"write f", told("file FILE=D/f EVENT=modify")},
			{"rm f", nil},
		}},
		"some kinds": {"", "FILE=D/f EVENT=create,FILE=D/f EVENT=delete,FILE=D/g EVENT!=create", []step{
			{"write f", told("file FILE=D/f EVENT=create")},
			{"write g", told("file FILE=D/g EVENT=modify")},
			{"rm g", told("file FILE=D/g EVENT=delete")},
			{"rm f", told("file FILE=D/f EVENT=delete")},
		}},
		"two ways to write a path": {"", "FILE=D/f,FILE=D//f", []step{
			{"write f", told("file FILE=D//f EVENT=create", "file FILE=D/f EVENT=create", "file FILE=D//f EVENT=modify", "file FILE=D/f EVENT=modify")},
			{"rm f", told("file FILE=D//f EVENT=delete", "file FILE=D/f EVENT=delete")},
		}},
		"moved": {"", "FILE=D/f", []step{
			{"write tmp", nil},
			{"mv tmp f", told("file FILE=D/f EVENT=create", "freebsd: file FILE=D/f EVENT=modify")},
			{"write tmp", nil},
			{"mv tmp f", told("file FILE=D/f EVENT=create", "freebsd: file FILE=D/f EVENT=modify")},
			{"mv f tmp", told("file FILE=D/f EVENT=delete")},
		}},
		"parents come and go": {"", "FILE=D/a/b/f", []step{
			{"mkdir a", nil},
			{"mkdir a/b", nil},
			{"write a/b/f", told("file FILE=D/a/b/f EVENT=create", "file FILE=D/a/b/f EVENT=modify")},
			{"mv a c", told("file FILE=D/a/b/f EVENT=delete")},
			{"write c/b/f", nil},
			{"mv c a", told("file FILE=D/a/b/f EVENT=create", "file FILE=D/a/b/f EVENT=modify")},
			{"write a/b/f", told("file FILE=D/a/b/f EVENT=modify")},
			{"rm a", told("file FILE=D/a/b/f EVENT=delete")},
			{"write a", nil},
			{"rm a", nil},
			{"mkdir a/b", nil},
			{"write a/b/f", told("file FILE=D/a/b/f EVENT=create", "file FILE=D/a/b/f EVENT=modify")},
		}},
		"a link is switched": {"mkdir one,mkdir two,write one/f,write two/f,ln one cur", "FILE=D/cur/f", []step{
			{"", told("file FILE=D/cur/f EVENT=create")},
			{"write one/f", told("file FILE=D/cur/f EVENT=modify")},
			{"ln two next,mv next cur", told("file FILE=D/cur/f EVENT=delete", "file FILE=D/cur/f EVENT=create", "file FILE=D/cur/f EVENT=modify")},
			{"write one/f", nil},
			{"write two/f", told("file FILE=D/cur/f EVENT=modify")},
			{"rm cur", told("file FILE=D/cur/f EVENT=delete")},
		}},
		"two ways to a folder": {"mkdir one,ln one l", "FILE=D/l/f,FILE=D/one/g", []step{
			{"write one/f", told("file FILE=D/l/f EVENT=create", "file FILE=D/l/f EVENT=modify")},
			{"write l/g", told("file FILE=D/one/g EVENT=create", "file FILE=D/one/g EVENT=modify")},
			{"rm l", told("file FILE=D/l/f EVENT=delete")},
			{"write one/g", told("file FILE=D/one/g EVENT=modify")},
			{"rm one/g", told("file FILE=D/one/g EVENT=delete")},
		}},
		"a link to nowhere": {"", "FILE=D/l", []step{
			{"ln none l", told("file FILE=D/l EVENT=create")},
			{"rm l", told("file FILE=D/l EVENT=delete")},
		}},
		"globs": {"write a.x,write a.y", "FILE=D/*.x", []step{
			{"", told("file FILE=D/*.x EVENT=create MATCH=D/a.x")},
			{"write b.x", told("file FILE=D/*.x EVENT=create MATCH=D/b.x", "file FILE=D/*.x EVENT=modify MATCH=D/b.x")},
			{"write .b.x", nil},
			{"mv b.x c.x", told("file FILE=D/*.x EVENT=delete MATCH=D/b.x", "file FILE=D/*.x EVENT=create MATCH=D/c.x", "freebsd: file FILE=D/*.x EVENT=modify MATCH=D/c.x")},
			{"rm a.x", told("file FILE=D/*.x EVENT=delete MATCH=D/a.x")},
		}},
		"brackets match what they match": {"", "FILE=D/[ab]", []step{
			{"write a", told("file FILE=D/a EVENT=create MATCH=D/a", "file FILE=D/a EVENT=modify MATCH=D/a")},
			{"write c", nil},
		}},
		"a folder": {"", "FILE=D/d/", []step{
			{"mkdir d", told("file FILE=D/d/ EVENT=create")},
			{"mkdir d/e", told("file FILE=D/d/ EVENT=modify MATCH=D/d/e")},
			{"write d/e/f", nil},
			{"write d/f", told("file FILE=D/d/ EVENT=modify MATCH=D/d/f", "file FILE=D/d/ EVENT=modify MATCH=D/d/f")},
			{"rm d/f", told("file FILE=D/d/ EVENT=modify MATCH=D/d/f")},
			{"rm d/e", told("file FILE=D/d/ EVENT=modify MATCH=D/d/e")},
			{"rm d", told("file FILE=D/d/ EVENT=delete")},
			{"write d", nil},
		}},
		"a folder that is there": {"mkdir d,write d/f", "FILE=D/d/", []step{
			{"", told("file FILE=D/d/ EVENT=create")},
			{"rm d/f", told("file FILE=D/d/ EVENT=modify MATCH=D/d/f")},
		}},
		"facts": {"write f,write x.a", "while FILE=D/f,while FILE=D/*.a,while FILE=D/d/", []step{
			{"", told("fact file FILE=D/*.a MATCH=D/x.a", "fact file FILE=D/f")},
			{"write f", nil},
			{"rm f", told("no fact file FILE=D/f")},
			{"write y.a", told("fact file FILE=D/*.a MATCH=D/y.a")},
			{"rm x.a", told("no fact file FILE=D/*.a MATCH=D/x.a")},
			{"mkdir d", told("fact file FILE=D/d/")},
			{"rm d", told("no fact file FILE=D/d/")},
		}},
		"facts before and after events": {"", "FILE=D/f,while FILE=D/f", []step{
			{"write f", told("fact file FILE=D/f", "file FILE=D/f EVENT=create", "file FILE=D/f EVENT=modify")},
			{"rm f", told("no fact file FILE=D/f", "file FILE=D/f EVENT=delete")},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, split(c.operands)...)
			for _, words := range split(c.before) {
				w.do(words)
			}
			w.run()
			for _, s := range c.steps {
				for _, words := range split(s.do) {
					w.do(words)
				}
				w.expect(s.do, s.want...)
			}
		})
	}
}

func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

// TestWritingEndsWithClose wants modify when the last writer has closed, not
// at each write.
func TestWritingEndsWithClose(t *testing.T) {
	w := newWorld(t, "FILE=D/f EVENT=modify")
	w.do("write f")
	w.run()
	file, err := os.OpenFile(w.path("f"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		fmt.Fprintln(file, "more")
		w.expect("a write")
	}
	file.Close()
	w.expect("the close", "file FILE=D/f EVENT=modify")
}

// TestJobsComeAndGo wants create for the first sight of each job, and facts as
// long as a job asks.
func TestJobsComeAndGo(t *testing.T) {
	w := newWorld(t, "FILE=D/f EVENT=modify")
	w.do("write f")
	w.run()
	w.expect("the start")
	w.set("FILE=D/f EVENT=modify", "FILE=D/f EVENT=create")
	w.expect("a job", "file FILE=D/f EVENT=create")
	w.set("FILE=D/f EVENT=modify", "FILE=D/f EVENT=create", "while FILE=D/f", "while FILE=D/*")
	w.expect("facts", "fact file FILE=D/* MATCH=D/f", "fact file FILE=D/f")
	w.set("FILE=D/f EVENT=modify", "FILE=D/f EVENT=create")
	w.expect("the end of facts", "no fact file FILE=D/* MATCH=D/f", "no fact file FILE=D/f")
	w.set()
	w.expect("the end of jobs")
	w.do("write f")
	w.expect("a change that concerns nobody")
	w.set("FILE=D/f", "FILE=D//f")
	w.expect("new jobs", "file FILE=D//f EVENT=create", "file FILE=D/f EVENT=create")
	w.set("FILE=D/f")
	w.do("write f")
	w.expect("the end of one", "file FILE=D/f EVENT=modify")
}

// TestSeenForAnother wants a file that is found when another operand comes to
// be told to who waited for it, before the kernel tells of it.
func TestSeenForAnother(t *testing.T) {
	n, err := newNotifier()
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	w := newWorld(t)
	tr := newTracker(t.Context(), w, n)
	set := func(operands ...string) {
		for i := range operands {
			operands[i] = strings.ReplaceAll(operands[i], "D/", w.dir+"/")
		}
		tr.setOperands(operandsOf(on(operands...), false, "", tr.warn))
	}
	set("FILE=D//f EVENT=create", "FILE=D/ EVENT=modify")
	w.do("write f")
	set("FILE=D//f EVENT=create", "FILE=D/ EVENT=modify", "FILE=D/* EVENT=create", "FILE=D/f EVENT=create")
	got := w.Take()
	slices.Sort(got)
	want := []string{"emit file FILE=D/ EVENT=modify MATCH=D/f", "emit file FILE=D/* EVENT=create MATCH=D/f", "emit file FILE=D//f EVENT=create", "emit file FILE=D/f EVENT=create"}
	for i := range want {
		want[i] = strings.ReplaceAll(want[i], "D/", w.dir+"/")
	}
	if !slices.Equal(got, want) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestNameThatIsNotText wants a file that D-Bus cannot name to be left out.
func TestNameThatIsNotText(t *testing.T) {
	w := newWorld(t, "FILE=D/*.x")
	w.run()
	if err := os.WriteFile(w.path("\xff.x"), nil, 0o600); err != nil {
		t.Skipf("the file system has no such names: %v", err)
	}
	w.expect("the file", "log a: a file that FILE=D/*.x matches has a name that is not UTF-8, and is left out")
	w.do("write b.x")
	w.expect("another", "file FILE=D/*.x EVENT=create MATCH=D/b.x", "file FILE=D/*.x EVENT=modify MATCH=D/b.x")
}

// TestManyOperands wants ten thousand files to be told of.
func TestManyOperands(t *testing.T) {
	t.Parallel()
	const n = 10000
	var operands, want []string
	for i := range n {
		operands = append(operands, fmt.Sprintf("FILE=D/%d/f%d EVENT=create", i%100, i))
	}
	w := newWorld(t, operands...)
	w.run()
	for i := range 100 {
		w.do(fmt.Sprintf("mkdir %d", i))
	}
	for i := 0; i < n; i += 97 {
		w.do(fmt.Sprintf("write %d/f%d", i%100, i))
		want = append(want, fmt.Sprintf("file FILE=D/%d/f%d EVENT=create", i%100, i))
	}
	got := w.settle(len(want))
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d told, %d wanted", len(got), len(want))
	}
}

// mounted wants files to come and go with file systems, of which the
// directories that are covered tell nothing.
func mounted(t *testing.T) {
	w := newWorld(t, "FILE=D/m/d/f", "while FILE=D/m/d/f")
	w.do("mkdir m/d")
	w.run()
	w.expect("the start")
	if err := mount(w.path("m")); err != nil {
		t.Skipf("no mounts here: %v", err)
	}
	w.expect("an empty file system")
	w.do("mkdir m/d")
	w.do("write m/d/f")
	w.expect("a file", "fact file FILE=D/m/d/f", "file FILE=D/m/d/f EVENT=create", "file FILE=D/m/d/f EVENT=modify")
	if err := unmount(w.path("m")); err != nil {
		t.Fatal(err)
	}
	w.expect("the end of the file system", "no fact file FILE=D/m/d/f", "file FILE=D/m/d/f EVENT=delete")
	w.do("write m/d/f")
	w.expect("what was covered", "fact file FILE=D/m/d/f", "file FILE=D/m/d/f EVENT=create", "file FILE=D/m/d/f EVENT=modify")
	if err := mount(w.path("m")); err != nil {
		t.Fatal(err)
	}
	w.expect("another file system", "no fact file FILE=D/m/d/f", "file FILE=D/m/d/f EVENT=delete")
	if err := unmount(w.path("m")); err != nil {
		t.Fatal(err)
	}
}
