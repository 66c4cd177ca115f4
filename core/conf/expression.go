package conf

import (
	"strings"

	"onset/core/expr"
)

// binding is how tightly the operators of an expression bind. Those of event
// expressions all bind alike (UPSTART §1.5), those of fact expressions as
// usual (EXTENSIONS §1).
type binding [4]int8

var (
	eventBinding = binding{expr.And: 1, expr.Or: 1}
	factBinding  = binding{expr.Or: 1, expr.And: 2, expr.Not: 3}
)

// expression is an expression being read: a tree in postfix order and the
// operators and parentheses that wait for their right side.
type expression struct {
	*parser
	binding
	missing string // error text for a missing operand
	tree    expr.Tree
	waiting []waiting
	depth   int  // of parentheses
	value   bool // the left side of an operator is complete
	open    bool // the last operand takes further arguments
}

type waiting struct {
	op    expr.Op
	paren bool
	pos   int // of a parenthesis
}

// events reads the event expression that is the rest of a stanza.
func (p *parser) events() expr.Tree {
	return p.expression(eventBinding, expectedEvent)
}

// facts reads the fact expression that is the rest of a stanza.
func (p *parser) facts() expr.Tree {
	return p.expression(factBinding, expectedFact)
}

func (p *parser) expression(b binding, missing string) expr.Tree {
	if !p.more() {
		p.failAt(p.pos, expectedToken)
		return nil
	}
	x := expression{parser: p, binding: b, missing: missing}
	for p.err == nil {
		if x.depth > 0 {
			p.skipLines()
		} else if !p.more() {
			break
		}
		if p.pos == len(p.text) {
			break
		}
		switch p.text[p.pos] {
		case '(':
			x.begin()
		case ')':
			x.finish()
		default:
			x.word()
		}
	}
	if x.depth > 0 {
		p.unclosed(x.outermost(), mismatchedParens)
	} else if !x.value {
		p.failAt(p.pos, missing)
	}
	p.end()
	x.reduce(0)
	return x.tree
}

// skipLines moves over the rest of a line inside parentheses and the blank
// lines behind it. A comment may follow a token but not stand alone: the
// original takes that for a token, and finds none.
func (p *parser) skipLines() {
	p.skipSpace()
	if p.pos < len(p.text) && p.text[p.pos] == '#' {
		p.skipComment()
		p.skipSpace()
	}
	for p.pos < len(p.text) && p.text[p.pos] == '\n' {
		p.pos++
		p.skipSpace()
	}
}

func (x *expression) outermost() int {
	for _, w := range x.waiting {
		if w.paren {
			return w.pos
		}
	}
	return 0
}

func (x *expression) begin() {
	if x.value {
		x.failAt(x.pos, expectedOperator)
		return
	}
	x.waiting = append(x.waiting, waiting{paren: true, pos: x.pos})
	x.depth++
	x.pos++
	x.skipSpace()
}

func (x *expression) finish() {
	switch {
	case x.depth == 0:
		x.failAt(x.pos, mismatchedParens)
		return
	case !x.value:
		x.failAt(x.pos, x.missing)
		return
	}
	x.reduce(0)
	x.waiting = x.waiting[:len(x.waiting)-1]
	x.depth--
	x.open = false
	x.pos++
	x.skipSpace()
}

// word reads an operator, the name of an operand or an argument of one.
func (x *expression) word() {
	start := x.pos
	word := x.read(operand, false)
	if x.err != nil {
		return
	}
	switch {
	case word == "and":
		x.operator(expr.And)
	case word == "or":
		x.operator(expr.Or)
	case word == "not" && x.binding[expr.Not] > 0:
		x.negate()
	default:
		if strings.ContainsAny(word, `"'\`) {
			x.pos = start
			word = x.read(operand, true)
		}
		x.plain(word)
	}
}

func (x *expression) operator(op expr.Op) {
	if !x.value {
		x.fail(x.missing)
		return
	}
	x.reduce(x.binding[op])
	x.waiting = append(x.waiting, waiting{op: op})
	x.value, x.open = false, false
}

func (x *expression) negate() {
	if x.value {
		x.fail(expectedOperator)
		return
	}
	x.waiting = append(x.waiting, waiting{op: expr.Not})
}

func (x *expression) plain(word string) {
	switch {
	case x.err != nil:
	case !x.value:
		x.tree = append(x.tree, expr.Node{Name: word})
		x.value, x.open = true, true
	case !x.open:
		x.fail(expectedOperator)
	default:
		n := &x.tree[len(x.tree)-1]
		if !strings.Contains(word, "=") && len(n.Args) > 0 && strings.Contains(n.Args[len(n.Args)-1], "=") {
			x.fail(expectedVariable)
			return
		}
		n.Args = append(n.Args, word)
	}
}

// reduce moves the waiting operators of the innermost group that bind at
// least as tightly into the tree.
func (x *expression) reduce(tightness int8) {
	for len(x.waiting) > 0 {
		top := x.waiting[len(x.waiting)-1]
		if top.paren || x.binding[top.op] < tightness {
			return
		}
		x.tree = append(x.tree, expr.Node{Op: top.op})
		x.waiting = x.waiting[:len(x.waiting)-1]
	}
}
