package cause

import (
	"fmt"
	"testing"
	"time"
)

func at(n int) Clock { return Clock{Mono: time.Duration(n)} }

// chain makes a chain of that many causes, each after the number of its turn.
func chain(n int) *Cause {
	var c *Cause
	for i := range n {
		c = New(at(i), Event, fmt.Sprint(i), c)
	}
	return c
}

func length(c *Cause) (n int) {
	for ; c != nil; c = c.Parent {
		n++
	}
	return n
}

func TestChainIsKeptWholeUpToItsDepth(t *testing.T) {
	for _, n := range []int{1, 2, MaxDepth - 1, MaxDepth} {
		c := chain(n)
		if length(c) != n || c.Depth != n {
			t.Errorf("a chain of %d has %d links and says %d", n, length(c), c.Depth)
		}
		for i := n - 1; c != nil; i, c = i-1, c.Parent {
			if c.Text != fmt.Sprint(i) || c.Depth != i+1 {
				t.Errorf("link %d of %d is %q at depth %d", i, n, c.Text, c.Depth)
			}
		}
	}
}

func TestLongChainKeepsItsEndsAndSaysThatItIsCut(t *testing.T) {
	c := chain(MaxDepth + 1)
	if c.Text != fmt.Sprint(MaxDepth) || c.Depth != 3 || length(c) != 3 {
		t.Fatalf("the chain is cut to %d links, newest %q", length(c), c.Text)
	}
	if c.Parent.Kind != Cut || c.Parent.At != at(0) {
		t.Errorf("behind the newest is %+v", c.Parent)
	}
	if r := c.Root(); r.Text != "0" || r.Kind != Event || r.Parent != nil {
		t.Errorf("the root is %+v", r)
	}
}

func TestChainNeverGrowsBeyondItsDepth(t *testing.T) {
	var c *Cause
	for i := range 10 * MaxDepth {
		c = New(at(i), Exit, "", c)
		cuts := 0
		for l := c; l != nil; l = l.Parent {
			if l.Kind == Cut {
				cuts++
			}
		}
		if length(c) > MaxDepth || length(c) != c.Depth || cuts > 1 || c.Root().At != at(0) {
			t.Fatalf("after %d causes: %d links, depth %d, %d cuts, root of %v", i+1, length(c), c.Depth, cuts, c.Root().At)
		}
	}
}

func TestHistoryKeepsTheLastChanges(t *testing.T) {
	for _, n := range []int{0, 1, Keep - 1, Keep, Keep + 1, 3 * Keep} {
		var h History
		for i := range n {
			h.Add(Change{At: at(i)})
		}
		got := h.Changes()
		if len(got) != min(n, Keep) {
			t.Errorf("of %d changes %d are kept", n, len(got))
		}
		for i, c := range got {
			if want := at(n - len(got) + i); c.At != want {
				t.Errorf("of %d changes, change %d is that of %v, want %v", n, i, c.At, want)
			}
		}
	}
}

func TestKindAndActionNames(t *testing.T) {
	for k, want := range []string{"init", "event", "fact", "request", "exit", "spawn-failure", "timeout", "limit", "configuration", "cut"} {
		if got := Kind(k).String(); got != want {
			t.Errorf("kind %d is called %s, want %s", k, got, want)
		}
	}
	for a, want := range []string{"start", "stop", "respawn", "restart", "skip", "refuse", "fail", "ready", "rest", "cancel"} {
		if got := Action(a).String(); got != want {
			t.Errorf("action %d is called %s, want %s", a, got, want)
		}
	}
}
