package posix

import "testing"

func TestUnescapePath(t *testing.T) {
	for text, want := range map[string]string{"/plain": "/plain", `/a\040b\134`: `/a b\`, `/end\`: `/end\`, `/no\9xx`: `/no\9xx`, `\040`: " ", `/big\777`: `/big\777`} {
		if got := unescapePath(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
