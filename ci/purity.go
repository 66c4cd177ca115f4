package ci

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// mark is the comment that allows a walk over a map, followed by the reason
// why its order cannot reach an output.
const mark = "// order-free:"

// Purity says what a package may not hold.
type Purity struct {
	Concurrent bool // goroutines, channels and the clock are allowed
}

// Loader parses and type-checks packages of the module, test files left out.
type Loader struct {
	fset    *token.FileSet
	pkgs    []pkg
	imports types.Importer
}

// NewLoader prepares the packages that fit the patterns and all they import.
func NewLoader(dir string, patterns ...string) (*Loader, error) {
	pkgs, err := goList(dir, nil, append([]string{"-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles"}, patterns...)...)
	if err != nil {
		return nil, err
	}
	export := map[string]string{}
	for _, p := range pkgs {
		export[p.ImportPath] = p.Export
	}
	l := &Loader{fset: token.NewFileSet(), pkgs: pkgs}
	l.imports = importer.ForCompiler(l.fset, "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(export[path])
	})
	return l, nil
}

// Check returns the impurities of every loaded package of the module that
// purity knows, by its path as in Edge.
func (l *Loader) Check(purity func(path string) (Purity, bool)) ([]string, error) {
	var found []string
	for _, p := range l.pkgs {
		rule, ok := purity(local(p.ImportPath))
		if !ok {
			continue
		}
		var files []*ast.File
		for _, name := range p.GoFiles {
			file, err := l.parse(filepath.Join(p.Dir, name), nil)
			if err != nil {
				return nil, err
			}
			files = append(files, file)
		}
		more, err := l.impurities(p.ImportPath, files, rule)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	slices.Sort(found)
	return found, nil
}

func (l *Loader) parse(name string, src any) (*ast.File, error) {
	return parser.ParseFile(l.fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
}

// impurities type-checks one package and walks its files.
func (l *Loader) impurities(path string, files []*ast.File, rule Purity) ([]string, error) {
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: l.imports}
	if _, err := config.Check(path, l.fset, files, info); err != nil {
		return nil, fmt.Errorf("cannot check the types of %s: %w", path, err)
	}
	w := walker{fset: l.fset, info: info, rule: rule}
	for _, file := range files {
		w.marked = markedLines(l.fset, file)
		ast.PreorderStack(file, nil, w.visit)
	}
	return w.found, nil
}

// markedLines returns the lines that an order-free comment speaks for: its
// own and the one below the comment group it is in. A mark without a reason
// is none.
func markedLines(fset *token.FileSet, file *ast.File) map[int]bool {
	lines := map[int]bool{}
	for _, group := range file.Comments {
		for _, c := range group.List {
			if reason, ok := strings.CutPrefix(c.Text, mark); ok && strings.TrimSpace(reason) != "" {
				lines[fset.Position(c.Pos()).Line] = true
				lines[fset.Position(group.End()).Line+1] = true
			}
		}
	}
	return lines
}

// walker collects the impurities of one package.
type walker struct {
	fset   *token.FileSet
	info   *types.Info
	rule   Purity
	marked map[int]bool
	found  []string
}

func (w *walker) visit(n ast.Node, stack []ast.Node) bool {
	switch n := n.(type) {
	case *ast.RangeStmt:
		if t := w.info.Types[n.X].Type; t != nil {
			if _, isMap := t.Underlying().(*types.Map); isMap {
				w.unordered(n, "walks over a map")
			}
		}
	case *ast.CallExpr:
		if name := w.function(n.Fun); mapIterators[name] && !w.sorted(stack) {
			w.unordered(n, "calls "+name)
		}
	case *ast.SelectorExpr:
		w.selector(n)
	case *ast.GoStmt, *ast.SelectStmt, *ast.ChanType:
		if !w.rule.Concurrent {
			w.report(n, "uses goroutines or channels: one input at a time, in one order")
		}
	}
	return true
}

var mapIterators = map[string]bool{"maps.Keys": true, "maps.Values": true, "maps.All": true}

// orderless names the callers to whom the order of their input is nothing.
var orderless = map[string]bool{
	"slices.Sorted": true, "slices.SortedFunc": true, "slices.SortedStableFunc": true,
	"maps.Collect": true, "maps.Insert": true,
}

// sorted reports whether the innermost call around a node is orderless.
func (w *walker) sorted(stack []ast.Node) bool {
	if len(stack) == 0 {
		return false
	}
	call, ok := stack[len(stack)-1].(*ast.CallExpr)
	return ok && orderless[w.function(call.Fun)]
}

// function returns "package.Name" when an expression names a function of
// another package, else "".
func (w *walker) function(e ast.Expr) string {
	sel, ok := ast.Unparen(e).(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	f, ok := w.info.Uses[sel.Sel].(*types.Func)
	if !ok || f.Pkg() == nil || f.Signature().Recv() != nil {
		return ""
	}
	return f.Pkg().Path() + "." + f.Name()
}

var clock = map[string]bool{
	"time.Now": true, "time.Since": true, "time.Until": true, "time.Sleep": true, "time.After": true,
	"time.AfterFunc": true, "time.NewTimer": true, "time.NewTicker": true, "time.Tick": true,
}

func (w *walker) selector(sel *ast.SelectorExpr) {
	name := w.function(sel)
	path, fn, _ := strings.Cut(name, ".")
	switch {
	case clock[name] && !w.rule.Concurrent:
		w.report(sel, "uses "+name+": time arrives in the input")
	case strings.HasPrefix(path, "math/rand") && !strings.HasPrefix(fn, "New"):
		w.report(sel, "uses "+name+": random numbers come from a seed")
	}
}

func (w *walker) unordered(n ast.Node, what string) {
	if !w.marked[w.fset.Position(n.Pos()).Line] {
		w.report(n, what+": sort it, or say why its order cannot reach an output: "+mark+" <reason>")
	}
}

func (w *walker) report(n ast.Node, text string) {
	pos := w.fset.Position(n.Pos())
	w.found = append(w.found, fmt.Sprintf("%s:%d: %s", relative(pos.Filename), pos.Line, text))
}
