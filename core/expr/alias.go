package expr

import (
	"fmt"
	"slices"
	"strings"
)

// maxExpanded bounds the nodes of an expression after alias expansion, which
// aliases of aliases could otherwise make exponential.
const maxExpanded = 4096

// LoopError says that aliases lead back to themselves.
type LoopError struct{ Names []string }

func (e *LoopError) Error() string {
	return "alias loop: " + strings.Join(e.Names, " -> ") + " -> " + e.Names[0]
}

// ExpandAliases replaces each operand that names an alias (EXTENSIONS §2) by
// that operand or the alias's expression, with the operand's arguments added
// to each operand of the expression. Aliases in aliases are expanded too; a
// loop of them is a LoopError.
func ExpandAliases(t Tree, lookup func(name string) (Tree, bool)) (Tree, error) {
	e := expansion{lookup: lookup}
	if err := e.expand(t, nil); err != nil {
		return nil, err
	}
	return e.out, nil
}

type expansion struct {
	lookup func(string) (Tree, bool)
	path   []string // aliases being expanded, outermost first
	out    Tree
}

func (e *expansion) expand(t Tree, args []string) error {
	for _, n := range t {
		if n.Op == Match && len(args) > 0 {
			n.Args = append(n.Args[:len(n.Args):len(n.Args)], args...)
		}
		e.out = append(e.out, n)
		if len(e.out) > maxExpanded {
			return fmt.Errorf("alias expansion too large: %s", strings.Join(e.path, " -> "))
		}
		if n.Op != Match {
			continue
		}
		if err := e.operand(n); err != nil {
			return err
		}
	}
	return nil
}

// operand adds the expression of the alias that an operand names, if it does.
func (e *expansion) operand(n Node) error {
	alias, ok := e.lookup(n.Name)
	if !ok {
		return nil
	}
	if i := slices.Index(e.path, n.Name); i >= 0 {
		return &LoopError{slices.Clone(e.path[i:])}
	}
	e.path = append(e.path, n.Name)
	err := e.expand(alias, n.Args)
	e.path = e.path[:len(e.path)-1]
	e.out = append(e.out, Node{Op: Or})
	return err
}
