//go:build linux && (amd64 || arm64)

package posix

// relayText is the code of a relay, which only a process of its own can run.
func relayText()

// relayCode is where it is.
var relayCode *[relaySize]byte
