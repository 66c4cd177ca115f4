package watch

import (
	"fmt"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// barrier is a file in memory that is watched by the same queue as all
// others: when the notification of a write to it comes, those of what was
// done before have come.
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
	_, err := unix.Pwrite(b.fd, []byte{0}, 0)
	return err == nil
}

func (b *barrier) is(name string) bool { return b.fd >= 0 && name == b.name }

func (b *barrier) close() {
	if b.fd >= 0 {
		unix.Close(b.fd)
		b.fd = -1
	}
}
