// Package suspend puts the machine to sleep, and tells how long it slept. It
// knows nothing of init and keeps nothing; clients and event sources use it.
package suspend

import (
	"errors"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Method is a way to sleep (EXTENSIONS §9).
type Method string

// The methods: in memory, and on disk.
const (
	Suspend   Method = "suspend"
	Hibernate Method = "hibernate"
)

// Timeout is how long a suspend waits for jobs if nobody says otherwise.
const Timeout = 10 * time.Second

// Slept is the variable of event resumed.
func Slept(d time.Duration) string {
	return "SLEPT=" + strconv.Itoa(int(max(0, d).Round(time.Second)/time.Second))
}

// ErrBusy says that somebody else has the lock.
var ErrBusy = errors.New("a suspend is under way already")

// Lock keeps all others that lock from suspending the machine, until the file
// is closed.
func Lock() (*os.File, error) {
	file, err := openLock()
	if err != nil {
		return nil, err
	}
	if err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
		return file, nil
	}
	file.Close()
	if err == unix.EWOULDBLOCK {
		err = ErrBusy
	}
	return nil, err
}
