package fact

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"onset/core/env"
	"onset/core/expr"
)

// tree makes an expression of words in postfix order: and, or, not, else an
// operand with its arguments.
func tree(postfix ...string) expr.Tree {
	ops := map[string]expr.Op{"and": expr.And, "or": expr.Or, "not": expr.Not}
	var t expr.Tree
	for _, s := range postfix {
		if op, ok := ops[s]; ok {
			t = append(t, expr.Node{Op: op})
			continue
		}
		words := strings.Fields(s)
		t = append(t, expr.Node{Name: words[0], Args: words[1:]})
	}
	return t
}

func fact(text string) *Fact {
	words := strings.Fields(text)
	return &Fact{Name: words[0], Env: words[1:], Owner: Owner{Kind: Admin}}
}

func store(facts ...string) *Store {
	s := NewStore(nil)
	for _, f := range facts {
		s.Assert(fact(f))
	}
	return s
}

// solutions writes each solution as the names of its facts and its variables.
func solutions(s *Store, t expr.Tree, v View) []string {
	var out []string
	s.Solve(t, v, func(sol Solution) bool {
		out = append(out, strings.Join(sol.Names, "+")+": "+strings.Join(sol.Env, " "))
		return true
	})
	return out
}

var world = []string{"a X=1 S=a", "b X=2", "a X=2 T=a", "b X=1 S=b U=b", "empty", "val V=", "glob X=[1]"}

var queries = []struct {
	requirement string
	tree        expr.Tree
	solutions   []string
	untrue      []string
}{
	{"an operand has a solution for each fact, in their order", tree("a"),
		[]string{"a: X=1 S=a", "a: X=2 T=a"}, nil},
	{"a fact without variables", tree("empty"), []string{"empty: "}, nil},
	{"arguments choose", tree("a X=2"), []string{"a: X=2 T=a"}, nil},
	{"a negated argument chooses", tree("a X!=2"), []string{"a: X=1 S=a"}, nil},
	{"a negated argument fails without its variable", tree("a Q!=2"), nil, []string{"a Q!=2"}},
	{"an argument by place", tree("b 1"), []string{"b: X=1 S=b U=b"}, nil},
	{"an empty value is a value", tree("val V="), []string{"val: V="}, nil},
	{"and joins each left solution with each right one", tree("a", "b", "and"),
		[]string{"a+b: X=2 S=a", "a+b: X=1 S=b U=b", "a+b: X=2 T=a", "a+b: X=1 T=a S=b U=b"}, nil},
	{"a variable comes from the left", tree("a", "b X=$X", "and"),
		[]string{"a+b: X=1 S=b U=b", "a+b: X=2 T=a"}, nil},
	{"not from the right", tree("b X=$S", "a", "and"), nil, []string{"b X=$S"}},
	{"the value of a variable is a pattern", tree("glob", "b X=$X", "and"),
		[]string{"glob+b: X=1 S=b U=b"}, nil},
	{"a variable may come from the view", tree("a X=$BASE"), []string{"a: X=2 T=a"}, nil},
	{"the left comes before the view", tree("b", "a X=$X", "and"),
		[]string{"b+a: X=2 T=a", "b+a: X=1 S=a U=b"}, nil},
	{"or has the solutions of both sides", tree("a X=1", "b X=2", "or"),
		[]string{"a: X=1 S=a", "b: X=2"}, nil},
	{"or has those of one side alone", tree("none", "b X=2", "or"), []string{"b: X=2"}, nil},
	{"alternatives are joined each", tree("none", "empty", "or", "val", "and"), []string{"empty+val: V="}, nil},
	{"not of what is there has none", tree("a", "not"), nil, []string{"not a"}},
	{"not of what is not there binds nothing", tree("none", "not"), []string{": "}, nil},
	{"not filters what is on its left", tree("b", "a X=$X S=a", "not", "and"), []string{"b: X=2"}, nil},
	{"not of an expression", tree("a X=1", "none", "and", "not"), []string{": "}, nil},
	{"not of not binds nothing either", tree("a", "not", "not"), []string{": "}, nil},
	{"only what is false is explained", tree("a", "none", "and", "gone", "not", "and", "missing X=1", "and"), nil,
		[]string{"none", "missing X=1"}},
	{"both sides of a false or", tree("n1", "n2", "or"), nil, []string{"n1", "n2"}},
	{"not of a true or names the true ones", tree("a", "n2", "or", "not"), nil, []string{"not a"}},
}

func TestQueries(t *testing.T) {
	v := View{Base: env.Table{"BASE=2", "X=9"}}
	for _, q := range queries {
		t.Run(q.requirement, func(t *testing.T) {
			s := store(world...)
			if got := solutions(s, q.tree, v); !slices.Equal(got, q.solutions) {
				t.Errorf("solutions of %s\n got %q\nwant %q", q.tree, got, q.solutions)
			}
			if got := s.Holds(q.tree, v); got != (len(q.solutions) > 0) {
				t.Errorf("holds: %v", got)
			}
			if got := s.False(q.tree, v); !slices.Equal(got, q.untrue) {
				t.Errorf("false operands: got %q, want %q", got, q.untrue)
			}
		})
	}
}

func TestFalseOfAJoinThatFailsNamesTheOperandThatHasNoPartner(t *testing.T) {
	s := store("a X=1", "b X=2")
	got := s.False(tree("a", "b X=$X", "and"), View{})
	if !slices.Equal(got, []string{"b X=$X"}) {
		t.Errorf("got %q", got)
	}
}

func TestSolveEndsWhenYieldHasEnough(t *testing.T) {
	n := 0
	store("a", "a X=1", "b", "b X=1").Solve(tree("a", "b", "and", "a", "or"), View{}, func(Solution) bool { n++; return n < 3 })
	if n != 3 {
		t.Errorf("yield was called %d times", n)
	}
}

func TestSolutionsShareNoMemory(t *testing.T) {
	s := store("a X=1", "b Y=1", "b Y=2", "b Y=3")
	var all []Solution
	s.Solve(tree("a", "b", "and"), View{}, func(sol Solution) bool { all = append(all, sol); return true })
	for i, want := range []string{"Y=1", "Y=2", "Y=3"} {
		if got := all[i].Env[1]; got != want {
			t.Errorf("solution %d: got %s, want %s", i, got, want)
		}
	}
	all[0].Env.Set("X=changed", true)
	if got := solutions(s, tree("a"), View{}); got[0] != "a: X=1" {
		t.Errorf("the fact changed: %q", got)
	}
}

func TestFactsCountOnlyInTheirSession(t *testing.T) {
	s := store("host")
	s.Assert(&Fact{Name: "chroot", Session: "/srv"})
	for _, c := range []struct {
		session, name string
		want          bool
	}{{"", "host", true}, {"", "chroot", false}, {"/srv", "host", false}, {"/srv", "chroot", true}} {
		if got := s.Holds(tree(c.name), View{Session: c.session}); got != c.want {
			t.Errorf("%s in %q: %v", c.name, c.session, got)
		}
	}
}

func TestAFactIsThereUntilEveryOwnerHasLetGo(t *testing.T) {
	s := NewStore(nil)
	owners := []Owner{{Kind: Admin}, {Kind: Source, ID: 1}, {Kind: Source, ID: 2}, {Kind: Job, ID: 1}}
	for _, o := range owners {
		if added, _ := s.Assert(&Fact{Name: "a", Env: env.Table{"X=1"}, Owner: o}); !added {
			t.Errorf("%v held it already", o)
		}
		if added, _ := s.Assert(&Fact{Name: "a", Env: env.Table{"X=1"}, Owner: o}); added {
			t.Errorf("%v holds it twice", o)
		}
	}
	for i, o := range owners {
		if !s.Holds(tree("a"), View{}) {
			t.Fatalf("gone with %d owners left", len(owners)-i)
		}
		mine := func(f *Fact) bool { return f.Owner == o }
		if !s.Retract("a", mine) || s.Retract("a", mine) {
			t.Errorf("%v did not let go once", o)
		}
	}
	if s.Holds(tree("a"), View{}) || len(s.All()) != 0 {
		t.Error("still there")
	}
}

func TestADescriptorTakesThePlaceOfThatOfBefore(t *testing.T) {
	s := store("a", "b")
	for _, c := range []struct{ file, replaced int }{{4, 0}, {5, 4}, {0, 0}, {6, 5}} {
		f := fact("a")
		f.File = c.file
		if added, replaced := s.Assert(f); added || replaced != c.replaced {
			t.Errorf("with %d: added %v, in place of %d, not %d", c.file, added, replaced, c.replaced)
		}
	}
	if all := s.All(); all[0].Name != "a" || all[0].File != 6 || len(s.Named("a")) != 1 || s.Named("a")[0] != all[0] {
		t.Errorf("the facts are %+v", all)
	}
}

func TestWhoTellsAFactAgainInheritsIt(t *testing.T) {
	dead, alive, heir := Owner{Source, 1}, Owner{Source, 2}, Owner{Source, 3}
	s := NewStore(nil)
	for _, f := range []Fact{{Name: "a", Owner: alive}, {Name: "a", Owner: dead, File: 7}, {Name: "a", Owner: dead, Session: "/srv"}, {Name: "b", Owner: dead}} {
		s.Assert(&f)
	}
	lost := func(o Owner) bool { return o == dead }
	for range 2 { // the second time it holds it
		f := &Fact{Name: "a", Owner: heir, File: 9}
		s.Inherit(f, lost)
		if added, replaced := s.Assert(f); added || replaced != 7 && replaced != 9 {
			t.Errorf("added %v, in place of %d", added, replaced)
		}
	}
	var got []Fact
	for _, f := range s.All() {
		got = append(got, Fact{Name: f.Name, Owner: f.Owner, Session: f.Session, File: f.File})
	}
	want := []Fact{{Name: "a", Owner: alive}, {Name: "a", Owner: heir, File: 9}, {Name: "a", Owner: dead, Session: "/srv"}, {Name: "b", Owner: dead}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the facts are %+v", got)
	}
}

func TestFactsKeepTheirOrder(t *testing.T) {
	s := store("b", "a X=1", "c", "a X=2", "b Y=1")
	s.Retract("b", func(f *Fact) bool { return len(f.Env) == 0 })
	s.Assert(fact("b"))
	s.Assert(fact("a X=1")) // is there: keeps its place
	want := []string{"a X=1", "c", "a X=2", "b Y=1", "b"}
	for _, s := range []*Store{s, NewStore(s.All())} {
		var got []string
		for _, f := range s.All() {
			got = append(got, strings.Join(append([]string{f.Name}, f.Env...), " "))
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestRetractTouchesOnlyItsName(t *testing.T) {
	s := store("a", "b")
	if s.Retract("c", func(*Fact) bool { return true }) {
		t.Error("retracted what was not there")
	}
	s.Retract("a", func(*Fact) bool { return true })
	if s.Holds(tree("a"), View{}) || !s.Holds(tree("b"), View{}) {
		t.Error("the wrong fact went")
	}
}
