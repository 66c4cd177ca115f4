package address

import "testing"

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{"/a": "/a", "%2fa%20b": "/a b", "": "", "%2": "", "%": "", "%zz": "", "a%2Fb%": ""} {
		if got, err := unescape(in); got != want || (err != nil) != (want == "" && in != "") {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}
