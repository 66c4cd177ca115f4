package watch

import (
	"fmt"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// barrier is a file in memory that is watched by the same queue as all
// others: when the notification of a change of its mode comes, those of
// what was done before have come. Writing would not do: newer kernels do not
// notify of writes to files that have no name.
type barrier struct {
	fd   int // -1: there is none
	name string
}

func newBarrier(fs *fsnotify.Watcher) *barrier {
	fd, err := unix.MemfdCreate("watch", unix.MFD_CLOEXEC)
	if err != nil {
		return &barrier{fd: -1}
	}
	b := &barrier{fd, fmt.Sprintf("/proc/self/fd/%d", fd)}
	if err := fs.Add(b.name); err != nil {
		b.close()
	}
	return b
}

// raise reports whether a notification will come.
func (b *barrier) raise() bool {
	if b.fd < 0 {
		return false
	}
	return unix.Fchmod(b.fd, 0o600) == nil
}

func (b *barrier) is(name string) bool { return b.fd >= 0 && name == b.name }

func (b *barrier) close() {
	if b.fd >= 0 {
		unix.Close(b.fd)
		b.fd = -1
	}
}
