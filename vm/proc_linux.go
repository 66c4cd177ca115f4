package vm

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// dieWithUs makes the kernel end a child whose parent was killed.
func dieWithUs() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// IsTerminal reports whether a person can type at a file.
func IsTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
