//go:build linux && !amd64 && !arm64

package vfork

// run fails: there is no assembly for this machine.
func run(*Table) int {
	const enosys = 38
	return -enosys
}

func getLimit(*[2]uint64) {}
