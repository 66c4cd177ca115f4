package vm

import "syscall"

// dieWithUs makes the kernel end a child whose parent was killed.
func dieWithUs() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
