//go:build linux && (amd64 || arm64)

package vfork

// run returns the pid of the child or a negative error number.
func run(t *Table) int

func getLimit(limit *[2]uint64)
