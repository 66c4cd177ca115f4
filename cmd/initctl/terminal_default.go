//go:build !linux && !freebsd

package main

// terminalName is not known here.
func terminalName(int) string { return "" }
