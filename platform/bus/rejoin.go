package bus

import (
	"path/filepath"
	"strings"
	"time"

	"onset/platform"
)

// Pauses between attempts to connect to a bus double, from the first to the
// last.
const (
	firstRejoin = time.Second
	soonRejoin  = 10 * time.Millisecond // when something came up at its address
	lastRejoin  = time.Minute
)

// rejoin connects to a bus that is not there, or not any more: at once when
// its socket appears where the kernel tells that, otherwise now and then.
type rejoin struct {
	s     *Server
	bus   Bus
	delay time.Duration // the next pause
	at    time.Duration // of the next attempt, if it waits
	waits bool
	lost  bool // it was there once
	spots []*spot
}

// wait has an attempt made later.
func (r *rejoin) wait() {
	r.waits, r.at = true, r.s.o.Now()+r.delay
	r.delay = min(2*r.delay, lastRejoin)
	for _, path := range socketPaths(r.bus.Address) {
		p := watchFor(path)
		if p == nil {
			continue
		}
		err := r.s.poller.Add(p.fd, platform.Readable, func(platform.Ready) {
			if p.happened() {
				r.delay, r.at = soonRejoin, r.s.o.Now()
			}
		})
		if err != nil {
			p.close()
			continue
		}
		r.spots = append(r.spots, p)
	}
}

// again makes an attempt. Nobody is told if it fails.
func (r *rejoin) again() {
	r.leave() // where to look may have changed
	b := r.bus
	b.Done = func(error) {}
	r.s.join(b)
}

// joined makes the pauses short again, and tells.
func (r *rejoin) joined() {
	r.delay = firstRejoin
	if r.lost {
		r.s.o.Logf("Connected to %s again", r.bus.Label)
	} else {
		r.s.o.Debugf("Connected to %s", r.bus.Label)
	}
}

// leave ends the waiting.
func (r *rejoin) leave() {
	r.waits = false
	for _, p := range r.spots {
		r.s.poller.Remove(p.fd)
		p.close()
	}
	r.spots = nil
}

// socketPaths returns the files of a list of addresses.
func socketPaths(addresses string) (paths []string) {
	for _, address := range strings.Split(addresses, ";") {
		if sa, err := parseAddress(address); err == nil && !strings.HasPrefix(sa.Name, "@") {
			paths = append(paths, filepath.Clean(sa.Name))
		}
	}
	return paths
}
