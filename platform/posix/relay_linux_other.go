//go:build linux && !amd64 && !arm64

package posix

// relayCode is nowhere: such processes go through the exec stage.
var relayCode *[relaySize]byte
