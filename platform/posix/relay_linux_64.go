//go:build linux && (amd64 || arm64)

package posix

// relayCode is the code of a relay, which only a process of its own can run.
var relayCode *[relaySize]byte
