package posix

import (
	"net/netip"
	"strings"
	"testing"
)

func TestListenAddress(t *testing.T) {
	for _, tt := range []struct {
		want, bound string
		is          bool
	}{
		{"", "127.0.0.1:80", true}, {"*:80", "127.0.0.1:80", true}, {":80", "[::1]:80", true}, {"80", "0.0.0.0:80", true},
		{"*:80", "127.0.0.1:81", false}, {"127.0.0.1:80", "127.0.0.1:80", true}, {"127.0.0.1:80", "127.0.0.2:80", false},
		{"127.0.0.1:80", "0.0.0.0:80", true}, {"127.0.0.1:80", "[::]:80", true}, {"127.0.0.1:80", "only [::]:80", false},
		{"[::1]:80", "[::1]:80", true}, {"::1:80", "[::1]:80", true}, {"[::1]:80", "[::]:80", true}, {"[::1]:80", "only [::]:80", true},
		{"[::1]:80", "0.0.0.0:80", false}, {"127.0.0.1:80", "[::ffff:127.0.0.1]:80", true}, {"0.0.0.0:80", "127.0.0.1:80", false},
		{"/run/x", "127.0.0.1:80", false},
	} {
		a, ok := ParseListenAddress(tt.want)
		bound, only := strings.CutPrefix(tt.bound, "only ")
		at := netip.MustParseAddrPort(bound)
		got := !a.Limited() || a.Takes(at.Addr().Unmap(), int(at.Port()), only || at.Addr().Is4())
		if !ok || got != tt.is {
			t.Errorf("%q for one bound to %q: %t", tt.want, tt.bound, got)
		}
	}
	for _, bad := range []string{"x", "1.2.3.4", "*:http", "*:0", "*:65536", "host:80", "relative/path", "[::1:80"} {
		if a, ok := ParseListenAddress(bad); ok || a.Limited() {
			t.Errorf("%q is an address: %+v", bad, a)
		}
	}
}
