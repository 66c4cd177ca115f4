//go:build !linux

package watch

// writers reports whether somebody has a file open for writing.
var writers = func(int) answer { return unknown }
