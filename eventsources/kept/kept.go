// Package kept has descriptors that outlive this process: init keeps them and
// gives them to the next one that it starts for the job (FDSTORE of
// sd_pid_notify_with_fds(3), sd_listen_fds(3)). Without such an init nothing is
// kept, which is no error.
package kept

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	first = 3               // SD_LISTEN_FDS_START
	wait  = 5 * time.Second // for room in the socket of notifications
)

// environment is that of the start: others take these variables out of it.
var environment = struct{ pid, count, names, address string }{
	os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES"), os.Getenv("NOTIFY_SOCKET")}

var (
	mu    sync.Mutex
	taken = map[int]bool{}
)

// Take returns a descriptor that was kept by that name, once.
func Take(name string) (fd int, ok bool) {
	count, _ := strconv.Atoi(environment.count)
	if environment.pid != strconv.Itoa(os.Getpid()) {
		return -1, false
	}
	mu.Lock()
	defer mu.Unlock()
	for i, n := range strings.Split(environment.names, ":") {
		if n == name && i < count && !taken[first+i] {
			taken[first+i] = true
			unix.CloseOnExec(first + i)
			return first + i, true
		}
	}
	return -1, false
}

// Keep has init keep a copy of a descriptor.
func Keep(name string, fd int) error { return tell("FDSTORE=1\nFDNAME="+name, unix.UnixRights(fd)) }

// Drop has init keep what has that name no more.
func Drop(name string) error { return tell("FDSTOREREMOVE=1\nFDNAME="+name, nil) }

func tell(text string, rights []byte) error {
	if environment.address == "" {
		return nil
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	timeout := unix.NsecToTimeval(int64(wait))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &timeout); err != nil {
		return err
	}
	return unix.Sendmsg(fd, []byte(text), rights, &unix.SockaddrUnix{Name: environment.address}, 0)
}
