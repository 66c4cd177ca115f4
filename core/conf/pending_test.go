package conf_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"onset/core/conf"
	"onset/core/job"
)

// samples has an argument for each stanza whose bare words are not enough,
// and a row for each expect protocol.
var samples = map[string]string{
	"description": "x", "author": "x", "version": "x", "usage": "x", "instance": "$X", "env": "A=1", "export": "A",
	"emits": "e", "start on": "e", "stop on": "e", "exec": "true", "pre-start exec": "true", "post-start exec": "true",
	"pre-stop exec": "true", "post-stop exec": "true", "script": "\nx\nend script", "pre-start script": "\nx\nend script",
	"post-start script": "\nx\nend script", "pre-stop script": "\nx\nend script", "post-stop script": "\nx\nend script",
	"expect": "fork", "expect listen": "*:80", "expect dbus": "org.example.X", "expect notify": "", "expect fd": "4",
	"kill timeout": "9", "kill signal": "HUP", "reload signal": "TERM", "respawn limit": "1 2", "normal exit": "3",
	"console": "output", "umask": "077", "nice": "5", "oom": "3", "oom score": "100", "limit": "nofile 1 2",
	"chroot": "/r", "chdir": "/d", "setuid": "u", "setgid": "g", "apparmor load": "p", "apparmor switch": "p",
	"cgroup": "cpu", "import": "A", "tmpfiles": "/f", "while": "f", "provides": "p", "expect timeout": "3",
	"kill mode": "process", "env file": "/e", "namespace": "net", "private": "tmp", "readonly": "/x", "hide": "/x",
	"bind": "/a /b", "capability bounding": "CAP_CHOWN", "capability ambient": "CAP_CHOWN", "seccomp": "@default",
	"setgroups": "g", "credential": "n /p", "respawn delay": "1 2", "respawn on": "always", "health exec": "true",
	"health script": "\nx\nend script", "health interval": "7", "health timeout": "7", "health failures": "7",
	"watchdog": "7", "start timeout": "7", "stop timeout": "7", "ioprio": "idle", "cpu affinity": "0", "sched": "fifo 5",
}

// protocols are the constants that the engine names once it acts on them.
var protocols = map[string]string{
	"expect listen": "ExpectListen", "expect dbus": "ExpectDBus", "expect notify": "ExpectNotify", "expect fd": "ExpectFD",
}

func TestTableOfPendingStanzasIsTrue(t *testing.T) {
	core := selectors(t, "../engine", "../job")
	kernels := selectors(t, "../../platform/linux", "../../platform/freebsd", "../../platform/posix")
	listed := pendingTable(t)
	words := append(conf.Stanzas(), "expect listen", "expect dbus", "expect notify", "expect fd")
	for _, w := range words {
		acted := true
		for _, path := range fieldsSet(t, w) {
			acted = acted && actedOn(path, core, kernels)
		}
		if p, ok := protocols[w]; ok {
			acted = core[p]
		}
		if acted == slices.Contains(listed, w) {
			t.Errorf("%q is acted on: %t, and in the table: %t", w, acted, acted)
		}
	}
	for _, w := range listed {
		if !slices.Contains(words, w) {
			t.Errorf("the table lists %q, which is no stanza", w)
		}
	}
}

// actedOn reports whether anything reads the field: the engine, or for the
// attributes of processes a kernel back end.
func actedOn(path []string, core, kernels map[string]bool) bool {
	if path[0] == "Attrs" {
		return kernels[path[len(path)-1]]
	}
	return !slices.ContainsFunc(path, func(f string) bool { return !core[f] })
}

// fieldsSet returns the paths of the class's fields that a stanza changes.
func fieldsSet(t *testing.T, words string) [][]string {
	arg, ok := samples[words]
	if !ok && !slices.Contains([]string{"manual", "task", "respawn", "debug", "no new privileges"}, words) {
		t.Fatalf("there is no sample of %q", words)
	}
	parse := func(text string) job.Class {
		d := job.Defaults{Signals: job.Signals{{Name: "HUP", Number: 1}, {Name: "TERM", Number: 15}}}
		c, errs := conf.Parse("x", job.Origin{Text: text}, d)
		if c == nil {
			t.Fatalf("%q: %v", text, errs[0])
		}
		c.Origin = job.Origin{}
		return *c
	}
	before, after := parse(""), parse(words+" "+strings.TrimLeft(arg, " ")+"\n")
	if words == "manual" {
		before = parse("start on e\n")
	}
	return changed(nil, reflect.ValueOf(before), reflect.ValueOf(after))
}

func changed(path []string, a, b reflect.Value) [][]string {
	if a.Kind() == reflect.Pointer && !b.IsNil() {
		b = b.Elem()
		if a = a.Elem(); !a.IsValid() {
			a = reflect.Zero(b.Type())
		}
	}
	if a.Kind() != reflect.Struct {
		if reflect.DeepEqual(a.Interface(), b.Interface()) {
			return nil
		}
		return [][]string{path}
	}
	var all [][]string
	for i := range a.NumField() {
		f, sub := a.Type().Field(i), path
		if !f.Anonymous { // what is in those is selected without their name
			sub = append(slices.Clone(path), f.Name)
		}
		all = append(all, changed(sub, a.Field(i), b.Field(i))...)
	}
	return all
}

// selectors returns every name that the code of the folders selects.
func selectors(t *testing.T, dirs ...string) map[string]bool {
	names := make(map[string]bool)
	for _, dir := range dirs {
		files, _ := filepath.Glob(filepath.Join(dir, "*.go"))
		for _, path := range files {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if d, ok := n.(*ast.FuncDecl); ok && d.Name.Name == "isolation" {
					return false // only carries it to the exec stage
				}
				if s, ok := n.(*ast.SelectorExpr); ok && !isPackage(s.X, "unix") {
					names[s.Sel.Name] = true
				}
				return true
			})
		}
	}
	return names
}

func isPackage(x ast.Expr, name string) bool {
	id, ok := x.(*ast.Ident)
	return ok && id.Name == name
}

func pendingTable(t *testing.T) []string {
	text, err := os.ReadFile("../../docs/STANZAS.md")
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(line, "|"); len(cells) > 2 && !strings.Contains(cells[1], "---") && cells[1] != " stanza " {
			words = append(words, strings.TrimSpace(cells[1]))
		}
	}
	return words
}
