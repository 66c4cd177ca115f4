package posix

import (
	"slices"
	"testing"
)

func TestMountPointsHaveAnyLetters(t *testing.T) {
	const mounts = "1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 0:2 /\u2003x /home/u\u00a0v\r\\040w rw shared:1 - fuse f rw\n3 1 0:3 / /home rw - tmpfs t rw\n4 1 0:4 / /homes rw - tmpfs t rw\n5\n"
	if got, want := pointsBelow(mounts, "/home"), []string{"/home", "/home/u\u00a0v\r w"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestUnescapePath(t *testing.T) {
	for text, want := range map[string]string{"/plain": "/plain", `/a\040b\134`: `/a b\`, `/end\`: `/end\`, `/no\9xx`: `/no\9xx`, `\040`: " ", `/big\777`: `/big\777`} {
		if got := unescapePath(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
