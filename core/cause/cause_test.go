package cause

import (
	"fmt"
	"testing"
)

func TestALongChainLosesItsMiddleAndKeepsItsRoot(t *testing.T) {
	root := New(Clock{Wall: 7}, Request, "a person", nil)
	root.Person = &Person{UID: 1}
	c := root
	for i := range 10 * MaxDepth {
		c = New(Clock{}, Event, fmt.Sprint(i), c)
		length, cuts := 0, 0
		for l := c; l != nil; l = l.Parent {
			length++
			if l.Kind == Cut {
				cuts++
			}
		}
		if length > MaxDepth || length != c.Depth || cuts > 1 || (cuts == 1) != (i+2 > MaxDepth) {
			t.Fatalf("after %d: %d links, depth %d, %d cuts", i, length, c.Depth, cuts)
		}
		if c.Text != fmt.Sprint(i) || c.Root() != root {
			t.Fatalf("after %d: %s, root %+v", i, c.Text, c.Root())
		}
	}
}

func TestAHistoryKeepsTheLastChanges(t *testing.T) {
	var h History
	for i := range Keep + 5 {
		h.Add(Change{Instance: fmt.Sprint(i)})
	}
	changes := h.Changes()
	if len(changes) != Keep || changes[0].Instance != "5" || changes[Keep-1].Instance != fmt.Sprint(Keep+4) {
		t.Errorf("%d changes from %s to %s", len(changes), changes[0].Instance, changes[len(changes)-1].Instance)
	}
}

func TestEveryKindAndActionHasAName(t *testing.T) {
	for k := Init; k <= Cut; k++ {
		if k.String() == "" {
			t.Errorf("kind %d", k)
		}
	}
	for a := Start; a <= Cancel; a++ {
		if a.String() == "" {
			t.Errorf("action %d", a)
		}
	}
}
