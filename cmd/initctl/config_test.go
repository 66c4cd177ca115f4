package main

import (
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"onset/core/control"
	"onset/core/expr"
)

// conditions are the properties of a class that show-config reads.
func conditions(name string, start, stop [][]string, more table) table {
	t := table{"name": dbus.MakeVariant(name), "emits": dbus.MakeVariant([]string{}),
		"start_on": dbus.MakeVariant(start), "stop_on": dbus.MakeVariant(stop)}
	for k, v := range more {
		t[k] = v
	}
	return t
}

var (
	none    = [][]string{}
	started = [][]string{{"started", "bar", "X=1"}, {"go"}, {"/AND"}}

	configs = answers{
		"/jobs/foo GetAll Job": conditions("foo", started, [][]string{{"halt"}}, table{
			"emits": dbus.MakeVariant([]string{"ping"}), "provides": dbus.MakeVariant([]string{"dm"}),
			"while":             dbus.MakeVariant([][]string{{"ac-power"}}),
			"start_on_expanded": dbus.MakeVariant(started),
			"stop_on_expanded":  dbus.MakeVariant([][]string{{"halt"}, {"runlevel", "0"}, {"/OR"}})}),
		"/jobs/bar GetAll Job":  conditions("bar", none, none, nil), // an old init's
		"/jobs/inst GetAll Job": conditions("inst", [][]string{{"startup"}}, [][]string{{"stopped", "gone"}}, nil),
	}
)

func TestShowConfig(t *testing.T) {
	runToolTests(t, []toolTest{
		{why: "of all", line: "initctl show-config", more: configs,
			stdout: "foo\n  emits ping\n  provides dm\n  start on (started bar X=1 and go)\n  stop on halt\n  while ac-power\n" +
				"bar\ninst\n  start on startup\n  stop on stopped gone\n"},
		{why: "of one", line: "initctl show-config bar", more: configs, stdout: "bar\n"},
		{why: "an event a line, aliases written out", line: "initctl show-config -e foo", more: configs,
			stdout: "foo\n  emits ping\n  provides dm\n  start on started (job: bar, env: X=1)\n  start on go (job:, env:)\n" +
				"  stop on halt (job:, env:)\n  stop on runlevel (job:, env: 0)\n  while ac-power (job:, env:)\n"},
		{why: "of an old init", line: "initctl show-config -e inst", more: configs,
			stdout: "inst\n  start on startup (job:, env:)\n  stop on stopped (job: gone, env:)\n"},
		{why: "of an unknown job", line: "initctl show-config nosuch", stderr: "initctl: Unknown job: nosuch\n", status: 1},
		{why: "that is none", line: "initctl show-config bar",
			more:   answers{"/jobs/bar GetAll Job": conditions("bar", [][]string{{"/AND"}}, none, nil)},
			stderr: "initctl:bar: operator without operand in expression\n", status: 1},
		{why: "as JSON", line: "initctl show-config --json inst", more: configs, stdout: `[
  {
    "job": "inst",
    "emits": [],
    "provides": [],
    "start_on": {
      "text": "startup",
      "rpn": [
        [
          "startup"
        ]
      ]
    },
    "stop_on": {
      "text": "stopped gone",
      "rpn": [
        [
          "stopped",
          "gone"
        ]
      ]
    },
    "while": null
  }
]
`},
	})
}

func TestCheckConfig(t *testing.T) {
	const gone = "inst\n  stop on: unknown job gone\n"
	runToolTests(t, []toolTest{
		{why: "reports and fails", line: "initctl check-config", more: configs,
			stdout: "foo\n  start on: unknown event go\n  stop on: unknown event runlevel\n" + gone, status: 1},
		{why: "knows what it is told", line: "initctl check-config --ignore-events x,go,runlevel", more: configs, stdout: gone, status: 1},
		{why: "takes aliases for what they mean", line: "initctl check-config -w -i go,runlevel foo", more: configs},
		{why: "of one", line: "initctl check-config bar", more: configs},
		{why: "of an unknown job", line: "initctl check-config nosuch", more: configs, stderr: "initctl: Invalid job class: nosuch\n", status: 1},
		{why: "without answer, DECISIONS 10", line: "initctl check-config",
			more: answers{"/ GetAllJobs": control.SystemError("Broken")}, stderr: "initctl: Broken\n", status: 1},
	})
}

func TestSubstitute(t *testing.T) {
	for _, tt := range []struct{ plain, full, want string }{
		{"", "", ""},
		{"a", "a", "a"},
		{"al", "al x OR", "x"},
		{"al", "al x y AND OR", "x y AND"},
		{"al x AND", "al x OR x AND", "x x AND"},
		{"x al OR b AND", "x al y OR OR b AND", "x y OR b AND"},
	} {
		if got := substitute(nil, rpn(t, tt.plain), rpn(t, tt.full)).String(); got != rpn(t, tt.want).String() {
			t.Errorf("%s of %s: got %s, want %s", tt.plain, tt.full, got, tt.want)
		}
	}
}

// rpn reads a tree from words.
func rpn(t *testing.T, text string) expr.Tree {
	var list [][]string
	for w := range strings.FieldsSeq(text) {
		if w == "AND" || w == "OR" {
			w = "/" + w
		}
		list = append(list, []string{w})
	}
	tree, err := expr.FromRPN(list)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}
