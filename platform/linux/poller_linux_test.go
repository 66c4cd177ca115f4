package linux

import (
	"testing"

	"onset/platform/platformtest"
)

func TestPoller(t *testing.T) {
	platformtest.RunPoller(t, func() (platformtest.Poller, error) { return NewPoller() })
}

func newPoller(t *testing.T) *Poller {
	t.Helper()
	p, err := NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func TestSignals(t *testing.T) {
	for n, name := range map[int]string{6: "ABRT", 17: "CHLD", 29: "IO", 15: "TERM", 31: "SYS"} {
		sig, _ := Signals.Number(name)
		if got, _ := Signals.Name(sig); int(sig) != n || got != name {
			t.Errorf("%s is %d named %s, want %d", name, sig, got, n)
		}
	}
}
