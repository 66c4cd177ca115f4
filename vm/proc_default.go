//go:build !linux

package vm

import "syscall"

// dieWithUs is for Linux: elsewhere a child outlives a parent that was killed.
func dieWithUs() *syscall.SysProcAttr { return nil }
