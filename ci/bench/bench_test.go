package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const output = `goos: linux
pkg: onset/core/a
cpu: Some CPU
BenchmarkA/n=10     100   10.0 ns/op  50.00 MB/s  0 B/op  0 allocs/op
BenchmarkA/n=10     100   14.0 ns/op  40.00 MB/s  0 B/op  0 allocs/op
BenchmarkA/n=10     100   11.5 ns/op  45.00 MB/s  0 B/op  0 allocs/op
PASS
pkg: onset/core/b
BenchmarkB    1   123456789 ns/op   4.5 heapMB   2 B/op   1 allocs/op
BenchmarkB    1   123456787 ns/op   5.5 heapMB   2 B/op   1 allocs/op
--- BENCH: BenchmarkB
BenchmarkBroken
ok  	onset/core/b	1.2s
`

func parsed(t *testing.T) *results {
	t.Helper()
	r, err := parseResults(strings.NewReader(output))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTableHoldsMedians(t *testing.T) {
	_, table, _ := strings.Cut(parsed(t).markdown(), "\n\n")
	want := `| benchmark | ns/op | MB/s | B/op | allocs/op | other |
|---|---:|---:|---:|---:|---|
| **onset/core/a** | | | | | |
| A/n=10 | 11.5 | 45 | 0 | 0 |  |
| **onset/core/b** | | | | | |
| B | 123456788 |  | 2 | 1 | 5 heapMB |
`
	if table != want {
		t.Errorf("table:\n%s\nwant:\n%s", table, want)
	}
}

func TestBudgets(t *testing.T) {
	for line, want := range map[string]string{
		"BenchmarkA/n=10 MB/s >= 45":                       "PASS",
		"BenchmarkA/n=10 MB/s >= 46":                       "FAIL",
		"BenchmarkA/n=10 ns/op <= 12 # comment":            "PASS",
		"BenchmarkB heapMB <= 4.9":                         "FAIL",
		"BenchmarkB B/op <= 2":                             "PASS",
		"BenchmarkB ns/op <= 1.5 x BenchmarkA/n=10":        "FAIL",
		"BenchmarkA/n=10 ns/op <= 1 x BenchmarkB":          "PASS",
		"BenchmarkMissing ns/op <= 1":                      "FAIL",
		"BenchmarkA/n=10 heapMB <= 1":                      "FAIL",
		"BenchmarkA/n=10 ns/op <= 1000 x BenchmarkMissing": "FAIL",
	} {
		budgets, err := parseBudgets("\n# comment\n" + line + "\n")
		if err != nil || len(budgets) != 1 {
			t.Fatalf("%s: %v, %v", line, budgets, err)
		}
		var out strings.Builder
		failed := check(&out, budgets, parsed(t))
		if !strings.HasPrefix(out.String(), want) || (failed == 1) != (want == "FAIL") {
			t.Errorf("%s: %d failed, printed %q, want %s", line, failed, &out, want)
		}
	}
}

func TestBudgetErrorsTellTheLine(t *testing.T) {
	for _, line := range []string{"A ns/op <=", "A ns/op < 1", "A ns/op <= one", "A ns/op <= 1 of B"} {
		if b, err := parseBudgets("\n" + line); err == nil || !strings.HasPrefix(err.Error(), "2: ") {
			t.Errorf("%s: %v, error %v", line, b, err)
		}
	}
}

func TestTheBudgetsOfTheProjectAreReadable(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "budgets.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if budgets, err := parseBudgets(string(text)); err != nil || len(budgets) == 0 {
		t.Errorf("%d budgets, error %v", len(budgets), err)
	}
}

func TestTableIsReplacedInPlace(t *testing.T) {
	name := filepath.Join(t.TempDir(), "P.md")
	for _, table := range []string{"old\n", "new\n"} {
		if err := updateTable(name, resultsTable, table); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(name)
	if want := "# Performance\n\n" + resultsTable.begin + "\n\nnew\n\n" + resultsTable.end + "\n"; err != nil || string(text) != want {
		t.Errorf("%q, %v, want %q", text, err, want)
	}
}

func TestAFileWithoutMarkersIsLeftAlone(t *testing.T) {
	name := filepath.Join(t.TempDir(), "P.md")
	if err := os.WriteFile(name, []byte("prose\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := updateTable(name, resultsTable, "table\n"); err == nil {
		t.Error("no error")
	}
	if text, _ := os.ReadFile(name); string(text) != "prose\n" {
		t.Errorf("file is now %q", text)
	}
}
