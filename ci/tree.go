package ci

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// root is the module root as seen from this package, where its tests run.
const root = ".."

// File is one file of the tree: its path from the root, with slashes.
type File struct {
	Path string
	Text []byte
}

// LoadTree reads every file below dir but those of git and of .gitignore.
func LoadTree(dir string) ([]File, error) {
	var files []File
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		rel := strings.TrimPrefix(filepath.ToSlash(name), dir+"/")
		switch {
		case err != nil:
			return err
		case rel == ".git" || rel == "bin" || rel == "cover.out" || strings.HasSuffix(rel, ".test"):
			return skip(d)
		case !d.Type().IsRegular():
			return nil
		}
		text, err := os.ReadFile(name)
		files = append(files, File{rel, text})
		return err
	})
	return files, err
}

func skip(d fs.DirEntry) error {
	if d.IsDir() {
		return filepath.SkipDir
	}
	return nil
}

// relative shortens an absolute file name to one from the module root.
func relative(name string) string {
	base, err := filepath.Abs(root)
	if err != nil {
		return name
	}
	if rel, err := filepath.Rel(base, name); err == nil && filepath.IsAbs(name) {
		return filepath.ToSlash(rel)
	}
	return name
}

func (f File) isGo() bool   { return strings.HasSuffix(f.Path, ".go") && !f.isData() }
func (f File) isTest() bool { return strings.HasSuffix(f.Path, "_test.go") }
func (f File) isData() bool { return slices.Contains(strings.Split(f.Path, "/"), "testdata") }

// CheckText returns each line that holds a forbidden text.
func CheckText(f File, forbidden *regexp.Regexp, reason string) []string {
	var found []string
	for i, line := range bytes.Split(f.Text, []byte("\n")) {
		if hit := forbidden.Find(line); hit != nil {
			found = append(found, fmt.Sprintf("%s:%d: %q: %s", f.Path, i+1, hit, reason))
		}
	}
	return found
}

// CheckLength returns a finding for a Go file of more than limit lines that
// has no reason, and for one with a reason that needs none.
func CheckLength(f File, limit int, reasons map[string]string) []string {
	lines, reason := bytes.Count(f.Text, []byte("\n")), reasons[f.Path]
	switch {
	case lines > limit && reason == "":
		return []string{fmt.Sprintf("%s: %d lines, more than %d: split it, or list the reason", f.Path, lines, limit)}
	case lines <= limit && reason != "":
		return []string{fmt.Sprintf("%s: %d lines need no reason", f.Path, lines)}
	}
	return nil
}

// CheckFormat returns a finding for a Go file that gofmt would change.
func CheckFormat(f File) []string {
	want, err := format.Source(f.Text)
	if err != nil {
		return []string{fmt.Sprintf("%s: %v", f.Path, err)}
	}
	if !bytes.Equal(want, f.Text) {
		return []string{f.Path + ": not formatted: run gofmt -w"}
	}
	return nil
}

// CheckPackageComments returns a finding for each folder of Go files (tests
// apart) none of which has a package comment.
func CheckPackageComments(files []File) []string {
	documented := map[string]bool{}
	for _, f := range files {
		if f.isGo() && !f.isTest() {
			file, err := parser.ParseFile(token.NewFileSet(), f.Path, f.Text, parser.ParseComments|parser.PackageClauseOnly)
			dir := path.Dir(f.Path)
			documented[dir] = documented[dir] || err == nil && file.Doc != nil
		}
	}
	var found []string
	for dir, ok := range documented {
		if !ok {
			found = append(found, dir+": no package comment")
		}
	}
	slices.Sort(found)
	return found
}

// CheckDocs returns a finding for each exported identifier without a doc
// comment. One on a group of constants or variables speaks for all of them,
// and the methods of well-known interfaces explain themselves.
func CheckDocs(f File) []string {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, f.Path, f.Text, parser.ParseComments)
	if err != nil {
		return []string{err.Error()}
	}
	var found []string
	for _, decl := range file.Decls {
		for _, name := range undocumented(decl) {
			found = append(found, fmt.Sprintf("%s: %s has no doc comment", fset.Position(name.Pos()), name.Name))
		}
	}
	return found
}

// wellKnown are methods of interfaces of the standard library.
var wellKnown = []string{"String", "Error", "Unwrap", "Is", "Len", "Less", "Swap", "Push", "Pop",
	"MarshalJSON", "UnmarshalJSON", "MarshalText", "UnmarshalText", "Read", "Write", "Close"}

func undocumented(decl ast.Decl) []*ast.Ident {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		method := d.Recv != nil
		if d.Doc == nil && d.Name.IsExported() &&
			!(method && (slices.Contains(wellKnown, d.Name.Name) || !receiverExported(d))) {
			return []*ast.Ident{d.Name}
		}
	case *ast.GenDecl:
		if d.Doc == nil {
			return undocumentedSpecs(d.Specs)
		}
	}
	return nil
}

func receiverExported(d *ast.FuncDecl) bool {
	for t := d.Recv.List[0].Type; ; {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return true
		}
	}
}

// undocumentedSpecs allows one comment to name several neighbours.
func undocumentedSpecs(specs []ast.Spec) []*ast.Ident {
	var names []*ast.Ident
	said := ""
	for _, spec := range specs {
		var doc, comment *ast.CommentGroup
		var here []*ast.Ident
		switch s := spec.(type) {
		case *ast.TypeSpec:
			doc, comment, here = s.Doc, s.Comment, []*ast.Ident{s.Name}
		case *ast.ValueSpec:
			doc, comment, here = s.Doc, s.Comment, s.Names
		}
		if doc != nil {
			said = doc.Text()
		}
		for _, name := range here {
			if name.IsExported() && doc == nil && comment == nil && !hasWord(said, name.Name) {
				names = append(names, name)
			}
		}
	}
	return names
}

func hasWord(text, word string) bool {
	return slices.Contains(strings.FieldsFunc(text, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_'
	}), word)
}
