package expr

import (
	"reflect"
	"slices"
	"testing"
)

func leaf(words ...string) Node { return Node{Name: words[0], Args: words[1:]} }

var (
	a, b, c = leaf("a"), leaf("b", "1", "K=x y"), leaf("c")
	and     = Node{Op: And}
	or      = Node{Op: Or}
	not     = Node{Op: Not}
)

var trees = []struct {
	tree Tree
	text string
}{
	{nil, ""},
	{Tree{a}, "a"},
	{Tree{b}, "b 1 K=x y"},
	{Tree{a, not}, "not a"},
	{Tree{a, not, not}, "not not a"},
	{Tree{a, c, and}, "(a and c)"},
	{Tree{a, c, and, b, or}, "((a and c) or b 1 K=x y)"},
	{Tree{a, c, a, or, and}, "(a and (c or a))"},
	{Tree{a, c, or, a, c, and, and}, "((a or c) and (a and c))"},
	{Tree{a, c, or, not, c, not, and}, "(not (a or c) and not c)"},
	{Tree{a, not, c, or, not}, "not (not a or c)"},
	{Tree{a, c, a, c, and, not, or, and}, "(a and (c or not (a and c)))"},
}

func TestStringHasAllParentheses(t *testing.T) {
	for _, tt := range trees {
		if got := tt.tree.String(); got != tt.text {
			t.Errorf("got %q, want %q", got, tt.text)
		}
	}
}

func TestRPNIsThePropertyOfUpstart(t *testing.T) {
	got := Tree{a, b, not, and, c, or}.RPN()
	want := [][]string{{"a"}, {"b", "1", "K=x y"}, {"/NOT"}, {"/AND"}, {"c"}, {"/OR"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q", got)
	}
	if got := Tree(nil).RPN(); got == nil || len(got) != 0 {
		t.Errorf("no condition: got %#v, want an empty list", got)
	}
}

func TestFromRPNIsTheInverse(t *testing.T) {
	for _, tt := range trees {
		got, err := FromRPN(tt.tree.RPN())
		if err != nil || got.String() != tt.text || len(got) != len(tt.tree) {
			t.Errorf("%q: got %q, %v", tt.text, got, err)
		}
	}
}

func TestFromRPNRejectsWhatIsNoExpression(t *testing.T) {
	for _, list := range [][][]string{
		{{"/AND"}}, {{"a"}, {"/OR"}}, {{"/NOT"}}, {{"a"}, {"b"}}, {{}}, {{"a"}, {"b"}, {"/AND"}, {"/AND"}},
	} {
		if got, err := FromRPN(list); err == nil {
			t.Errorf("%q: got %q", list, got)
		}
	}
}

func TestOperandsComeInTheirOrder(t *testing.T) {
	var names []string
	for n := range (Tree{a, b, not, and, c, or}).Operands {
		names = append(names, n.Name)
	}
	if !slices.Equal(names, []string{"a", "b", "c"}) {
		t.Errorf("got %q", names)
	}
	for n := range (Tree{a, b, or}).Operands {
		if n.Name != "a" {
			t.Error("went on after the break")
		}
		break
	}
}
