// Command bench runs the benchmarks of the tree on one core, several times
// each, writes the medians as a table into docs/PERFORMANCE.md and checks
// them against ci/budgets.txt. It runs from the module root and fails when a
// benchmark fails or a budget does not hold; the table is written even then.
package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
)

const (
	budgetFile = "ci/budgets.txt"
	tableFile  = "docs/PERFORMANCE.md"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	text, err := os.ReadFile(budgetFile)
	if err != nil {
		return err
	}
	budgets, err := parseBudgets(string(text))
	if err != nil {
		return fmt.Errorf("%s:%w", budgetFile, err)
	}
	results, failed := measure()
	if failed != nil && len(results.marks) == 0 {
		return failed
	}
	if err := updateTable(tableFile, results.markdown()); err != nil {
		return err
	}
	if n := check(os.Stdout, budgets, results); n > 0 {
		return fmt.Errorf("%d of %d budgets do not hold", n, len(budgets))
	}
	return failed
}

// measure runs every benchmark and shows the output of go test on the way.
func measure() (*results, error) {
	cmd := exec.Command("go", "test", "-run", "^$", "-bench", ".", "-benchmem", "-count", "5", "-cpu", "1", "-timeout", "60m", "./...")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r, readErr := parseResults(io.TeeReader(out, os.Stdout))
	if err := cmd.Wait(); err != nil {
		return r, fmt.Errorf("go test: %w", err)
	}
	return r, readErr
}
