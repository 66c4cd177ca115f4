package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// mark is the outcome of one benchmark: its metrics by unit, a value a run.
type mark struct {
	pkg, name string
	metrics   map[string][]float64
}

// results are the benchmarks in the order in which they first ran.
type results struct {
	cpu   string
	marks []*mark
}

// parseResults reads what go test -bench -cpu 1 prints. Lines that are no
// result are passed over.
func parseResults(in io.Reader) (*results, error) {
	r, pkg := &results{}, ""
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		line := lines.Text()
		if value, ok := strings.CutPrefix(line, "pkg: "); ok {
			pkg = value
		} else if value, ok := strings.CutPrefix(line, "cpu: "); ok {
			r.cpu = value
		} else if strings.HasPrefix(line, "Benchmark") {
			r.add(pkg, strings.Fields(line))
		}
	}
	return r, lines.Err()
}

// add takes one result line: name, iterations, then pairs of value and unit.
func (r *results) add(pkg string, fields []string) {
	if len(fields) < 4 || len(fields)%2 != 0 {
		return
	}
	m := r.find(fields[0])
	if m == nil {
		m = &mark{pkg: pkg, name: fields[0], metrics: map[string][]float64{}}
		r.marks = append(r.marks, m)
	}
	for i := 2; i < len(fields); i += 2 {
		if v, err := strconv.ParseFloat(fields[i], 64); err == nil {
			m.metrics[fields[i+1]] = append(m.metrics[fields[i+1]], v)
		}
	}
}

func (r *results) find(name string) *mark {
	for _, m := range r.marks {
		if m.name == name {
			return m
		}
	}
	return nil
}

// median returns the median of a metric, false if it was never reported.
func (m *mark) median(unit string) (float64, bool) {
	values := slices.Sorted(slices.Values(m.metrics[unit]))
	if len(values) == 0 {
		return 0, false
	}
	half := len(values) / 2
	if len(values)%2 == 1 {
		return values[half], true
	}
	return (values[half-1] + values[half]) / 2, true
}

// columns are the units with a column of their own; others share the last.
var columns = []string{"ns/op", "MB/s", "B/op", "allocs/op"}

// markdown returns the table of medians.
func (r *results) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s on %s/%s, one core of %s; medians of five runs.\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, r.cpu)
	fmt.Fprintf(&b, "| benchmark | %s | other |\n|---|%s---|\n", strings.Join(columns, " | "), strings.Repeat("---:|", len(columns)))
	pkg := ""
	for _, m := range r.marks {
		if m.pkg != pkg {
			pkg = m.pkg
			fmt.Fprintf(&b, "| **%s** |%s |\n", pkg, strings.Repeat(" |", len(columns)))
		}
		fmt.Fprintf(&b, "| %s |", strings.TrimPrefix(m.name, "Benchmark"))
		for _, unit := range columns {
			fmt.Fprintf(&b, " %s |", m.cell(unit))
		}
		fmt.Fprintf(&b, " %s |\n", m.other())
	}
	return b.String()
}

func (m *mark) cell(unit string) string {
	v, ok := m.median(unit)
	if !ok {
		return ""
	}
	return number(v)
}

func (m *mark) other() string {
	var cells []string
	for unit := range m.metrics {
		if !slices.Contains(columns, unit) {
			cells = append(cells, m.cell(unit)+" "+unit)
		}
	}
	slices.Sort(cells)
	return strings.Join(cells, ", ")
}

// number writes four significant digits, whole numbers in full.
func number(v float64) string {
	if v >= 1000 || v == float64(int64(v)) {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// place is where a table stands: between two lines.
type place struct{ begin, end string }

var (
	resultsTable = place{"<!-- results: written by make bench -->", "<!-- end of results -->"}
	peersTable   = place{"<!-- peers: written by make bench -->", "<!-- end of peers -->"}
)

// updateTable rewrites a table of a file, and starts the file if need be.
func updateTable(name string, p place, table string) error {
	text, err := os.ReadFile(name)
	if os.IsNotExist(err) {
		text, err = []byte("# Performance\n\n"+p.begin+"\n"+p.end+"\n"), nil
	}
	if err != nil {
		return err
	}
	updated, err := p.replace(string(text), table)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return os.WriteFile(name, []byte(updated), 0o644)
}

func (p place) replace(text, table string) (string, error) {
	head, rest, found := strings.Cut(text, p.begin)
	_, tail, closed := strings.Cut(rest, p.end)
	if !found || !closed {
		return "", fmt.Errorf("no place for the table: want the lines %q and %q", p.begin, p.end)
	}
	return head + p.begin + "\n\n" + table + "\n" + p.end + tail, nil
}
