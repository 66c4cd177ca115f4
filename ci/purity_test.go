package ci

import (
	"go/ast"
	"strings"
	"testing"
)

// purityOf says which packages must be deterministic: core, and the kernel
// whose runs a seed reproduces.
func purityOf(path string) (Purity, bool) {
	return Purity{Concurrent: match("./core/loop/...", path)},
		match("./core/... ./platform/sim/...", path)
}

func TestCoreIsDeterministic(t *testing.T) {
	l, err := NewLoader(root, "./...")
	if err != nil {
		t.Fatal(err)
	}
	found, err := l.Check(purityOf)
	if err != nil {
		t.Fatal(err)
	}
	report(t, found)
}

// purityCases hold the body of a function each, with m a map.
var purityCases = []struct{ name, body, want string }{
	{"a walk over a map", "for range m {}", "walks over a map"},
	{"a walk over a named map", "for range named(m) {}", "walks over a map"},
	{"a walk with a reason above", "// order-free: it only counts\nfor range m {}", ""},
	{"a walk with a reason behind", "for range m { // order-free: it only counts\n}", ""},
	{"a reason of several lines", "// order-free: it\n// only counts\nfor range m {}", ""},
	{"a mark without a reason", "// order-free:\nfor range m {}", "walks over a map"},
	{"a reason further up", "// order-free: other\n\nfor range m {}", "walks over a map"},
	{"a walk over a slice", "for range []int{1} {}", ""},
	{"a walk over keys", "for range maps.Keys(m) {}", "calls maps.Keys"},
	{"keys in a slice", "_ = slices.Collect(maps.Keys(m))", "calls maps.Keys"},
	{"sorted keys", "_ = slices.Sorted(maps.Keys(m))", ""},
	{"the clock", "_ = time.Now()", "uses time.Now"},
	{"the clock as a value", "now := time.Now; _ = now", "uses time.Now"},
	{"a duration", "_ = 3*time.Second + time.Duration(0).Abs()", ""},
	{"a goroutine", "go func() {}()", "goroutines or channels"},
	{"a channel", "_ = make(chan int)", "goroutines or channels"},
	{"a global random number", "_ = rand.IntN(3)", "uses math/rand/v2.IntN"},
	{"a seeded random number", "_ = rand.New(rand.NewPCG(1, 2)).IntN(3)", ""},
}

const purityFrame = `package p
import ("maps"; "math/rand/v2"; "slices"; "time")
type named map[int]int
var _ = maps.Clone[named]; var _ *rand.Rand; var _ = slices.Sort[[]int]; var _ time.Duration
func f(m map[int]int) {
BODY
}`

func TestPurityFindings(t *testing.T) {
	l, err := NewLoader(root, "maps", "math/rand/v2", "slices", "time")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range purityCases {
		t.Run(c.name, func(t *testing.T) {
			found := impuritiesOf(t, l, strings.Replace(purityFrame, "BODY", c.body, 1), Purity{})
			if c.want == "" {
				report(t, found)
			} else if !strings.Contains(strings.Join(found, "\n"), c.want) {
				t.Errorf("found %q, want a finding with %q", found, c.want)
			}
		})
	}
}

func TestTheLoopMayHoldGoroutinesAndTheClock(t *testing.T) {
	l, err := NewLoader(root, "time")
	if err != nil {
		t.Fatal(err)
	}
	src := "package p\nimport \"time\"\nfunc f() { go func() {}(); _ = time.Now() }"
	report(t, impuritiesOf(t, l, src, Purity{Concurrent: true}))
}

// impuritiesOf checks one source text.
func impuritiesOf(t *testing.T, l *Loader, src string, rule Purity) []string {
	t.Helper()
	file, err := l.parse("p.go", src)
	if err != nil {
		t.Fatal(err)
	}
	found, err := l.impurities("p", []*ast.File{file}, rule)
	if err != nil {
		t.Fatal(err)
	}
	return found
}
