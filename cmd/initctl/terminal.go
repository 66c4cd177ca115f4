//go:build linux || freebsd

package main

import "onset/platform/posix"

// terminalName returns the path of what a descriptor is, or "".
func terminalName(fd int) string {
	name, _ := posix.TerminalName(fd)
	return name
}
