//go:build !linux

package main

import "syscall"

// setPower is known for Linux alone.
func setPower(power, string) error { return syscall.ENOSYS }

func syncDisks() { syscall.Sync() }
