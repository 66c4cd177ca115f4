// Package expr holds the two kinds of condition of the job language as plain
// trees: event expressions (start on, stop on, alias files; UPSTART §1.5) and
// fact expressions (while; EXTENSIONS §1).
//
// A tree is a slice of nodes in postfix order, the order D-Bus clients see in
// the start_on and stop_on properties. The package knows how a tree is
// written and what one operand matches; what is remembered between events
// belongs to the engine.
package expr

// Op is the kind of a node.
type Op uint8

// The kinds. Not occurs in fact expressions only.
const (
	Match Op = iota // leaf: one event or fact with its arguments
	And             // binary
	Or              // binary
	Not             // unary
)

// Node is one operand or operator.
type Node struct {
	Op   Op
	Name string   // of the event or fact; Match only
	Args []string // match arguments as written, dequoted; Match only
}

// Tree is an expression in postfix order; nil means "no condition".
type Tree []Node

// Left returns where the left operand of the operator at i ends; the right
// operand, or the only one of Not, ends at i-1.
func (t Tree) Left(i int) int {
	need := 1
	for i--; need > 0; i-- {
		switch t[i].Op {
		case Match:
			need--
		case And, Or:
			need++
		}
	}
	return i
}
