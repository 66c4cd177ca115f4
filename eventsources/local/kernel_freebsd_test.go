package local

import "golang.org/x/sys/unix"

const hasAbstract = false

// tellsProcess: since FreeBSD 13.
var tellsProcess = func() bool {
	release, err := unix.SysctlUint32("kern.osreldate")
	return err == nil && release >= 1300000
}()
