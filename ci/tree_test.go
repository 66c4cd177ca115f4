package ci

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

// longFiles are the Go files over maxLines, each with the reason why it is
// better whole.
var longFiles = map[string]string{}

const maxLines = 700

// The forbidden texts are put together here so that this file holds none.
var (
	machinePath = regexp.MustCompile(`(^|[\s"'=:(,` + "`" + `])/` + `(work|root|Users)/`)
	homePath    = regexp.MustCompile(`(^|[\s"'=:(,` + "`" + `])/` + `home/`)
	registry    = regexp.MustCompile(`\b(proxy|sum)\.` + `golang\.org|npmjs\.` + `(org|com)|deb\.` + `debian\.org|pypi\.` + `org|crates\.` + `io\b`)
)

// report fails the test with every finding on a line of its own.
func report(t *testing.T, found []string) {
	t.Helper()
	for _, f := range found {
		t.Error(f)
	}
}

func tree(t *testing.T) []File {
	t.Helper()
	files, err := LoadTree(root)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestNoMachinePaths(t *testing.T) {
	for _, f := range tree(t) {
		report(t, CheckText(f, machinePath, "a path of somebody's machine"))
		if !f.isTest() && !f.isData() { // a job under test may live in somebody's home
			report(t, CheckText(f, homePath, "a path of somebody's machine"))
		}
	}
}

func TestNoRegistryHosts(t *testing.T) {
	for _, f := range tree(t) {
		report(t, CheckText(f, registry, "registries are found through their clients"))
	}
}

func TestGoFilesAreShort(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range tree(t) {
		if f.isGo() {
			seen[f.Path] = true
			report(t, CheckLength(f, maxLines, longFiles))
		}
	}
	for name := range longFiles {
		if !seen[name] {
			t.Errorf("%s: listed as long, and not there", name)
		}
	}
}

func TestGoFilesAreFormatted(t *testing.T) {
	for _, f := range tree(t) {
		if f.isGo() {
			report(t, CheckFormat(f))
		}
	}
}

func TestPackagesHaveComments(t *testing.T) {
	report(t, CheckPackageComments(tree(t)))
}

func TestExportedNamesOfCoreAreDocumented(t *testing.T) {
	for _, f := range tree(t) {
		if strings.HasPrefix(f.Path, "core/") && f.isGo() && !f.isTest() {
			report(t, CheckDocs(f))
		}
	}
}

func TestLicence(t *testing.T) {
	for _, f := range tree(t) {
		if f.Path == "LICENSE" && bytes.Contains(f.Text, []byte("Apache License")) {
			return
		}
	}
	t.Error("LICENSE does not hold the Apache License")
}

func TestTextFindings(t *testing.T) {
	slash := "/"
	for _, c := range []struct {
		name, text string
		re         *regexp.Regexp
		want       int
	}{
		{"a machine path", "see " + slash + "work/main", machinePath, 1},
		{"a quoted machine path", `"` + slash + `root/x"`, machinePath, 1},
		{"a folder of that name", "docs" + slash + "work/x", machinePath, 0},
		{"a home", "HOME=" + slash + "home/me/x", homePath, 1},
		{"a registry", "https://proxy" + ".golang.org", registry, 1},
		{"a documentation site", "https://go.dev", registry, 0},
	} {
		if got := CheckText(File{"x", []byte("\n" + c.text + "\n")}, c.re, "no"); len(got) != c.want {
			t.Errorf("%s: found %q, want %d", c.name, got, c.want)
		}
	}
}

func TestLengthFindings(t *testing.T) {
	for _, c := range []struct {
		name    string
		lines   int
		reasons map[string]string
		want    int
	}{
		{"short", 3, nil, 0},
		{"long", 4, nil, 1},
		{"long with a reason", 4, map[string]string{"x.go": "a table"}, 0},
		{"short with a reason", 3, map[string]string{"x.go": "a table"}, 1},
	} {
		f := File{"x.go", []byte(strings.Repeat("\n", c.lines))}
		if got := CheckLength(f, 3, c.reasons); len(got) != c.want {
			t.Errorf("%s: found %q, want %d", c.name, got, c.want)
		}
	}
}

func TestFormatFindings(t *testing.T) {
	for src, want := range map[string]int{"package p\n": 0, "package  p\n": 1, "pack p\n": 1} {
		if got := CheckFormat(File{"x.go", []byte(src)}); len(got) != want {
			t.Errorf("%q: found %q, want %d", src, got, want)
		}
	}
}

func TestPackageCommentFindings(t *testing.T) {
	bare, commented := []byte("package p\n"), []byte("// Package p is p.\npackage p\n")
	found := CheckPackageComments([]File{
		{"a/x.go", bare}, {"a/doc.go", commented},
		{"b/x.go", bare}, {"b/x_test.go", commented},
		{"c/testdata/x.go", bare}, {"d/x_test.go", bare},
	})
	if len(found) != 1 || !strings.HasPrefix(found[0], "b:") {
		t.Errorf("found %q, want one for b", found)
	}
}

func TestDocFindings(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"func F() {}", "F"},
		{"// F does.\nfunc F() {}", ""},
		{"func f() {}", ""},
		{"type T int", "T"},
		{"func (t *T[K]) M() {}", "M"},
		{"func (t T) String() string { return \"\" }", ""},
		{"func (t hidden) M() {}", ""},
		{"// Both.\nconst (\n\tA = 1\n\tB = 2\n)", ""},
		{"const (\n\tA = 1 // one\n\tB = 2\n)", "B"},
		{"var v, V int", "V"},
		{"type (\n\t// A and B are.\n\tA int\n\tB int\n\tC int\n)", "C"},
	} {
		found := strings.Join(CheckDocs(File{"x.go", []byte("package p\n" + c.src)}), "\n")
		if (found == "") != (c.want == "") || !strings.Contains(found, c.want+" has no doc") && c.want != "" {
			t.Errorf("%s: found %q, want one for %q", c.src, found, c.want)
		}
	}
}
