//go:build !linux && !freebsd

package utmp

import (
	"syscall"
	"time"
)

// There are no such files here.
const File, LogFile = "", ""

// Runlevel finds none.
func Runlevel(string) (current, previous byte, err error) { return 0, 0, syscall.ESRCH }

// SetRunlevel writes nothing.
func SetRunlevel(file, log string, current, previous byte, now time.Time) {}

// Shutdown writes nothing.
func Shutdown(file, log string, now time.Time) {}

// Lines finds nobody.
func Lines(string) []string { return nil }

// EndSession has nothing to do.
func EndSession(string, string, int, time.Time) error { return nil }
