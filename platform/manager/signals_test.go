package manager

import (
	"maps"
	"os/signal"
	"runtime"
	"syscall"
	"testing"
	"time"

	"onset/core/engine"
)

// TestWhatSignalsMean checks UPSTART §8.4, and init(8) of FreeBSD for its
// process 1.
func TestWhatSignalsMean(t *testing.T) {
	first := map[string]map[syscall.Signal]engine.Request{
		"linux": {syscall.SIGHUP: engine.Reload, syscall.SIGTERM: engine.ReExec, syscall.SIGUSR1: engine.ReconnectBus,
			syscall.SIGINT: engine.ControlAltDelete, syscall.SIGWINCH: engine.KeyboardRequest},
		"freebsd": {syscall.SIGHUP: engine.Reload, syscall.SIGTERM: engine.SingleUser, syscall.SIGUSR1: engine.HaltMachine,
			syscall.SIGINT: engine.ControlAltDelete, syscall.SIGWINCH: engine.RebootMachine, syscall.SIGUSR2: engine.PowerButton},
	}
	const power = 30 // SIGPWR, which other kernels do not have
	first["linux"][power] = engine.PowerStatusChanged
	for _, tt := range []struct {
		what string
		o    engine.Options
		want map[syscall.Signal]engine.Request
	}{
		{"process 1", engine.Options{Mode: engine.System, PID: 1}, first[runtime.GOOS]},
		{"a test", engine.Options{Mode: engine.Test, PID: 7},
			map[syscall.Signal]engine.Request{syscall.SIGHUP: engine.Reload, syscall.SIGTERM: engine.ReExec, syscall.SIGUSR1: engine.ReconnectBus}},
		{"a session", engine.Options{Mode: engine.Session, PID: 7},
			map[syscall.Signal]engine.Request{syscall.SIGHUP: engine.Reload, syscall.SIGTERM: engine.Shutdown}},
	} {
		if got := requests(tt.o); !maps.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.what, got, tt.want)
		}
	}
}

// TestSignalsBeforeTheManager has more processes end than a channel holds,
// then a request, before there is a manager to wake.
func TestSignalsBeforeTheManager(t *testing.T) {
	s := ClaimSignals()
	defer signal.Reset()
	receive := func(sig syscall.Signal) {
		syscall.Kill(syscall.Getpid(), sig)
		for end := time.Now().Add(3 * time.Minute); s.pending.Load()&(1<<uint(sig)) == 0; runtime.Gosched() {
			if time.Now().After(end) {
				t.Fatalf("%v is lost", sig)
			}
		}
	}
	for range 200 {
		receive(syscall.SIGCHLD)
		s.pending.And(^uint64(1 << uint(syscall.SIGCHLD)))
	}
	receive(syscall.SIGTERM)
	woken := 0
	s.start(func() { woken++ })
	if woken == 0 {
		t.Error("nobody is told of it")
	}
}
