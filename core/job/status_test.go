package job

import "testing"

func TestStatusConversions(t *testing.T) {
	tests := []struct {
		name   string
		status Status
		value  int
		signal Signal
		killed bool
	}{
		{"good exit", Exit(0), 0, 0, false},
		{"bad exit", Exit(3), 3, 0, false},
		{"highest exit code", Exit(255), 255, 0, false},
		{"only eight bits of an exit code count", Exit(256 + 7), 7, 0, false},
		{"first signal", Killed(1), 256, 1, true},
		{"signal", Killed(15), 3840, 15, true},
		{"real-time signal", Killed(64), 16384, 64, true},
		{"never ran", NoStatus, -1, 0, false},
	}
	for _, tt := range tests {
		if int(tt.status) != tt.value {
			t.Errorf("%s: %d, want %d", tt.name, tt.status, tt.value)
		}
		if sig, killed := tt.status.Signal(); sig != tt.signal || killed != tt.killed {
			t.Errorf("%s: signal %d (%v), want %d (%v)", tt.name, sig, killed, tt.signal, tt.killed)
		}
	}
}

func TestSignalNames(t *testing.T) {
	for _, name := range []string{"ABRT", "SIGABRT", "IOT"} {
		if n, ok := signals.Number(name); n != 6 || !ok {
			t.Errorf("%s is %d (%v)", name, n, ok)
		}
	}
	for _, name := range []string{"", "SIG", "abrt", "6", "SIGSIGABRT", "NOPE"} {
		if n, ok := signals.Number(name); ok {
			t.Errorf("%q is taken for %d", name, n)
		}
	}
	if name, ok := signals.Name(6); name != "ABRT" || !ok {
		t.Errorf("6 is called %q (%v)", name, ok)
	}
	if name, ok := signals.Name(7); ok {
		t.Errorf("7 is called %q", name)
	}
}
