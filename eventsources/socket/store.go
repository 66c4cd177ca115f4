package socket

import (
	"fmt"
	"hash/fnv"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"onset/eventsources/kept"
)

// keptPrefix begins the names of our sockets among the descriptors that init
// keeps for this process.
const keptPrefix = "socket."

// handle is a descriptor, and the file that owns it, if init gets it.
type handle struct {
	fd   int // -1: none
	file *os.File
}

var unbound = handle{fd: -1}

func (h handle) close() {
	if h.file != nil {
		h.file.Close()
	} else {
		unix.Close(h.fd)
	}
}

// store has the sockets of a run that ended, for the next one. Those of the
// process before this one are with package kept.
type store struct {
	mu   sync.Mutex
	idle map[string]handle
}

// keptName is short, whatever the operand is like.
func keptName(s *spec) string {
	h := fnv.New128a()
	h.Write([]byte(s.key()))
	return fmt.Sprintf("%s%x", keptPrefix, h.Sum(nil))
}

// take returns a socket from before.
func (st *store) take(s *spec) (h handle, ok bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	name := keptName(s)
	if h, ok = st.idle[name]; ok {
		delete(st.idle, name)
		return h, true
	}
	h.fd, ok = kept.Take(name)
	return h, ok
}

// leave makes a socket idle.
func (st *store) leave(s *spec, h handle) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.idle[keptName(s)] = h
}

// closeIdle closes the sockets that no operand is about any more.
func (st *store) closeIdle() {
	kept.CloseGiven(keptPrefix)
	st.mu.Lock()
	defer st.mu.Unlock()
	for name, h := range st.idle {
		kept.RemoveFile(h.fd)
		h.close()
		kept.Drop(name)
	}
	clear(st.idle)
}
