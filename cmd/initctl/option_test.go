package main

import (
	"fmt"
	"testing"
)

var testOptions = []option{
	{short: 'a', long: "all"}, {short: 'b', long: "both"}, {short: 't', long: "time", value: "SECS"},
	{long: "dest", value: "NAME"}, {long: "help"}, {long: "version"},
}

func TestOptions(t *testing.T) {
	for _, tt := range []struct {
		why  string
		line []string
		want string // options, arguments, error
	}{
		{"nothing", nil, "map[] [] <nil>"},
		{"arguments alone", []string{"x", "", "y=-z"}, "map[] [x  y=-z] <nil>"},
		{"a flag, long and short", []string{"--all", "-b"}, "map[all:[] both:[]] [] <nil>"},
		{"options after arguments", []string{"x", "-a", "y"}, "map[all:[]] [x y] <nil>"},
		{"a cluster", []string{"-ab"}, "map[all:[] both:[]] [] <nil>"},
		{"a value after =", []string{"--dest=x=y"}, "map[dest:[x=y]] [] <nil>"},
		{"an empty value", []string{"--dest="}, "map[dest:[]] [] <nil>"},
		{"a value as the next argument", []string{"--dest", "x", "y"}, "map[dest:[x]] [y] <nil>"},
		{"a value behind other options", []string{"--dest", "-a", "x"}, "map[all:[] dest:[x]] [] <nil>"},
		{"two values in order", []string{"--dest", "-t", "x", "5"}, "map[dest:[x] time:[5]] [] <nil>"},
		{"a short option's value", []string{"-t", "5"}, "map[time:[5]] [] <nil>"},
		{"a value in the same word", []string{"-t5a"}, "map[time:[5a]] [] <nil>"},
		{"not behind another option of the cluster", []string{"-atb", "5"}, "map[all:[] both:[] time:[5]] [] <nil>"},
		{"the last value wins, and all are there", []string{"-t1", "-t2"}, "map[time:[1 2]] [] <nil>"},
		{"-- ends options", []string{"-a", "--", "-b", "--", "x"}, "map[all:[]] [-b -- x] <nil>"},
		{"a value behind --", []string{"--dest", "--", "-x"}, "map[dest:[-x]] [] <nil>"},
		{"a lone dash is an argument", []string{"-", "-a"}, "map[all:[]] [-] <nil>"},
		{"no abbreviation", []string{"--al"}, "map[] [] invalid option: --al"},
		{"unknown, with a value", []string{"--nope=1"}, "map[] [] invalid option: --nope"},
		{"unknown in a cluster", []string{"-axb"}, "map[all:[]] [] invalid option: -x"},
		{"a value too much", []string{"--all=yes"}, "map[] [] unexpected argument: --all=yes"},
		{"a value too few", []string{"--dest", "-a"}, "map[all:[]] [] missing argument: --dest"},
		{"a short one's value too few", []string{"x", "-t"}, "map[] [x] missing argument: -t"},
		{"help at once", []string{"-a", "--help", "--nope"}, "map[all:[]] [] help"},
		{"an error before help", []string{"--nope", "--help"}, "map[] [] invalid option: --nope"},
	} {
		t.Run(tt.why, func(t *testing.T) {
			p := parser{known: testOptions}
			err := p.parse(tt.line)
			if got := fmt.Sprintf("%v %v %v", map[string][]string(p.given), p.args, err); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestLastValueWins(t *testing.T) {
	o := options{"dest": {"x", "y"}}
	if o.value("dest") != "y" || o.value("nope") != "" || !o.has("dest") || o.has("nope") {
		t.Error("not so")
	}
}
