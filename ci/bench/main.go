// Command bench runs the benchmarks of the tree on one core, several times
// each, writes the medians as a table into docs/PERFORMANCE.md and checks
// them against ci/budgets.txt; then it has ci/bench/peers compare whole inits
// and writes that table, too. It runs from the module root and fails when a
// benchmark fails or a budget does not hold; the tables are written even then.
// With the argument budgets or peers it does one half.
package main

import (
	"errors"
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
	which := ""
	if len(os.Args) > 1 {
		which = os.Args[1]
	}
	var failed error
	if which != "peers" {
		failed = budgets()
	}
	if which != "budgets" {
		failed = errors.Join(failed, peers())
	}
	if failed != nil {
		fmt.Fprintln(os.Stderr, "bench:", failed)
		os.Exit(1)
	}
}

// peers compares inits: the table is what the program prints.
func peers() error {
	cmd := exec.Command("go", "run", "./ci/bench/peers")
	cmd.Stderr = os.Stderr
	table, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("ci/bench/peers: %w", err)
	}
	os.Stdout.Write(table)
	return updateTable(tableFile, peersTable, string(table))
}

func budgets() error {
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
	if err := updateTable(tableFile, resultsTable, results.markdown()); err != nil {
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
