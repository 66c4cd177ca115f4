package ci

import (
	"slices"
	"strings"
	"testing"
)

// coreLayers is the direction inside core, lowest first.
var coreLayers = [][]string{
	{"cause", "env", "expr"},
	{"control", "event", "fact"},
	{"job"},
	{"conf"},
	{"engine"},
	{"loop"},
	{"snapshot"},
	{"coretest"},
}

// manager is what PID 1's two processes are made of.
const manager = "./core/... ./platform/... ./cmd/init/... !./core/coretest/... !./platform/sim/... !./platform/platformtest/..."

var importRules = slices.Concat(LayerRules("./core", coreLayers), []Rule{
	{From: "...", To: "./cmd/...", Tests: true,
		Reason: "cmd is wiring; what others need of it belongs in a package"},
	{From: "... !./ci/...", To: "./ci/...", Tests: true,
		Reason: "ci is for building and testing only"},
	{From: "./core/...", To: "... !std !./core/... !./cmd/... !./ci/...",
		Reason: "core knows only the standard library and itself"},
	{From: "./core/... !./core/loop/... !./core/coretest/...", To: "os/... syscall/... net/... sync/... C unsafe",
		Reason: "core is a deterministic reducer: no I/O, no kernel, no locks"},
	{From: "./core/control/...", To: "./core/... !./core/expr/... !./core/control/...",
		Reason: "control is plain values that any client may link"},
	{From: "./core/... ./platform/...", To: "./eventsources/...", Tests: true,
		Reason: "event sources are separate processes: init works without any"},
	{From: "./eventsources/...", To: "./eventsources/... !./eventsources !./eventsources/sourcetest/... !./eventsources/msgbus/... !./eventsources/kept/...", Tests: true,
		Unless: sameSource, Reason: "event sources do not know each other"},
	{From: "./eventsources/...", To: "./platform/linux/... ./platform/freebsd/...", Tests: true,
		Reason: "the kernel back ends are init's own"},
	{From: "./vm/...", To: "./... !./vm/...", Tests: true,
		Reason: "vm tests the binaries as a black box"},
	{From: "... !./vm/...", To: "./vm/...", Tests: true,
		Reason: "vm is a test driver"},
	{From: "./platform/sim/...", To: "... !std !./core/... !./platform !./platform/sim/... !./cmd/... !./ci/... !./vm/... !./eventsources/...",
		Reason: "the simulated kernel stands beside the real ones: it knows core and the contracts"},
	{From: manager, To: "net/http/... log/slog/... text/template/... encoding/gob/...", Indirect: true,
		Reason: "import budget: each of these is resident memory in PID 1"},
	{From: manager, To: "C",
		Reason: "init is one static binary, without cgo"},
	{From: manager, To: "os/exec",
		Reason: "wait4(-1) beside os/exec loses exit statuses"},
})

// sameSource reports whether two packages belong to one event source.
func sameSource(from, to string) bool {
	name := func(pkg string) string {
		first, _, _ := strings.Cut(strings.TrimPrefix(pkg, "./eventsources/"), "/")
		return first
	}
	return name(from) == name(to)
}

func TestImportGraph(t *testing.T) {
	for _, goos := range []string{"linux", "freebsd"} {
		t.Run(goos, func(t *testing.T) {
			edges, err := LoadImports(root, goos)
			if err != nil {
				t.Fatal(err)
			}
			if len(edges) == 0 {
				t.Fatal("go list names no import at all")
			}
			report(t, CheckImports(edges, importRules))
		})
	}
}

var forbiddenEdges = []struct {
	edge   Edge
	reason string
}{
	{Edge{From: "./core/env", To: "./core/job"}, "layers below"},
	{Edge{From: "./core/expr", To: "./core/env"}, "layers below"},
	{Edge{From: "./core/cause", To: "./core/env"}, "layers below"},
	{Edge{From: "./core/job", To: "./core/conf"}, "layers below"},
	{Edge{From: "./core/conf", To: "./core/engine"}, "layers below"},
	{Edge{From: "./core/control", To: "./core/job"}, "layers below"},
	{Edge{From: "./core/event", To: "./core/fact"}, "layers below"},
	{Edge{From: "./core/event", To: "./core/engine"}, "layers below"},
	{Edge{From: "./core/fact", To: "./core/engine"}, "layers below"},
	{Edge{From: "./core/engine", To: "./core/loop"}, "layers below"},
	{Edge{From: "./core/loop", To: "./core/snapshot"}, "layers below"},
	{Edge{From: "./core/snapshot", To: "./core/coretest"}, "layers below"},
	{Edge{From: "./core/coretest", To: "./core/newcomer"}, "layers below"},
	{Edge{From: "./core/newcomer", To: "fmt"}, "no place"},
	{Edge{From: "./platform/linux", To: "./cmd/init", Test: true}, "wiring"},
	{Edge{From: "./core/env", To: "./ci", Test: true}, "building and testing"},
	{Edge{From: "./core/engine", To: "./platform"}, "standard library and itself"},
	{Edge{From: "./core/loop", To: "example.org/x"}, "standard library and itself"},
	{Edge{From: "./core/engine", To: "os"}, "deterministic"},
	{Edge{From: "./core/engine", To: "os/signal"}, "deterministic"},
	{Edge{From: "./core/engine", To: "sync/atomic"}, "deterministic"},
	{Edge{From: "./core/control", To: "./core/env"}, "plain values"},
	{Edge{From: "./platform", To: "./eventsources", Test: true}, "separate processes"},
	{Edge{From: "./eventsources/udev", To: "./eventsources/file", Test: true}, "each other"},
	{Edge{From: "./eventsources/udev", To: "./platform/linux", Test: true}, "back ends"},
	{Edge{From: "./vm/linux", To: "./core/env", Test: true}, "black box"},
	{Edge{From: "./cmd/init", To: "./vm"}, "test driver"},
	{Edge{From: "./platform/sim", To: "./platform/posix"}, "simulated kernel"},
	{Edge{From: "./platform/sim", To: "example.org/x"}, "simulated kernel"},
	{Edge{From: "./cmd/init", To: "net/http", Indirect: true}, "budget"},
	{Edge{From: "./platform/linux", To: "C"}, "cgo"},
	{Edge{From: "./platform/keeper", To: "os/exec"}, "exit statuses"},
}

func TestEveryRuleForbidsAnEdge(t *testing.T) {
	fired := map[string]bool{}
	for _, c := range forbiddenEdges {
		found := CheckImports([]Edge{c.edge}, importRules)
		if !strings.Contains(strings.Join(found, "\n"), c.reason) {
			t.Errorf("%+v: found %q, want a finding with %q", c.edge, found, c.reason)
		}
		for _, f := range found {
			fired[f[strings.Index(f, ": ")+2:]] = true
		}
	}
	for _, r := range importRules {
		if !fired[r.Reason] {
			t.Errorf("no forbidden edge in the table shows the rule %q", r.Reason)
		}
	}
}

func TestAllowedEdges(t *testing.T) {
	allowed := []Edge{
		{From: "./core/engine", To: "./core/env"},
		{From: "./core/engine", To: "time"},
		{From: "./core/env", To: "os", Test: true},
		{From: "./core/engine", To: "os", Indirect: true},
		{From: "./core/engine", To: "./core/coretest", Test: true},
		{From: "./core/loop", To: "sync"},
		{From: "./core/control", To: "./core/expr"},
		{From: "./platform/linux", To: "golang.org/x/sys/unix"},
		{From: "./platform/bus", To: "os/exec", Indirect: true},
		{From: "./platform/sim", To: "./core/engine"},
		{From: "./platform/sim", To: "./platform"},
		{From: "./eventsources/udev", To: "./eventsources"},
		{From: "./eventsources/udev", To: "./eventsources/udev/netlink"},
		{From: "./eventsources/time", To: "net/http"},
		{From: "./cmd/onset-sources", To: "./eventsources/udev"},
		{From: "./ci/bench", To: "os/exec"},
	}
	report(t, CheckImports(allowed, importRules))
}
