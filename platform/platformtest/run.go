package platformtest

import (
	"slices"
	"testing"
)

// Run runs the suite on back ends from backend.
func Run(t *testing.T, backend Backend) {
	ConsolePath = t.TempDir() + "/console"
	t.Setenv(consoleEnv, ConsolePath)
	for _, c := range slices.Concat(specCases, failureCases, endCases, traceCases, signCases, crashCases) {
		t.Run(c.name, func(t *testing.T) { c.run(newWorld(t, backend)) })
	}
}

type testCase struct {
	name string
	run  func(*world)
}
