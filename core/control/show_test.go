package control

import (
	"testing"

	"onset/core/expr"
)

// on makes an operand.
func on(name string, args ...string) expr.Tree { return expr.Tree{{Name: name, Args: args}} }

// op joins two trees.
func op(o expr.Op, left, right expr.Tree) expr.Tree {
	return append(append(append(expr.Tree(nil), left...), right...), expr.Node{Op: o})
}

func TestStatusLines(t *testing.T) {
	tests := []struct {
		class, instance, goal, state, respawnAt string
		processes                               []ProcessInfo
		want                                    string
	}{
		{"cron", "", "start", "running", "", []ProcessInfo{{"main", 812}}, "cron start/running, process 812"},
		{"foo", "", "start", "pre-start", "", []ProcessInfo{{"pre-start", 902}}, "foo start/pre-start, process 902"},
		{"foo", "", "stop", "post-stop", "", []ProcessInfo{{"post-stop", 3}}, "foo stop/post-stop, process 3"},
		{"foo", "", "start", "post-start", "", []ProcessInfo{{"post-start", 1357}}, "foo start/post-start, (post-start) process 1357"},
		{"foo", "", "start", "security", "", []ProcessInfo{{"security", 4}}, "foo start/security, (security) process 4"},
		{"getty", "tty1", "start", "post-start", "", []ProcessInfo{{"main", 12}, {"post-start", 13}},
			"getty (tty1) start/post-start, process 12\n\tpost-start process 13"},
		{"foo", "", "stop", "pre-stop", "", []ProcessInfo{{"main", 1}, {"post-start", 2}, {"pre-stop", 3}},
			"foo stop/pre-stop, process 1\n\tpost-start process 2\n\tpre-stop process 3"},
		{"foo", "", "stop", "waiting", "", nil, "foo stop/waiting"},
		{"foo", "a b/c", "start", "starting", "", nil, "foo (a b/c) start/starting"},
		{"foo", "", "start", "starting", "2026-11-21T06:00:05Z", nil, "foo start/starting, respawn at 2026-11-21T06:00:05Z"},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			if got := StatusLine(tt.class, tt.instance, tt.goal, tt.state, tt.respawnAt, tt.processes); got != tt.want {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestStatusNotes(t *testing.T) {
	for _, tt := range []struct {
		phase, text string
		oomKills    int32
		want        string
	}{
		{"", "", 0, ""},
		{"waiting for READY=1", "", 0, "\n\twaiting for READY=1"},
		{"reloading", `reads "a"`, 2, "\n\treloading\n\t" + `"reads \"a\""` + "\n\tkilled for want of memory: 2"},
	} {
		if got := StatusNotes(tt.phase, tt.text, tt.oomKills); got != tt.want {
			t.Errorf("StatusNotes(%q, %q, %d) = %q, want %q", tt.phase, tt.text, tt.oomKills, got, tt.want)
		}
	}
}

func TestShowConfig(t *testing.T) {
	tests := []struct {
		why           string
		class         ClassInfo
		tree, operand string
	}{
		{"a class without conditions is a name", ClassInfo{Name: "foo"}, "foo\n", "foo\n"},
		{"one operand has no parentheses",
			ClassInfo{Name: "foo", StartOn: on("startup")},
			"foo\n  start on startup\n",
			"foo\n  start on startup (job:, env:)\n"},
		{"emits come first, stop on last",
			ClassInfo{Name: "foo", Emits: []string{"e1", "e*"}, StartOn: on("a"), StopOn: on("runlevel", "[016]")},
			"foo\n  emits e1\n  emits e*\n  start on a\n  stop on runlevel [016]\n",
			"foo\n  emits e1\n  emits e*\n  start on a (job:, env:)\n  stop on runlevel (job:, env: [016])\n"},
		{"each operator has its parentheses",
			ClassInfo{Name: "foo", StartOn: op(expr.And, on("A", "x=1"), op(expr.Or, on("B"), on("C", "y", "z=2")))},
			"foo\n  start on (A x=1 and (B or C y z=2))\n",
			"foo\n  start on A (job:, env: x=1)\n  start on B (job:, env:)\n  start on C (job:, env: y z=2)\n"},
		{"a job event names its job first",
			ClassInfo{Name: "foo", StartOn: on("started", "dbus", "INSTANCE=x")},
			"foo\n  start on started dbus INSTANCE=x\n",
			"foo\n  start on started (job: dbus, env: INSTANCE=x)\n"},
		{"or by variable",
			ClassInfo{Name: "foo", StopOn: on("stopping", "RESULT=ok", "JOB=dbus")},
			"foo\n  stop on stopping RESULT=ok JOB=dbus\n",
			"foo\n  stop on stopping (job: dbus, env: RESULT=ok)\n"},
		{"or not at all",
			ClassInfo{Name: "foo", StopOn: on("stopped", "JOB!=dbus")},
			"foo\n  stop on stopped JOB!=dbus\n",
			"foo\n  stop on stopped (job:, env: JOB!=dbus)\n"},
		{"another event has no job",
			ClassInfo{Name: "foo", StartOn: on("mounted", "JOB=x")},
			"foo\n  start on mounted JOB=x\n",
			"foo\n  start on mounted (job:, env: JOB=x)\n"},
		{"provided names and facts have their lines",
			ClassInfo{Name: "foo", Provides: []string{"display-manager"}, While: on("net-device", "INTERFACE=eth*")},
			"foo\n  provides display-manager\n  while net-device INTERFACE=eth*\n",
			"foo\n  provides display-manager\n  while net-device (job:, env: INTERFACE=eth*)\n"},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			if got := ShowConfig(&tt.class); got != tt.tree {
				t.Errorf("got\n%swant\n%s", got, tt.tree)
			}
			if got := ShowConfigEvents(&tt.class); got != tt.operand {
				t.Errorf("-e: got\n%swant\n%s", got, tt.operand)
			}
		})
	}
}

func TestCheckConfig(t *testing.T) {
	good, bad := on("startup"), on("nope")
	both := op(expr.Or, good, bad)
	tests := []struct {
		why     string
		classes []ClassInfo
		options CheckOptions
		want    string
	}{
		{"no condition is no fault", []ClassInfo{{Name: "foo"}}, CheckOptions{}, ""},
		{"init's own events are known", []ClassInfo{{Name: "foo", StartOn: on("control-alt-delete"), StopOn: on("settled")}}, CheckOptions{}, ""},
		{"an unknown event", []ClassInfo{{Name: "foo", StartOn: bad}}, CheckOptions{}, "foo\n  start on: unknown event nope\n"},
		{"an event of another class's emits pattern",
			[]ClassInfo{{Name: "foo", StartOn: on("net-device-up")}, {Name: "udev", Emits: []string{"net-device-*"}}}, CheckOptions{}, ""},
		{"a pattern is no event", []ClassInfo{{Name: "foo", StartOn: on("x*"), Emits: []string{"xy"}}}, CheckOptions{},
			"foo\n  start on: unknown event x*\n"},
		{"an ignored event", []ClassInfo{{Name: "foo", StartOn: bad}}, CheckOptions{Events: []string{"other", "nope"}}, ""},
		{"an unknown job", []ClassInfo{{Name: "foo", StopOn: on("stopped", "bar")}}, CheckOptions{},
			"foo\n  stop on: unknown job bar\n"},
		{"a known job", []ClassInfo{{Name: "foo", StopOn: on("stopped", "JOB=bar")}, {Name: "bar"}}, CheckOptions{}, ""},
		{"a provided name is a job", []ClassInfo{{Name: "foo", StopOn: on("stopped", "dm")}, {Name: "bar", Provides: []string{"dm"}}}, CheckOptions{}, ""},
		{"a variable is taken for a job", []ClassInfo{{Name: "foo", StopOn: on("stopped", "JOB=$JOB")}}, CheckOptions{}, ""},
		{"a job event may leave the job open", []ClassInfo{{Name: "foo", StopOn: on("stopped")}}, CheckOptions{}, ""},
		{"or needs one side", []ClassInfo{{Name: "foo", StartOn: both}}, CheckOptions{}, ""},
		{"or needs both with --warn", []ClassInfo{{Name: "foo", StartOn: both}}, CheckOptions{Warn: true}, "foo\n  start on: unknown event nope\n"},
		{"and needs both sides", []ClassInfo{{Name: "foo", StartOn: op(expr.And, bad, good)}}, CheckOptions{}, "foo\n  start on: unknown event nope\n"},
		{"a false condition shows all its bad operands",
			[]ClassInfo{{Name: "foo", StartOn: op(expr.And, both, on("started", "bar")), StopOn: op(expr.Or, bad, on("worse"))}}, CheckOptions{},
			"foo\n  start on: unknown event nope\n  start on: unknown job bar\n  stop on: unknown event nope\n  stop on: unknown event worse\n"},
		{"a true condition shows none", []ClassInfo{{Name: "foo", StartOn: both, StopOn: bad}}, CheckOptions{}, "foo\n  stop on: unknown event nope\n"},
		{"classes in the order given", []ClassInfo{{Name: "b", StartOn: bad}, {Name: "ok"}, {Name: "a", StartOn: bad}}, CheckOptions{},
			"b\n  start on: unknown event nope\na\n  start on: unknown event nope\n"},
		{"one class only", []ClassInfo{{Name: "b", StartOn: bad}, {Name: "a", StartOn: on("started", "b")}}, CheckOptions{Only: "a"}, ""},
		{"session-end is unknown to a system", []ClassInfo{{Name: "foo", StartOn: on("session-end")}}, CheckOptions{}, "foo\n  start on: unknown event session-end\n"},
		{"session-end is known to a session", []ClassInfo{{Name: "foo", StartOn: on("session-end")}}, CheckOptions{User: true}, ""},
		{"facts are not events", []ClassInfo{{Name: "foo", While: bad}}, CheckOptions{}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			report, ok := CheckConfig(tt.classes, tt.options)
			if report != tt.want || ok != (tt.want == "") {
				t.Errorf("got %v\n%swant\n%s", ok, report, tt.want)
			}
		})
	}
}

func TestPrefixJoinsAPlaceWithoutSpace(t *testing.T) {
	for message, want := range map[string]string{
		"no such job":              "init: no such job",
		"file.conf:4: bad":         "init:file.conf:4: bad",
		"foo: bar":                 "init:foo: bar",
		": odd":                    "init: : odd",
		"Failed to spawn foo: why": "init: Failed to spawn foo: why",
	} {
		if got := Prefixed("init", message); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
