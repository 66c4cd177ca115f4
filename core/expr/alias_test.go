package expr

import (
	"strings"
	"testing"
)

func TestExpandAliases(t *testing.T) {
	aliases := map[string]Tree{
		"down":   {leaf("runlevel", "[016]"), leaf("power", "K=1"), or},
		"off":    {leaf("down", "L=0"), leaf("x"), and},
		"self":   {leaf("self")},
		"loop":   {leaf("x"), leaf("ring"), and},
		"ring":   {leaf("circle")},
		"circle": {leaf("loop")},
	}
	wide := Tree{leaf("w0")}
	for i := range 20 {
		name := "w" + string(rune('a'+i))
		aliases[name] = wide
		wide = Tree{leaf(name), leaf(name), or}
	}
	aliases["wide"] = wide
	lookup := func(name string) (Tree, bool) {
		tree, ok := aliases[name]
		return tree, ok
	}
	for _, tt := range []struct {
		name string
		tree Tree
		want string // or the error
	}{
		{"no alias", Tree{a, c, and}, "(a and c)"},
		{"the event itself still matches", Tree{leaf("down")}, "(down or (runlevel [016] or power K=1))"},
		{"arguments go to every operand", Tree{leaf("down", "A=1"), leaf("b"), and},
			"((down A=1 or (runlevel [016] A=1 or power K=1 A=1)) and b)"},
		{"aliases in aliases", Tree{leaf("off", "M=2")},
			"(off M=2 or ((down L=0 M=2 or (runlevel [016] L=0 M=2 or power K=1 L=0 M=2)) and x M=2))"},
		{"a loop of one", Tree{leaf("self")}, "alias loop: self -> self"},
		{"a loop is named from where it starts", Tree{leaf("ring")}, "alias loop: ring -> circle -> loop -> ring"},
		{"size is bounded", Tree{leaf("wide")}, "alias expansion too large: wide"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ExpandAliases(tt.tree, lookup)
			if err != nil {
				if !strings.HasPrefix(err.Error(), tt.want) {
					t.Errorf("error %q, want %q", err, tt.want)
				}
			} else if got.String() != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	if s := aliases["down"].String(); s != "(runlevel [016] or power K=1)" {
		t.Errorf("the alias was changed: %q", s)
	}
}
