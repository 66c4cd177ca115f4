package socket

import (
	"time"

	"golang.org/x/sys/unix"

	"onset/eventsources"
)

// pace holds back starts that lead nowhere.
type pace struct {
	since  time.Time // of the burst
	starts int       // in it
	armed  time.Time // last polled anew
	wait   time.Duration
}

// A job that ends and leaves what waits where it is may be started burst times
// in burstTime, which are systemd's TriggerLimitBurst= and
// TriggerLimitIntervalSec=; then after a while only, until there is calm.
const (
	burst     = 20
	burstTime = 2 * time.Second
	firstWait = time.Second
	lastWait  = time.Minute
	calm      = 10 * time.Second // nothing waited for so long, or a start lasted

	firstIdle = 100 * time.Millisecond // after an event that started nothing
	lastIdle  = 5 * time.Second
)

// begin counts a start.
func (p *pace) begin(now time.Time) {
	p.settle(now)
	if now.Sub(p.since) > burstTime {
		p.since, p.starts = now, 0
	}
	p.starts++
}

// settle forgets what was before there was calm.
func (p *pace) settle(now time.Time) {
	if now.Sub(p.armed) > calm {
		*p = pace{}
	}
}

// next returns how long to wait after a start, and whether the waiting begins
// with it.
func (p *pace) next(now time.Time) (wait time.Duration, begins bool) {
	p.settle(now)
	if p.wait == 0 && p.starts < burst {
		return 0, false
	}
	begins = p.wait == 0
	p.wait = min(max(2*p.wait, firstWait), lastWait)
	return p.wait, begins
}

// keepPolling handles sockets that have something waiting.
func (r *run) keepPolling() error {
	buffer := make([]int, 0, 64)
	for {
		ready, err := r.poll.wait(buffer[:0])
		if err != nil || r.ctx.Err() != nil {
			return err
		}
		for _, fd := range ready {
			r.ready(fd)
		}
	}
}

// arm has a socket polled. The caller has the lock, here and below.
func (r *run) arm(s *socket) {
	s.state, s.pace.armed = polled, time.Now()
	if err := r.poll.arm(s.fd); err != nil {
		s.state = resting
		r.init.Logf("Failed to watch socket in %s: %v", s.names(), err)
	}
}

// armLater has a socket polled after a while.
func (r *run) armLater(s *socket, wait time.Duration) {
	s.state = resting
	fd := s.fd
	time.AfterFunc(wait, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.byFD[fd] == s && s.state == resting {
			r.arm(s)
		}
	})
}

// again has a socket polled after its job has ended. A job that took something
// is not held back.
func (r *run) again(s *socket) {
	if left := s.waiting(); left == 0 || left < s.before && left != unknown {
		s.pace = pace{}
	}
	wait, begins := s.pace.next(time.Now())
	if begins {
		r.init.Logf("%s was started %d times in %v for socket %s, and something waits there still: from now on it is started less often",
			s.names(), s.pace.starts, burstTime, s.address())
	}
	if wait == 0 {
		r.arm(s)
		return
	}
	r.armLater(s, wait)
}

// ready handles a socket that the kernel told of. It looks again, since what
// waited may be gone.
func (r *run) ready(fd int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.byFD[fd]
	if s == nil || s.state != polled {
		return
	}
	now := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	unix.Poll(now, 0)
	switch events := now[0].Revents; {
	case events == 0:
		r.arm(s)
	case events&unix.POLLHUP != 0 && s.proto != "fifo":
		r.init.Logf("A process of %s has shut socket %s down for all: making it anew", s.names(), s.address())
		s.state, s.shutDown = resting, true
		select {
		case r.broken <- struct{}{}:
		default:
		}
	case s.accept:
		r.accept(s)
	default:
		s.state, s.removed, s.before = starting, false, s.waiting()
		s.pace.begin(time.Now())
		e := eventsources.Event{Name: "socket", Env: s.env}
		if err := r.init.EmitThen(e, func(err error) { r.started(s, err) }); err != nil {
			r.complain(s, err)
			r.armLater(s, lastIdle)
		}
	}
}

// started looks what the event of a socket has led to when it is over. What init
// told before is known by then.
func (r *run) started(s *socket, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil || r.byFD[s.fd] != s {
		return
	}
	switch {
	case s.removed:
		r.again(s)
	case r.instances(s) > 0:
		s.state = taken
	default: // it is not to start now, or ran before this process did
		if err != nil {
			r.complain(s, err)
		}
		s.idle = min(max(2*s.idle, firstIdle), lastIdle)
		r.armLater(s, s.idle)
	}
}

// complain tells once that init does not take what a socket has.
func (r *run) complain(s *socket, err error) {
	if s.said != err.Error() {
		s.said = err.Error()
		r.init.Logf("socket %s of %s: %v", s.address(), s.names(), err)
	}
}

// instances returns how many instances the jobs of a socket have.
func (r *run) instances(s *socket) (n int) {
	for _, job := range s.jobs {
		n += r.live[job]
	}
	return n
}

// signal hears of the instances of jobs.
func (r *run) signal(sig eventsources.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	sockets := r.jobs[sig.Path]
	switch {
	case sig.Kind == eventsources.Connected: // init may have told of more
		clear(r.live)
		for _, s := range r.byFD {
			r.free(s)
		}
	case sockets == nil:
	case sig.Kind == eventsources.InstanceAdded:
		r.live[sig.Path]++
		for _, s := range sockets {
			s.conns.taken()
		}
	case r.live[sig.Path] == 0 && sig.Kind == eventsources.JobRemoved:
	case sig.Kind == eventsources.InstanceRemoved, sig.Kind == eventsources.JobRemoved:
		if r.live[sig.Path]--; r.live[sig.Path] < 0 || sig.Kind == eventsources.JobRemoved {
			r.live[sig.Path] = 0
		}
		for _, s := range sockets {
			r.free(s)
		}
	}
}

// free has a socket polled that a job had.
func (r *run) free(s *socket) {
	s.removed = true
	switch {
	case s.fd < 0:
	case s.state == full, s.state == resting && s.idle > 0:
		r.arm(s)
	case s.state == taken:
		r.again(s)
	}
	s.idle = 0
}
