package address

import (
	"encoding/hex"
	"errors"
	"runtime"
	"strings"
)

// Socket returns the socket of a D-Bus address, "@" in front of an
// abstract one.
func Socket(address string) (string, bool) {
	keys, ok := strings.CutPrefix(address, "unix:")
	if !ok {
		return "", false
	}
	for kv := range strings.SplitSeq(keys, ",") {
		key, value, _ := strings.Cut(kv, "=")
		value, err := unescape(value)
		switch {
		case err != nil || value == "":
		case key == "path":
			return value, true
		case key == "abstract" && runtime.GOOS == "linux":
			return "@" + value, true
		}
	}
	return "", false
}

// unescape returns a value of an address; %2f is a slash.
func unescape(s string) (string, error) {
	head, rest, escaped := strings.Cut(s, "%")
	for escaped && len(rest) >= 2 {
		b, err := hex.DecodeString(rest[:2])
		if err != nil {
			return "", err
		}
		var tail string
		tail, rest, escaped = strings.Cut(rest[2:], "%")
		head += string(b) + tail
	}
	if escaped {
		return "", errors.New("incomplete escape")
	}
	return head, nil
}
