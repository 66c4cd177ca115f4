// Package kept has descriptors that outlive this process: init keeps them and
// gives them to the next one that it starts for the job (FDSTORE of
// sd_pid_notify_with_fds(3), sd_listen_fds(3)). Without such an init nothing is
// kept, which is no error.
//
// What this process was given is there to be taken for a minute. Then the rest
// is closed, since no condition is about it any more.
package kept

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	first     = 3               // SD_LISTEN_FDS_START
	most      = 256             // what init keeps of a job
	wait      = 5 * time.Second // for room in the socket of notifications
	unclaimed = time.Minute
)

// ErrFull is the error of one descriptor too many.
var ErrFull = fmt.Errorf("init keeps no more than %d", most)

// store is what init has of this process, and had of the one before it.
type store struct {
	address string // where init hears of it; empty: nobody keeps anything

	mu    sync.Mutex       // also while init is told, which so hears of what is there in the end
	given map[string][]int // by name, as long as nobody has taken them
	kept  map[string]bool
}

var here = sync.OnceValue(func() *store {
	return receive(os.Getenv("NOTIFY_SOCKET"), os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES"))
})

// receive takes what init gives, out of the environment too.
func receive(address, pid, count, names string) *store {
	s := &store{address: address, given: map[string][]int{}, kept: map[string]bool{}}
	if pid != strconv.Itoa(os.Getpid()) {
		return s
	}
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		os.Unsetenv(name)
	}
	n, _ := strconv.Atoi(count)
	for i, name := range strings.Split(names, ":") {
		if i < n {
			unix.CloseOnExec(first + i)
			s.given[name] = append(s.given[name], first+i)
			s.kept[name] = true
		}
	}
	if len(s.given) > 0 {
		time.AfterFunc(unclaimed, func() { s.closeGiven("") })
	}
	return s
}

// Receive begins the minute, if no other function has.
func Receive() { here() }

// Take returns a descriptor that was kept by that name, once.
func Take(name string) (fd int, ok bool) { return here().take(name) }

// Keep has init keep a copy of a descriptor.
func Keep(name string, fd int) error { return here().keep(name, fd) }

// Drop has init keep what has that name no more.
func Drop(name string) error { return here().drop(name) }

// CloseGiven closes what nobody has taken of names that begin so.
func CloseGiven(prefix string) { here().closeGiven(prefix) }

// Outlives reports whether there is an init that keeps anything.
func Outlives() bool { return here().address != "" }

func (s *store) take(name string) (fd int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.given[name]
	if len(list) == 0 {
		return -1, false
	}
	if s.given[name] = list[1:]; len(list) == 1 {
		delete(s.given, name)
	}
	return list[0], true
}

func (s *store) keep(name string, fd int) error {
	if s.address == "" {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) >= most && !s.kept[name] {
		return ErrFull
	}
	s.kept[name] = true
	return s.tell("FDSTORE=1\nFDNAME="+name, unix.UnixRights(fd))
}

func (s *store) drop(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropLocked(name)
}

func (s *store) dropLocked(name string) error {
	if !s.kept[name] {
		return nil
	}
	delete(s.kept, name)
	return s.tell("FDSTOREREMOVE=1\nFDNAME="+name, nil)
}

func (s *store) tell(text string, rights []byte) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	timeout := unix.NsecToTimeval(int64(wait))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &timeout); err != nil {
		return err
	}
	return unix.Sendmsg(fd, []byte(text), rights, &unix.SockaddrUnix{Name: s.address}, 0)
}

func (s *store) closeGiven(prefix string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, list := range s.given {
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		delete(s.given, name)
		for _, fd := range list {
			RemoveFile(fd)
			unix.Close(fd)
		}
		s.dropLocked(name)
	}
}

// RemoveFile removes the file of a Unix socket.
func RemoveFile(fd int) {
	sa, err := unix.Getsockname(fd)
	if u, ok := sa.(*unix.SockaddrUnix); err == nil && ok && strings.HasPrefix(u.Name, "/") {
		if info, err := os.Lstat(u.Name); err == nil && info.Mode()&os.ModeSocket != 0 {
			os.Remove(u.Name)
		}
	}
}
