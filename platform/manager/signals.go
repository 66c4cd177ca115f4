package manager

import (
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"onset/core/engine"
)

// Signals collects what was received since the last look: a bit a signal.
type Signals struct {
	pending atomic.Uint64
	wake    atomic.Pointer[func()]
}

// ClaimSignals claims every signal; it comes first in main, because an
// unclaimed one ends a Go process, and as process 1 the machine. They are
// collected at once: what finds the channel full is lost, be it one of many
// ends of processes or a request.
func ClaimSignals() *Signals {
	s := &Signals{}
	received := make(chan os.Signal, 64)
	for n := syscall.Signal(1); n < 65; n++ {
		if n != syscall.SIGURG { // the runtime's own, which comes often and would wake three threads
			signal.Notify(received, n)
		}
	}
	go s.collect(received)
	return s
}

func (s *Signals) collect(received <-chan os.Signal) {
	for sig := range received {
		if n, ok := sig.(syscall.Signal); ok {
			s.pending.Or(1 << uint(n))
			if wake := s.wake.Load(); wake != nil {
				(*wake)()
			}
		}
	}
}

// start has wake called after every signal from now on, and for those before.
func (s *Signals) start(wake func()) {
	s.wake.Store(&wake)
	wake()
}

// requests says what signals mean to this kind of init (UPSTART §8.4).
func requests(o engine.Options) map[syscall.Signal]engine.Request {
	r := map[syscall.Signal]engine.Request{syscall.SIGHUP: engine.Reload}
	if o.Mode == engine.Session {
		r[syscall.SIGTERM] = engine.Shutdown
		return r
	}
	r[syscall.SIGTERM] = engine.ReExec
	r[syscall.SIGUSR1] = engine.ReconnectBus
	if o.PID == 1 {
		r[syscall.SIGINT] = engine.ControlAltDelete
		for sig, what := range kernelRequests {
			r[sig] = what
		}
	}
	return r
}

// signalled passes on what was received, SIGTERM last. SIGCHLD has done its
// work by waking the poller. Process 1's signals come from the keeper; those
// sent to its manager mean nothing.
func (m *Manager) signalled() {
	bits := m.c.Signals.pending.Swap(0)
	if m.kept != nil {
		m.hear()
		return
	}
	if bits == 0 {
		return
	}
	for n := syscall.Signal(1); n < 64; n++ {
		if n != syscall.SIGTERM && bits&(1<<uint(n)) != 0 {
			m.signal(n)
		}
	}
	if bits&(1<<uint(syscall.SIGTERM)) != 0 {
		m.signal(syscall.SIGTERM)
	}
}

func (m *Manager) signal(sig syscall.Signal) {
	if what, ok := m.meaning[sig]; ok {
		m.happened(engine.Told{What: what})
	} else if text, ok := refused[sig]; ok {
		m.warn("%s", text)
	}
}
