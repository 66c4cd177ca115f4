// Package fact holds facts, the levels beside the edges that events are
// (EXTENSIONS §1), and answers queries over them.
//
// A fact is a name with an ordered environment and an owner. The same fact
// held by two owners is there until both have let go. Facts are kept in the
// order they became true, and queries see them in that order.
package fact

import (
	"cmp"
	"slices"

	"onset/core/env"
	"onset/core/expr"
)

// OwnerKind is what holds a fact.
type OwnerKind uint8

// The kinds.
const (
	Job    OwnerKind = iota // an instance, while it runs
	Source                  // a connection
	Admin                   // the administrator
)

// Owner holds facts. ID is the instance or the connection.
type Owner struct {
	Kind OwnerKind
	ID   uint64
}

// Fact is one fact. It is immutable.
type Fact struct {
	Name    string
	Env     env.Table
	Owner   Owner
	Session string // chroot root; seen only by the jobs of that session
	File    int    // descriptor reference; 0 without one

	seq  uint64 // order of assertion
	next *Fact  // of the same name
}

// Store holds the facts that are true. A change costs work only in the facts
// of the same name.
type Store struct {
	byName map[string]*Fact // the oldest; names have one as a rule
	last   uint64
}

// NewStore returns a store that holds facts, in their order.
func NewStore(facts []*Fact) *Store {
	s := &Store{byName: make(map[string]*Fact)}
	for _, f := range facts {
		s.Assert(f)
	}
	return s
}

// All returns every fact in the order they became true.
func (s *Store) All() []*Fact {
	var all []*Fact
	for name := range s.byName { // order-free: sorted below
		all = append(all, s.Named(name)...)
	}
	slices.SortFunc(all, func(a, b *Fact) int { return cmp.Compare(a.seq, b.seq) })
	return all
}

// Assert adds a fact and reports whether its owner did not hold it yet. The
// store owns the fact from then on. A descriptor that one held already comes
// with takes the place of that of before, which is returned.
func (s *Store) Assert(f *Fact) (added bool, replaced int) {
	first := s.byName[f.Name]
	at := &first
	for ; *at != nil; at = &(*at).next {
		if old := *at; old.same(f) {
			if f.File == 0 {
				return false, 0
			}
			replaced, f.seq, f.next = old.File, old.seq, old.next
			*at = f
			s.byName[f.Name] = first
			return false, replaced
		}
	}
	s.last++
	f.seq, f.next = s.last, nil
	*at = f
	s.byName[f.Name] = first
	return true, 0
}

// Inherit makes the owner of f, if it does not hold that fact yet, that of an
// equal one whose owner is lost. It keeps its place.
func (s *Store) Inherit(f *Fact, lost func(Owner) bool) {
	if slices.ContainsFunc(s.Named(f.Name), f.same) {
		return
	}
	first := s.byName[f.Name]
	for at := &first; *at != nil; at = &(*at).next {
		if old := *at; old.equal(f) && lost(old.Owner) {
			heir := *old
			heir.Owner = f.Owner
			*at = &heir
			s.byName[f.Name] = first
			return
		}
	}
}

// Named returns the facts of a name in the order they became true.
func (s *Store) Named(name string) []*Fact {
	var facts []*Fact
	for f := s.byName[name]; f != nil; f = f.next {
		facts = append(facts, f)
	}
	return facts
}

func (f *Fact) same(g *Fact) bool { return f.Owner == g.Owner && f.equal(g) }

// equal reports whether two facts of a name differ in their owner alone.
func (f *Fact) equal(g *Fact) bool { return f.Session == g.Session && slices.Equal(f.Env, g.Env) }

// Retract removes the facts of that name that match and reports whether
// there were any.
func (s *Store) Retract(name string, match func(*Fact) bool) bool {
	first, any := s.byName[name], false
	for at := &first; *at != nil; {
		if match(*at) {
			*at, any = (*at).next, true
		} else {
			at = &(*at).next
		}
	}
	if first == nil {
		delete(s.byName, name)
	} else {
		s.byName[name] = first
	}
	return any
}

// Solution is one way a fact expression holds: the variables of the facts
// that made it true, later ones winning, and the names of those facts.
type Solution struct {
	Env   env.Table
	Names []string
}

// View is for whom a query is asked: the session whose facts count, and
// variables known beforehand.
type View struct {
	Session string
	Base    env.Table
}

// Solve calls yield with each solution of t until yield returns false.
// Operands are joined left to right; $VAR in an operand is expanded from the
// facts to its left and then from the view. An operand under not binds nothing.
func (s *Store) Solve(t expr.Tree, v View, yield func(Solution) bool) {
	q := &query{s, t, v}
	q.solve(len(t)-1, Solution{}, yield)
}

// Holds reports whether t has any solution.
func (s *Store) Holds(t expr.Tree, v View) bool {
	holds := false
	s.Solve(t, v, func(Solution) bool { holds = true; return false })
	return holds
}

// False returns the operands that keep t from holding, as written: those
// that match no fact, or under not those that match one.
func (s *Store) False(t expr.Tree, v View) []string {
	q := &query{s, t, v}
	var out []string
	q.explain(len(t)-1, true, &out)
	return out
}

type query struct {
	store *Store
	tree  expr.Tree
	view  View
}

// solve passes every solution of the subtree ending at i that extends sol to
// yield; it returns false when yield has had enough.
func (q *query) solve(i int, sol Solution, yield func(Solution) bool) bool {
	switch q.tree[i].Op {
	case expr.And:
		return q.solve(q.tree.Left(i), sol, func(s Solution) bool { return q.solve(i-1, s, yield) })
	case expr.Or:
		return q.solve(q.tree.Left(i), sol, yield) && q.solve(i-1, sol, yield)
	case expr.Not:
		found := false
		q.solve(i-1, sol, func(Solution) bool { found = true; return false })
		return found || yield(sol)
	}
	return q.match(&q.tree[i], sol, yield)
}

func (q *query) match(n *expr.Node, sol Solution, yield func(Solution) bool) bool {
	expand := func(p string) (string, error) {
		return env.Expand(p, func(name string) (string, bool) {
			if v, ok := sol.Env.Lookup(name); ok {
				return v, true
			}
			return q.view.Base.Lookup(name)
		})
	}
	for f := q.store.byName[n.Name]; f != nil; f = f.next {
		if f.Session != q.view.Session || !n.Matches(&expr.Subject{Name: f.Name, Env: f.Env}, expand) {
			continue
		}
		if !yield(Solution{Env: sol.Env.Clone().Merge(f.Env), Names: append(sol.Names[:len(sol.Names):len(sol.Names)], f.Name)}) {
			return false
		}
	}
	return true
}

// explain appends the operands whose present value is not the wanted one.
func (q *query) explain(i int, want bool, out *[]string) {
	n := &q.tree[i]
	holds := false
	q.solve(i, Solution{}, func(Solution) bool { holds = true; return false })
	if holds == want {
		return
	}
	switch n.Op {
	case expr.Not:
		q.explain(i-1, !want, out)
	case expr.And, expr.Or:
		q.explain(q.tree.Left(i), want, out)
		q.explain(i-1, want, out)
	default:
		text := expr.Tree{*n}.String()
		if !want {
			text = "not " + text
		}
		*out = append(*out, text)
	}
}
