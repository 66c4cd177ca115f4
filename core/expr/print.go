package expr

import (
	"errors"
	"strings"
)

// How operators are named in the lists of the D-Bus API (UPSTART §6.4).
const (
	rpnAnd = "/AND"
	rpnOr  = "/OR"
	rpnNot = "/NOT"
)

// RPN returns the tree as the start_on and stop_on properties show it: each
// operand a list of its name and arguments, each operator a list of one.
func (t Tree) RPN() [][]string {
	list := make([][]string, len(t))
	for i, n := range t {
		switch n.Op {
		case And:
			list[i] = []string{rpnAnd}
		case Or:
			list[i] = []string{rpnOr}
		case Not:
			list[i] = []string{rpnNot}
		default:
			list[i] = append([]string{n.Name}, n.Args...)
		}
	}
	return list
}

// FromRPN is the inverse of RPN; it checks that the list is one expression.
func FromRPN(list [][]string) (Tree, error) {
	var t Tree
	values := 0
	for _, words := range list {
		if len(words) == 0 {
			return nil, errors.New("empty operand in expression")
		}
		n := Node{Name: words[0]}
		need := 0
		switch {
		case len(words) > 1:
			n.Args = append([]string(nil), words[1:]...)
		case words[0] == rpnAnd:
			n, need = Node{Op: And}, 2
		case words[0] == rpnOr:
			n, need = Node{Op: Or}, 2
		case words[0] == rpnNot:
			n, need = Node{Op: Not}, 1
		}
		if values < need {
			return nil, errors.New("operator without operand in expression")
		}
		values += 1 - need
		t = append(t, n)
	}
	if values > 1 {
		return nil, errors.New("operands without operator in expression")
	}
	return t, nil
}

// Operands yields the operands in the order they are written.
func (t Tree) Operands(yield func(Node) bool) {
	for _, n := range t {
		if n.Op == Match && !yield(n) {
			return
		}
	}
}

// String returns the expression with all its parentheses, as show-config
// prints it (UPSTART §7.4); values are not quoted.
func (t Tree) String() string { return t.Format(Node.String) }

// String returns an operand's name and arguments, not quoted.
func (n Node) String() string {
	return strings.Join(append([]string{n.Name}, n.Args...), " ")
}

// Format is String with the operands written by a function of the caller.
//
// Postfix order has the operands in the order they are written, so the text
// is one walk over them: each is preceded by what opens there (the operator
// it is the right side of, then parentheses and nots, outermost first) and
// followed by the parentheses that close there.
func (t Tree) Format(operand func(Node) string) string {
	opens := make([]int, len(t)) // per operand, the outermost operator to open there
	inner := make([]int, len(t)) // per operator, the next one to open at its place
	right := make([]Op, len(t))  // per operand, the operator before it
	var starts []int             // first operands of the values so far
	for i, n := range t {
		opens[i] = -1
		if n.Op == Match {
			starts = append(starts, i)
			continue
		}
		if n.Op != Not {
			right[starts[len(starts)-1]] = n.Op
			starts = starts[:len(starts)-1]
		}
		at := starts[len(starts)-1]
		inner[i], opens[at] = opens[at], i
	}
	var b strings.Builder
	for i, n := range t {
		switch {
		case n.Op == And || n.Op == Or:
			b.WriteByte(')')
			continue
		case n.Op == Not:
			continue
		case right[i] == And:
			b.WriteString(" and ")
		case right[i] == Or:
			b.WriteString(" or ")
		}
		for o := opens[i]; o >= 0; o = inner[o] {
			if t[o].Op == Not {
				b.WriteString("not ")
			} else {
				b.WriteByte('(')
			}
		}
		b.WriteString(operand(n))
	}
	return b.String()
}
