package watch

import (
	"fmt"
	"sync/atomic"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// watchFiles says that who watches a directory does not hear of writing to the
// files in it.
const watchFiles = false

// barrier is a file in memory that is watched by the same queue as all
// others: when the notification of a change of its mode comes, those of
// what was done before have come. Writing would not do: newer kernels do not
// notify of writes to files that have no name.
//
// A queue of its own is told of the same changes and asked first, because
// mostly there are none to wait for. Its reader is who calls quiet; the rest is
// done under the lock of notify.
type barrier struct {
	dirs, asked chan struct{} // nil: nothing comes

	fd   int // -1: there is none
	name string

	queue   int            // -1: there is none
	deaf    atomic.Bool    // it is not told of everything
	watched map[string]int // in the queue
	heard   bool           // of changes, and not waited for them
}

// changes are those that the notification library is told of.
const changes = unix.IN_ATTRIB | unix.IN_CREATE | unix.IN_DELETE | unix.IN_DELETE_SELF | unix.IN_MODIFY |
	unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_MOVE_SELF

func newBarrier(fs *fsnotify.Watcher) *barrier {
	b := &barrier{fd: -1, queue: -1, watched: map[string]int{}}
	fd, err := unix.MemfdCreate("watch", unix.MFD_CLOEXEC)
	if err != nil {
		return b
	}
	b.fd, b.name = fd, fmt.Sprintf("/proc/self/fd/%d", fd)
	if err := fs.Add(b.name); err != nil {
		b.close()
		return b
	}
	if b.queue, err = unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK); err != nil {
		b.deaf.Store(true)
	}
	return b
}

// watches reports whether all there is to be told of name is told by takeDirs.
func (b *barrier) watches(name string) bool { return false }

func (b *barrier) takeDirs() []fsnotify.Event { return nil }

// add has the queue told of changes of a file that the others are told of.
func (b *barrier) add(name string) {
	wd, err := unix.InotifyAddWatch(b.queue, name, changes)
	if err != nil {
		b.deaf.Store(true)
		return
	}
	b.watched[name] = wd
}

func (b *barrier) remove(name string) {
	if wd, ok := b.watched[name]; ok {
		delete(b.watched, name)
		unix.InotifyRmWatch(b.queue, uint32(wd)) // an error says that the kernel did it already
	}
}

// quiet reports whether nothing changed since passed was called last.
func (b *barrier) quiet() bool {
	var buf [4096]byte
	for !b.deaf.Load() {
		n, err := unix.Read(b.queue, buf[:])
		if err == unix.EINTR {
			continue
		}
		b.heard = b.heard || n > 0
		if n <= 0 {
			return err == unix.EAGAIN && !b.heard
		}
	}
	return false
}

// passed says that what quiet heard of has been looked at.
func (b *barrier) passed() { b.heard = false }

// raise reports whether a notification will come.
func (b *barrier) raise() bool {
	if b.fd < 0 {
		return false
	}
	return unix.Fchmod(b.fd, 0o600) == nil
}

func (b *barrier) is(ev fsnotify.Event) bool { return b.fd >= 0 && ev.Name == b.name }

func (b *barrier) close() {
	if b.fd >= 0 {
		unix.Close(b.fd)
		b.fd = -1
	}
	if b.queue >= 0 {
		unix.Close(b.queue)
		b.queue = -1
	}
}
