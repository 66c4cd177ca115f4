package ci

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// Module is the module path. Its packages are written "./core/env" here.
const Module = "onset"

// Edge says that package From imports package To.
type Edge struct {
	From, To string
	Test     bool // only by a test file
	Indirect bool // only by way of other packages
}

// Rule forbids the edges from From to To, both patterns as match takes them.
type Rule struct {
	From, To string
	Tests    bool                       // binds test files too
	Indirect bool                       // binds indirect imports too
	Unless   func(from, to string) bool // exception that no pattern can say
	Reason   string
}

func (r Rule) forbids(e Edge) bool {
	switch {
	case e.Test && !r.Tests, e.Indirect && !r.Indirect:
		return false
	case !match(r.From, e.From), !match(r.To, e.To):
		return false
	}
	return r.Unless == nil || !r.Unless(e.From, e.To)
}

// CheckImports returns a finding for each edge and each rule that forbids it.
func CheckImports(edges []Edge, rules []Rule) []string {
	var found []string
	for _, e := range edges {
		for _, r := range rules {
			if r.forbids(e) {
				found = append(found, fmt.Sprintf("%s imports %s: %s", e.From, e.To, r.Reason))
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// match reports whether a package fits a pattern: space-separated terms, of
// which the last that fits decides. A term is a package, a tree "x/...",
// "..." for all, "std" for the standard library; "!" in front excludes.
func match(pattern, pkg string) bool {
	ok := false
	for term := range strings.FieldsSeq(pattern) {
		name, not := strings.CutPrefix(term, "!")
		if matchTerm(name, pkg) {
			ok = !not
		}
	}
	return ok
}

func matchTerm(term, pkg string) bool {
	switch tree, isTree := strings.CutSuffix(term, "/..."); {
	case term == "...":
		return true
	case term == "std":
		first, _, _ := strings.Cut(pkg, "/")
		return !strings.Contains(first, ".")
	case isTree:
		return pkg == tree || strings.HasPrefix(pkg, tree+"/")
	}
	return term == pkg
}

// LayerRules turns a direction table, lowest layer first, into rules: a
// package under root imports only packages of lower layers, and each has one.
func LayerRules(root string, layers [][]string) []Rule {
	var rules []Rule
	below := "" // excludes what the lower layers hold
	for _, layer := range layers {
		here := below
		for _, name := range layer {
			tree := root + "/" + name + "/..."
			rules = append(rules, Rule{
				From: tree, To: root + "/..." + below + " !" + tree,
				Reason: name + " may use only the layers below it",
			})
			here += " !" + tree
		}
		below = here
	}
	return append(rules, Rule{
		From: root + "/..." + below, To: "...",
		Reason: "the package has no place in the direction table",
	})
}

// LoadImports reads the edges of every package of the module in dir as they
// are for one GOOS, tests included.
func LoadImports(dir, goos string) ([]Edge, error) {
	pkgs, err := goList(dir, []string{"GOOS=" + goos, "CGO_ENABLED=1"},
		"-e", "-json=ImportPath,Imports,TestImports,XTestImports,Deps", "./...")
	var edges []Edge
	for _, p := range pkgs {
		edges = append(edges, p.edges()...)
	}
	return edges, err
}

// pkg is what go list tells of a package.
type pkg struct {
	ImportPath, Dir, Export                           string
	GoFiles, Imports, TestImports, XTestImports, Deps []string
}

func (p pkg) edges() []Edge {
	var edges []Edge
	add := func(to []string, kind Edge) {
		for _, path := range to {
			kind.From, kind.To = local(p.ImportPath), local(path)
			edges = append(edges, kind)
		}
	}
	add(p.Imports, Edge{})
	add(p.TestImports, Edge{Test: true})
	add(p.XTestImports, Edge{Test: true})
	add(p.Deps, Edge{Indirect: true})
	return edges
}

// local writes packages of the module as "./x".
func local(path string) string {
	if rest, ok := strings.CutPrefix(path, Module+"/"); ok {
		return "./" + rest
	}
	return path
}

// goList runs go list in dir and decodes what it prints.
func goList(dir string, env []string, args ...string) ([]pkg, error) {
	var stderr bytes.Buffer
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir, cmd.Env, cmd.Stderr = dir, append(os.Environ(), env...), &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("cannot run go list: %w\n%s", err, &stderr)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs, nil
		} else if err != nil {
			return nil, fmt.Errorf("cannot read what go list prints: %w", err)
		}
		pkgs = append(pkgs, p)
	}
}
