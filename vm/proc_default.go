//go:build !linux

package vm

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// dieWithUs is for Linux: elsewhere a child outlives a parent that was killed.
func dieWithUs() *syscall.SysProcAttr { return nil }

// IsTerminal reports whether a person can type at a file.
func IsTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TIOCGETA)
	return err == nil
}
