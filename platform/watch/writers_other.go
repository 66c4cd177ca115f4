//go:build !linux

package watch

// writers reports whether somebody has a file open for writing.
func writers(int) answer { return unknown }
