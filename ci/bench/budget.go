package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// budget is one line of the budget file: the metric of a benchmark is at
// most (or at least) limit, or limit times the same metric of another one.
type budget struct {
	name, unit, op string
	limit          float64
	other          string
}

// parseBudgets reads "name unit op limit" or "name unit op limit x other" a
// line; # starts a comment. Errors begin with the line number.
func parseBudgets(text string) ([]budget, error) {
	var budgets []budget
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		b, err := parseBudget(fields)
		if err != nil {
			return nil, fmt.Errorf("%d: %w", i+1, err)
		}
		budgets = append(budgets, b)
	}
	return budgets, nil
}

func parseBudget(f []string) (budget, error) {
	if len(f) != 4 && (len(f) != 6 || f[4] != "x") {
		return budget{}, fmt.Errorf("want: benchmark unit <=|>= limit [x benchmark]")
	}
	b := budget{name: f[0], unit: f[1], op: f[2]}
	if b.op != "<=" && b.op != ">=" {
		return budget{}, fmt.Errorf("unknown comparison %q", b.op)
	}
	if len(f) == 6 {
		b.other = f[5]
	}
	var err error
	if b.limit, err = strconv.ParseFloat(f[3], 64); err != nil {
		return budget{}, fmt.Errorf("limit %q is no number", f[3])
	}
	return b, nil
}

func (b budget) String() string {
	s := fmt.Sprintf("%s %s %s %g", b.name, b.unit, b.op, b.limit)
	if b.other != "" {
		s += " x " + b.other
	}
	return s
}

// holds compares a budget with the results and tells the measured value, or
// why there is none: a benchmark that is missing breaks its budget.
func (b budget) holds(r *results) (ok bool, measured string) {
	value, err := r.value(b.name, b.unit)
	if err != nil {
		return false, err.Error()
	}
	measured = number(value)
	if b.other != "" {
		base, err := r.value(b.other, b.unit)
		if err != nil {
			return false, err.Error()
		}
		value /= base
		measured = fmt.Sprintf("%s x %s", number(value), number(base))
	}
	if b.op == "<=" {
		return value <= b.limit, measured
	}
	return value >= b.limit, measured
}

func (r *results) value(name, unit string) (float64, error) {
	m := r.find(name)
	if m == nil {
		return 0, fmt.Errorf("no benchmark %s", name)
	}
	v, ok := m.median(unit)
	if !ok {
		return 0, fmt.Errorf("%s reports no %s", name, unit)
	}
	return v, nil
}

// check prints a line for each budget and returns how many do not hold.
func check(out io.Writer, budgets []budget, r *results) (failed int) {
	for _, b := range budgets {
		ok, measured := b.holds(r)
		word := "PASS"
		if !ok {
			word = "FAIL"
			failed++
		}
		fmt.Fprintf(out, "%s %s: %s\n", word, b, measured)
	}
	return failed
}
