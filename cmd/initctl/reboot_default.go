//go:build !linux && !freebsd

package main

import "syscall"

// setPower is not known here.
func setPower(power, string) error { return syscall.ENOSYS }

func shutdownProgram() string { return "/sbin/shutdown" }
