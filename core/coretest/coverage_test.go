package coretest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// row is a requirement of the specification. One that no script can show has
// a reason instead.
type row struct{ name, reason string }

// readRows reads rows.txt: lines "ROW: description", below a row at most one
// line "- reason". Empty lines and lines that begin with # are left out.
func readRows(t *testing.T) []row {
	text, err := os.ReadFile("rows.txt")
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		name, _, isRow := strings.Cut(line, ": ")
		reason, isReason := strings.CutPrefix(line, "- ")
		switch {
		case line == "", line[0] == '#':
		case isReason && len(rows) > 0 && rows[len(rows)-1].reason == "":
			rows[len(rows)-1].reason = reason
		case isRow && !isReason:
			rows = append(rows, row{name: name})
		default:
			t.Errorf("rows.txt: neither a row nor a reason: %s", line)
		}
	}
	return rows
}

// coverage returns the scripts that name each row.
func coverage(t *testing.T) map[string][]string {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	covered := map[string][]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(parseArchive(string(text)).comment) {
			if row, ok := strings.CutPrefix(strings.TrimSpace(line), "# covers: "); ok {
				covered[row] = append(covered[row], filepath.Base(path))
			}
		}
	}
	return covered
}

func TestEveryRowIsCoveredByAScriptOrHasAReason(t *testing.T) {
	covered := coverage(t)
	for _, r := range readRows(t) {
		switch scripts := covered[r.name]; {
		case len(scripts) == 0 && r.reason == "":
			t.Errorf("no script covers %s", r.name)
		case len(scripts) > 0 && r.reason != "":
			t.Errorf("%s has a reason to be left out and is covered by %v", r.name, scripts)
		}
	}
}

func TestNoScriptNamesAnUnknownRow(t *testing.T) {
	rows := readRows(t)
	for name, scripts := range coverage(t) {
		if !slices.ContainsFunc(rows, func(r row) bool { return r.name == name }) {
			t.Errorf("%v covers %s, which is no row", scripts, name)
		}
	}
}

func TestNoRowIsListedTwice(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range readRows(t) {
		if seen[r.name] {
			t.Errorf("%s is listed twice", r.name)
		}
		seen[r.name] = true
	}
}
