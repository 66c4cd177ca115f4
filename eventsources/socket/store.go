package socket

import (
	"fmt"
	"hash/fnv"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// storePrefix begins the names of our sockets among the descriptors that init
// keeps for this process (sd_pid_notify_with_fds(3), sd_listen_fds(3)).
const storePrefix = "socket."

const (
	firstFile = 3               // SD_LISTEN_FDS_START
	storeWait = 5 * time.Second // for room in the socket of notifications
	maxKept   = 256             // what init keeps of a job
)

var errKept = fmt.Errorf("init keeps no more than %d", maxKept)

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

// store has the sockets that no run uses: at first those that init kept for
// the process before this one, then those of a run that ended. What a run uses
// is with init too, if there is one to keep it.
type store struct {
	mu   sync.Mutex
	idle map[string]handle
	kept map[string]bool // with init, by name
	// address is where init hears of what to keep; empty: nobody keeps anything.
	address string
}

// newStore takes the descriptors out of the environment.
func newStore() *store {
	st := &store{idle: map[string]handle{}, kept: map[string]bool{}, address: os.Getenv("NOTIFY_SOCKET")}
	count, _ := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getpid()) {
		names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
		for i := range min(count, len(names)) {
			unix.CloseOnExec(firstFile + i)
			if strings.HasPrefix(names[i], storePrefix) {
				st.idle[names[i]], st.kept[names[i]] = handle{fd: firstFile + i}, true
			}
		}
		for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
			os.Unsetenv(name)
		}
	}
	return st
}

// storeName is short, whatever the operand is like.
func storeName(s *spec) string {
	h := fnv.New128a()
	h.Write([]byte(s.key()))
	return fmt.Sprintf("%s%x", storePrefix, h.Sum(nil))
}

// take returns a socket that was idle.
func (st *store) take(s *spec) (h handle, ok bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	name := storeName(s)
	h, ok = st.idle[name]
	delete(st.idle, name)
	return h, ok
}

// leave makes a socket idle.
func (st *store) leave(s *spec, h handle) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.idle[storeName(s)] = h
}

// keep has init keep a socket, if it keeps any.
func (st *store) keep(s *spec, fd int) error {
	name := storeName(s)
	if st.address == "" {
		return nil
	}
	st.mu.Lock()
	full := len(st.kept) >= maxKept
	if !full {
		st.kept[name] = true
	}
	st.mu.Unlock()
	if full {
		return errKept
	}
	return st.send("FDSTORE=1\nFDNAME="+name, unix.UnixRights(fd))
}

// drop has init keep a socket no more.
func (st *store) drop(name string) {
	st.mu.Lock()
	kept := st.kept[name]
	delete(st.kept, name)
	st.mu.Unlock()
	if kept {
		st.send("FDSTOREREMOVE=1\nFDNAME="+name, nil)
	}
}

func (st *store) send(text string, rights []byte) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	wait := unix.NsecToTimeval(int64(storeWait))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &wait); err != nil {
		return err
	}
	return unix.Sendmsg(fd, []byte(text), rights, &unix.SockaddrUnix{Name: st.address}, 0)
}

// closeIdle closes the sockets that no operand is about any more.
func (st *store) closeIdle() {
	st.mu.Lock()
	idle := st.idle
	st.idle = map[string]handle{}
	st.mu.Unlock()
	for name, h := range idle {
		if sa, err := unix.Getsockname(h.fd); err == nil {
			removeSocket(sa)
		}
		h.close()
		st.drop(name)
	}
}

// removeSocket removes the file of a socket.
func removeSocket(sa unix.Sockaddr) {
	if u, ok := sa.(*unix.SockaddrUnix); ok && strings.HasPrefix(u.Name, "/") {
		if info, err := os.Lstat(u.Name); err == nil && info.Mode()&os.ModeSocket != 0 {
			os.Remove(u.Name)
		}
	}
}
