// Package coretest runs the engine through scripts on the simulated kernel.
//
// A script is a txtar archive in testdata. Its head names what it covers,
// one row of rows.txt a line:
//
//	# covers: UPSTART 2.2 starting/stop
//
// Its files are the configuration: a name is a path below /etc/init, one
// whose first part is dir2, dir3 … is in a further source of that name, one
// that starts with a slash is what it says. Names that are no configuration
// files (foo.conf.2) are texts for the write command. The file "script" has
// the commands, one a line (see commands), each followed by what came of it
// in lines that begin with "> ". `go test -update` writes these.
//
// Before the first command the manager boots unseen, unless that command is
// boot. A line of states is one way of one job with nothing else in between:
//
//	> foo start/waiting starting
//
// Every script also runs with the engine put through its snapshot after each
// step, and with a manager that dies after each command: what comes out must
// be the same.
package coretest

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"onset/core/engine"
	"onset/core/snapshot"
	"onset/platform/sim"
)

var update = flag.Bool("update", false, "write what comes out of the scripts into them")

func TestScripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) { runScript(t, path) })
	}
}

// ways are the ways in which each script is run.
var ways = []struct {
	name  string
	setup func(*runner)
}{
	{"restore", func(r *runner) { r.renew = r.throughSnapshot }},
	{"replay", func(r *runner) { r.dying = true }},
}

func (r *runner) throughSnapshot(e *engine.Engine) *engine.Engine {
	s, err := snapshot.Decode(snapshot.Encode(e.State()))
	if err != nil {
		r.fatalf("snapshot: %v", err)
	}
	return engine.Restore(s)
}

func runScript(t *testing.T, path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	a := parseArchive(string(text))
	i := slices.IndexFunc(a.files, func(f file) bool { return f.name == "script" })
	if i < 0 {
		t.Fatal("there is no script in it")
	}
	want := a.files[i].text
	got := newRunner(t, a).run(want)
	if got != want && *update {
		a.files[i].text = got
		if err := os.WriteFile(path, []byte(a.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	} else {
		compare(t, got, want)
	}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			r := newRunner(t, a)
			way.setup(r)
			compare(t, r.run(want), got)
		})
	}
}

// compare reports the first line that differs, with what is around it.
func compare(t *testing.T, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	i := 0
	for i < len(g) && i < len(w) && g[i] == w[i] {
		i++
	}
	from := max(0, i-6)
	t.Errorf("line %d of the script\n--- got\n%s\n--- want\n%s", i+1,
		strings.Join(g[min(from, len(g)):min(i+8, len(g))], "\n"), strings.Join(w[min(from, len(w)):min(i+8, len(w))], "\n"))
}

// runner runs one script.
type runner struct {
	t       *testing.T
	archive archive
	world   *sim.World
	manager *sim.Manager
	options engine.Options
	booted  bool
	renew   func(*engine.Engine) *engine.Engine
	dying   bool // the manager dies after each command

	conns  map[string]uint64 // of the clients by name
	names  map[uint64]string
	caller map[string]caller
	line   int
	out    printer
}

func newRunner(t *testing.T, a archive) *runner {
	r := &runner{t: t, archive: a, world: sim.New(1), options: defaultOptions(),
		conns: map[string]uint64{}, names: map[uint64]string{}, caller: map[string]caller{}}
	r.out = newPrinter(r)
	return r
}

// run runs a script and returns it with what came out.
func (r *runner) run(script string) string {
	var b strings.Builder
	lines := strings.SplitAfter(script, "\n")
	for i := 0; i < len(lines); i++ {
		r.line = i + 1
		line := strings.TrimSpace(lines[i])
		if strings.HasPrefix(line, "> ") || line == ">" {
			continue
		}
		b.WriteString(lines[i])
		if line == "" || line[0] == '#' {
			continue
		}
		var body string
		for i+1 < len(lines) && strings.HasPrefix(lines[i+1], "|") {
			i++
			b.WriteString(lines[i])
			body += strings.TrimPrefix(strings.TrimPrefix(lines[i], "|"), " ")
		}
		r.command(line, body)
		for _, l := range r.out.take() {
			b.WriteString("> " + l + "\n")
		}
	}
	for _, v := range r.world.Violations {
		r.t.Errorf("the engine must not: %s", v)
	}
	return b.String()
}

// command runs one line and lets the world come to rest at this moment.
func (r *runner) command(line, body string) {
	words := strings.Fields(line)
	client := "c1"
	if name, ok := strings.CutSuffix(words[0], ":"); ok && len(words) > 1 {
		client, words = name, words[1:]
	}
	c, ok := commands[words[0]]
	if !ok {
		r.fatalf("unknown command %s", words[0])
	}
	if !r.booted && !c.early {
		r.boot()
		if words[0] != "boot" {
			r.manager.Pass(0)
			r.out.take()
		}
	}
	c.do(r, args{client: client, words: words[1:], body: body})
	if r.booted {
		r.manager.Pass(0)
		if r.dying {
			r.manager.Crash()
			r.manager.Pass(0)
		}
	}
}

func (r *runner) fatalf(format string, a ...any) {
	r.t.Helper()
	r.t.Fatalf("line %d of the script: "+format, append([]any{r.line}, a...)...)
}

// boot makes the sources of the archive's files and starts the manager.
func (r *runner) boot() {
	r.booted = true
	sources := []engine.Source{{Path: "/etc/init"}}
	for _, f := range r.archive.files {
		path, ok := configPath(f.name)
		if !ok {
			continue
		}
		r.world.WriteFile(path, f.text)
		top := engine.Source{Path: "/" + strings.SplitN(path, "/", 3)[1]}
		switch {
		case path == "/etc/init.conf":
			sources = slices.Insert(sources, 0, engine.Source{Path: path, Kind: engine.InitConf})
		case strings.HasPrefix(top.Path, "/dir") && !slices.ContainsFunc(sources, func(s engine.Source) bool { return s.Path == top.Path }):
			sources = append(sources, top)
		}
	}
	for _, s := range sources {
		r.world.AddSource(s)
	}
	r.world.Observe = r.out.effect
	r.manager = sim.Boot(r.world, r.options)
	r.manager.Renew = r.renew
}

// configPath returns where a file of the archive is in the world; ok is false
// if it is no configuration file.
func configPath(name string) (path string, ok bool) {
	ok = slices.Contains([]string{".conf", ".override", ".alias"}, filepath.Ext(name))
	switch {
	case strings.HasPrefix(name, "/"):
		return name, ok
	case strings.HasPrefix(name, "dir") && strings.Contains(name, "/"):
		return "/" + name, ok
	}
	return "/etc/init/" + name, ok
}
