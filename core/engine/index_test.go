package engine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"onset/core/env"
	"onset/core/event"
	"onset/core/expr"
	"onset/core/job"
)

func randomOperand(r *rand.Rand) expr.Node {
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	n := expr.Node{Name: pick("started", "stopped", "go")}
	pattern := func() string { return pick("foo", "bar", "svc", "", "*", "f?o", "[fb]*", "$V", "$NONE", "1", `\1`) }
	for range r.IntN(3) {
		n.Args = append(n.Args, pattern())
	}
	for range r.IntN(3) {
		n.Args = append(n.Args, pick("JOB", "INSTANCE", "X", "")+pick("=", "!=")+pattern())
	}
	return n
}

func randomTree(r *rand.Rand) expr.Tree {
	if r.IntN(4) == 0 {
		return nil
	}
	t := expr.Tree{randomOperand(r)}
	for range r.IntN(3) {
		t = append(t, randomOperand(r), expr.Node{Op: expr.And + expr.Op(r.IntN(2))})
	}
	return t
}

func randomEvent(r *rand.Rand) *event.Event {
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	ev := &event.Event{Name: pick("started", "stopped", "go", "other")}
	for _, key := range []string{"JOB", "INSTANCE", "X"} {
		if r.IntN(3) > 0 {
			ev.Env = append(ev.Env, key+"="+pick("foo", "bar", "", "1", "*", "foo=1"))
		}
	}
	if r.IntN(4) == 0 {
		slices.Reverse(ev.Env)
	}
	if r.IntN(2) == 0 {
		ev.Provides = []string{pick("svc", "foo"), pick("svc", "bar", "")}
	}
	return ev
}

func randomClasses(r *rand.Rand, n int) []*Class {
	classes := make([]*Class, n)
	for i := range classes {
		classes[i] = &Class{Def: &job.Class{Name: fmt.Sprintf("job%02d", i)}, Session: []string{"", "/srv"}[r.IntN(2)],
			StartOn: randomTree(r), StopOn: randomTree(r)}
	}
	return classes
}

// matching returns the classes with an operand that matches, by looking at
// all of them.
func matching(classes []*Class, ev *event.Event) []*Class {
	vars := env.Table{"V=foo"}
	s := expr.Subject{Name: ev.Name, Env: ev.Env, Jobs: ev.Provides}
	matches := func(n expr.Node) bool {
		return n.Op == expr.Match && n.Matches(&s, func(p string) (string, error) { return env.Expand(p, vars.Lookup) })
	}
	var found []*Class
	for _, c := range classes {
		if slices.ContainsFunc(c.StartOn, matches) || slices.ContainsFunc(c.StopOn, matches) {
			found = append(found, c)
		}
	}
	slices.SortFunc(found, compareClasses)
	return found
}

func names(classes []*Class) string {
	var b strings.Builder
	for _, c := range classes {
		fmt.Fprintf(&b, "%s|%s: start on %s, stop on %s\n", c.Session, c.Def.Name, c.StartOn, c.StopOn)
	}
	return b.String()
}

func TestCandidatesAreTheClassesAFullScanFindsAndFewMore(t *testing.T) {
	matched, offered := 0, 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		classes := randomClasses(r, 20)
		index := conditionIndex{}
		for _, c := range classes {
			index.add(c)
		}
		for range 40 {
			ev := randomEvent(r)
			got, want := index.candidates(ev), matching(classes, ev)
			if !slices.IsSortedFunc(got, compareClasses) || len(slices.Compact(slices.Clone(got))) != len(got) {
				t.Fatalf("seed %d: not sorted or not unique:\n%s", seed, names(got))
			}
			if hit := matching(got, ev); !slices.Equal(hit, want) {
				t.Fatalf("seed %d: %s %q provides %q\nfound\n%swant\n%s", seed, ev.Name, ev.Env, ev.Provides, names(hit), names(want))
			}
			matched, offered = matched+len(want), offered+len(got)
		}
	}
	if matched == 0 || offered > 3*matched {
		t.Errorf("%d classes were offered events, %d have an operand that matches", offered, matched)
	}
}

func TestRemovingAClassTakesOutWhatAddingPutIn(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 2))
		classes := randomClasses(r, 12)
		index, facts := conditionIndex{}, factIndex{}
		for _, c := range classes {
			c.Def.While = c.StartOn
			index.add(c)
			facts.add(c)
		}
		r.Shuffle(len(classes), func(i, j int) { classes[i], classes[j] = classes[j], classes[i] })
		for len(classes) > 0 {
			index.remove(classes[0])
			facts.remove(classes[0])
			classes = classes[1:]
			fresh := conditionIndex{}
			for _, c := range classes {
				fresh.add(c)
			}
			for range 10 {
				ev := randomEvent(r)
				if got, want := index.candidates(ev), fresh.candidates(ev); !slices.Equal(got, want) {
					t.Fatalf("seed %d: %s %q\ngot\n%swant\n%s", seed, ev.Name, ev.Env, names(got), names(want))
				}
			}
		}
		if len(index) != 0 || len(facts) != 0 {
			t.Errorf("seed %d: left over: %v, %v", seed, index, facts)
		}
	}
}

func TestAnEventLeavesClassesAloneThatDemandAnotherValue(t *testing.T) {
	class := func(name string, operands ...expr.Node) *Class {
		return &Class{Def: &job.Class{Name: name}, StartOn: operands[:1], StopOn: operands[1:]}
	}
	on := func(name string, args ...string) expr.Node { return expr.Node{Name: name, Args: args} }
	index := conditionIndex{}
	for _, c := range []*Class{
		class("any", on("started")),
		class("bar", on("started", "bar")),
		class("bar-named", on("started", "JOB=bar")),
		class("behind", on("started", "JOB!=foo", "INSTANCE=1")),
		class("both", on("started", "bar"), on("started", "foo")),
		class("foo", on("started", "foo")),
		class("glob", on("started", "f*")),
		class("svc", on("started", "JOB=svc")),
		class("variable", on("started", "$X")),
	} {
		index.add(c)
	}
	for _, c := range []struct {
		env, provides env.Table
		want          string
	}{
		{env.Table{"JOB=foo", "INSTANCE="}, nil, "any both foo glob variable"},
		{env.Table{"JOB=foo", "INSTANCE=1"}, nil, "any behind both foo glob variable"},
		{env.Table{"JOB=foo", "INSTANCE="}, env.Table{"svc", "bar"}, "any bar bar-named both foo glob svc variable"},
		{env.Table{"INSTANCE=bar"}, env.Table{"svc"}, "any bar both glob variable"},
		{nil, nil, "any glob variable"},
	} {
		var got []string
		for _, f := range index.candidates(&event.Event{Name: "started", Env: c.env, Provides: c.provides}) {
			got = append(got, f.Def.Name)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%q provides %q: got %v, want %s", c.env, c.provides, got, c.want)
		}
	}
}

func TestFactIndex(t *testing.T) {
	class := func(name string, while ...expr.Node) *Class { return &Class{Def: &job.Class{Name: name, While: while}} }
	facts := factIndex{}
	facts.add(class("none"))
	facts.add(class("twice", expr.Node{Name: "a"}, expr.Node{Name: "a", Args: []string{"X=1"}}, expr.Node{Op: expr.Or}))
	facts.add(class("not", expr.Node{Name: "a"}, expr.Node{Op: expr.Not}))
	facts.add(class("other", expr.Node{Name: "b"}))
	for fact, want := range map[string]string{"a": "not twice", "b": "other", "c": ""} {
		var got []string
		for _, c := range facts.naming(fact) {
			got = append(got, c.Def.Name)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %v, want %q", fact, got, want)
		}
	}
}

// TestClassSetIsAsAMap adds and drops few classes and many.
func TestClassSetIsAsAMap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	classes := make([]*Class, 20)
	for i := range classes {
		classes[i] = &Class{Def: &job.Class{Name: fmt.Sprint(i)}}
	}
	var s classSet
	want := map[*Class]int{}
	for step := range 5000 {
		c := classes[r.IntN(len(classes))]
		if want[c] > 0 && r.IntN(4) > step/500%4 { // by turns more and fewer
			s.drop(c)
			if want[c]--; want[c] == 0 {
				delete(want, c)
			}
		} else {
			s.add(c)
			want[c]++
		}
		got := s.appendTo(nil)
		if len(got) != len(want) || s.empty() != (len(want) == 0) {
			t.Fatalf("step %d: %d classes, want %d", step, len(got), len(want))
		}
		for _, c := range got {
			if want[c] == 0 {
				t.Fatalf("step %d: class %s", step, c.Def.Name)
			}
		}
	}
}
