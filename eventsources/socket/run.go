package socket

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"onset/eventsources"
	"onset/eventsources/kept"
)

// run is a run of the source.
type run struct {
	ctx   context.Context
	init  eventsources.Init
	store *store
	poll  *poller
	// broken is told that a socket has to be made anew; capacity 1.
	broken chan struct{}
	// warned has the warnings about operands as they are now. It and sockets
	// belong to the goroutine of Run.
	warned   map[string]bool
	sockets  map[string]*socket // by the key of the spec
	begun    bool
	toldKept bool // that init keeps no more
	untold   bool // init could not be told of all

	mu   sync.Mutex // of all below, and of the states and handles of sockets
	byFD map[int]*socket
	jobs map[string][]*socket // that a job names, by its path
	live map[string]int       // instances of these jobs, as far as they were seen to come

	number int64 // of the last connection
}

// state of a socket that is bound.
type state uint8

const (
	resting  state = iota // until a timer has it polled
	polled                // the kernel tells when something waits
	starting              // its event is on its way
	taken                 // somebody has it
	full                  // as many connections as may be
)

// socket is what an operand asks for.
type socket struct {
	*spec
	jobs []string // paths of those that name it, in order

	handle
	due      time.Time
	retry    time.Duration // before it is tried to be bound again
	said     string        // the last that was told of it
	told     bool          // init has its fact
	shutDown bool          // it has to be made anew

	state   state
	removed bool // an instance went since its event was emitted
	before  int  // what waited when its event was emitted
	pace    pace
	idle    time.Duration // before the next event, when one started nothing
	conns   connections
}

// names are those of the jobs, for messages.
func (s *socket) names() string {
	list := make([]string, len(s.jobs))
	for i, job := range s.jobs {
		list[i] = eventsources.JobName(job)
	}
	return strings.Join(list, ", ")
}

const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 5 * time.Second
	maxLooks   = 10 // for who has an address, each time sockets are bound
)

// apply makes the sockets be those of the operands, and returns when to try
// again with those that cannot be.
func (r *run) apply(list []eventsources.Condition) time.Duration {
	wanted := r.read(list)
	var gone []*socket
	r.mu.Lock()
	for key, s := range r.sockets {
		if wanted[key] == nil || s.shutDown {
			gone = append(gone, s)
			delete(r.sockets, key)
		}
	}
	r.mu.Unlock()
	if len(gone) > 0 {
		r.hold()
		for _, s := range gone {
			r.close(s)
		}
	}
	r.adopt(wanted)
	if opened := r.openAll(); opened || r.untold || !r.begun {
		r.hold()
	}
	if !r.begun && r.ctx.Err() == nil { // else not all were taken that are wanted
		r.begun = true
		r.store.closeIdle()
	}
	next := time.Hour
	if r.untold {
		next = lastRetry
	}
	for _, s := range r.sockets {
		if s.fd < 0 {
			next = min(next, max(0, time.Until(s.due)))
		}
	}
	return next
}

// read returns the sockets that operands ask for, and warns of those that
// cannot be read.
func (r *run) read(list []eventsources.Condition) map[string]*socket {
	wanted, warned := make(map[string]*socket, len(r.sockets)), map[string]bool{}
	for _, c := range list {
		s, err := parse(c.Operand.Args)
		if err != nil {
			text := "Ignored " + err.Error() + " in " + eventsources.JobName(c.Job)
			if !r.warned[text] && !warned[text] {
				r.init.Logf("%s", text)
			}
			warned[text] = true
			continue
		}
		key := s.key()
		w := wanted[key]
		if w == nil {
			w = &socket{spec: s, handle: unbound}
			wanted[key] = w
		}
		if !slices.Contains(w.jobs, c.Job) {
			w.jobs = append(w.jobs, c.Job)
		}
	}
	r.warned = warned
	return wanted
}

// adopt makes the table be that of what is wanted, with the sockets that are
// there.
func (r *run) adopt(wanted map[string]*socket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.jobs)
	for key, w := range wanted {
		s := r.sockets[key]
		if s == nil {
			s = w
			r.sockets[key] = s
		}
		s.jobs = w.jobs
		for _, job := range s.jobs {
			r.jobs[job] = append(r.jobs[job], s)
		}
	}
	maps.DeleteFunc(r.live, func(job string, _ int) bool { return r.jobs[job] == nil })
}

// openAll binds what is unbound and due.
func (r *run) openAll() (opened bool) {
	var due []*socket
	for _, s := range r.sockets {
		if s.fd < 0 && !time.Now().Before(s.due) {
			due = append(due, s)
		}
	}
	raiseLimit(len(r.sockets))
	slices.SortFunc(due, func(a, b *socket) int { return slices.Compare(a.env, b.env) })
	looked := 0
	for _, s := range due {
		if r.ctx.Err() != nil {
			break
		}
		if err := r.open(s); err != nil {
			s.retry = min(max(2*s.retry, firstRetry), lastRetry)
			s.due = time.Now().Add(s.retry)
			looked++
			r.failed(s, err, looked <= maxLooks)
			continue
		}
		opened = true
	}
	return opened
}

// raiseLimit sees to it that there can be so many sockets, as far as it may. The
// host has a copy of each, with its fact.
func raiseLimit(sockets int) {
	const others = 1000
	need := 2*uint64(sockets) + others
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err == nil && uint64(limit.Cur) < need {
		unix.Setrlimit(unix.RLIMIT_NOFILE, newLimit(need, uint64(limit.Max)))
	}
}

// open gets a socket from before, or binds it. Flags of a
// socket are not touched later: a job that has it would be surprised.
func (r *run) open(s *socket) error {
	h, ok := r.store.take(s.spec)
	if !ok {
		fd, err := s.spec.open()
		if err != nil {
			return err
		}
		h.fd = fd
		if err := kept.Keep(keptName(s.spec), fd); err != nil {
			r.unkept(s, err)
		}
	}
	if h.file == nil && !s.accept {
		h.file = os.NewFile(uintptr(h.fd), s.address())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.handle, s.retry, s.said = h, 0, ""
	r.byFD[h.fd] = s
	return nil
}

// unkept tells that a socket will not outlive this process; once if it is one of
// many.
func (r *run) unkept(s *socket, err error) {
	if errors.Is(err, kept.ErrFull) {
		if r.toldKept {
			return
		}
		r.toldKept = true
	}
	r.init.Logf("Socket %s in %s will not outlive onset-sources: %v", s.address(), s.names(), err)
}

// failed tells why a socket cannot be, once; look is to find out who has the
// address.
func (r *run) failed(s *socket, err error, look bool) {
	reason := err
	if e, ok := errors.AsType[*openError](err); ok {
		reason = e.err
	}
	key := err.Error() + reason.Error()
	if s.said == key {
		return
	}
	s.said = key
	text := s.address() + ": " + reason.Error()
	if errors.Is(reason, unix.EADDRINUSE) {
		text = s.address() + " is in use"
		if look {
			text += r.holder(s)
		}
	}
	r.init.Logf("Failed to %s in %s: %s; trying again", err, s.names(), text)
}

// holder tells who has the address of a socket: other operands, or a process.
func (r *run) holder(s *socket) string {
	for _, other := range r.sockets {
		if other.fd >= 0 && s.meets(other.spec) {
			return " by the socket of " + other.names()
		}
	}
	return s.spec.holder()
}

// hold tells init which facts are true. A socket is polled from then on: a job
// that its event starts gets it by its fact.
func (r *run) hold() {
	var bound []*socket
	for _, s := range r.sockets {
		if s.fd >= 0 {
			bound = append(bound, s)
		}
	}
	slices.SortFunc(bound, func(a, b *socket) int { return slices.Compare(a.env, b.env) })
	facts := make([]eventsources.Fact, len(bound))
	for i, s := range bound {
		facts[i] = eventsources.Fact{Name: "socket", Env: s.env, File: s.file}
	}
	err := r.init.Hold(facts)
	if err != nil && r.ctx.Err() == nil && !r.untold {
		r.init.Logf("Cannot tell init of all sockets; trying again: %v", err)
	}
	r.untold = err != nil
	for i, s := range bound {
		if s.told || err != nil && r.init.Assert(facts[i]) != nil {
			continue
		}
		s.told = true
		r.mu.Lock()
		r.arm(s)
		r.mu.Unlock()
	}
}

// close ends a socket.
func (r *run) close(s *socket) {
	if s.fd < 0 {
		return
	}
	h := r.release(s)
	kept.Drop(keptName(s.spec))
	if s.isFile() {
		os.Remove(s.path)
	}
	h.close()
}

// release has a socket polled no more, and takes what it has.
func (r *run) release(s *socket) (h handle) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.poll.forget(s.fd)
	delete(r.byFD, s.fd)
	h, s.handle, s.state = s.handle, unbound, resting
	return h
}

// end closes the sockets if no operand is left, or nobody would keep them, and
// else leaves them to the next run or process.
func (r *run) end(lastOfProcess bool) {
	list, _ := r.init.Conditions()
	over := len(list) == 0 || lastOfProcess && !kept.Outlives()
	if over {
		r.init.Hold(nil)
	}
	for _, s := range r.sockets {
		switch {
		case s.fd < 0:
		case over:
			r.close(s)
		default:
			r.store.leave(s.spec, r.release(s))
		}
	}
}
