package platformtest

import (
	"slices"
	"testing"
)

// Run runs the suite on back ends from backend.
func Run(t *testing.T, backend Backend) {
	run(t, backend, false, slices.Concat(specCases, failureCases, endCases, traceCases, signCases, crashCases))
}

// RunTrees runs what does not need root: expect, and crashes.
func RunTrees(t *testing.T, backend Backend) {
	run(t, backend, false, slices.Concat(traceCases, crashCases))
}

// RunUntraced runs what tells of forks where tracing is forbidden.
func RunUntraced(t *testing.T, backend Backend) { run(t, backend, true, untracedCases) }

func run(t *testing.T, backend Backend, blind bool, cases []testCase) {
	ConsolePath = t.TempDir() + "/console"
	t.Setenv(consoleEnv, ConsolePath)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, backend)
			w.blind = blind
			c.run(w)
		})
	}
}

type testCase struct {
	name string
	run  func(*world)
}
