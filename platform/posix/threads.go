package posix

import (
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// How many threads may run Go code at a time Go reads from the environment as
// it starts; by default as many as there are processors, each with caches of
// its own. A zero in front tells ours from what somebody else has chosen.
const (
	threads    = "GOMAXPROCS="
	OwnThreads = threads + "0"
)

// WithThreads returns an environment in which a program of ours has n threads
// that run Go code, unless somebody has chosen.
func WithThreads(env []string, n int) []string {
	if slices.ContainsFunc(env, func(v string) bool { return strings.HasPrefix(v, threads) }) {
		return env
	}
	return append(slices.Clip(env), OwnThreads+strconv.Itoa(n))
}

// LimitThreads executes this program again if more threads than n would run Go
// code. It returns where somebody has chosen, or there is no way.
func LimitThreads(n int) {
	env := os.Environ()
	limited := WithThreads(env, n)
	if len(limited) == len(env) || runtime.GOMAXPROCS(0) <= n {
		return
	}
	if self, err := os.Executable(); err == nil {
		syscall.Exec(self, os.Args, limited)
	}
}

// ForgetThreads keeps our limit from what this program starts.
func ForgetThreads() {
	if strings.HasPrefix(threads+os.Getenv("GOMAXPROCS"), OwnThreads) {
		os.Unsetenv("GOMAXPROCS")
	}
}
