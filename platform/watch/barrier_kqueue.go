//go:build freebsd

package watch

import (
	"sync"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// watchFiles says that who watches a directory does not hear of writing to the
// files in it.
const watchFiles = true

// barrier has a queue of its own for directories: the notification library
// tells of entries that appear and of files that go, and does not notice when a link
// is removed or switched.
type barrier struct {
	dirs  chan struct{} // something is in the queue
	asked chan struct{} // somebody waits for what was done so far
	quit  chan struct{}
	over  sync.WaitGroup

	queue   int // -1: there is none
	watched map[string]int
	names   map[int]string
}

// dirChanges are those of a directory that matter: also being moved.
const dirChanges = unix.NOTE_WRITE | unix.NOTE_DELETE | unix.NOTE_RENAME | unix.NOTE_ATTRIB

func newBarrier(*fsnotify.Watcher) *barrier {
	b := &barrier{dirs: make(chan struct{}), asked: make(chan struct{}, 1), quit: make(chan struct{}), queue: -1,
		watched: map[string]int{}, names: map[int]string{}}
	queue, err := unix.Kqueue()
	if err != nil {
		return b
	}
	unix.CloseOnExec(queue)
	end := unix.Kevent_t{Filter: unix.EVFILT_USER, Flags: unix.EV_ADD}
	if _, err := unix.Kevent(queue, []unix.Kevent_t{end}, nil, nil); err != nil {
		unix.Close(queue)
		return b
	}
	b.queue = queue
	b.over.Add(1)
	go b.wait()
	return b
}

// wait says when something is in the queue.
func (b *barrier) wait() {
	defer b.over.Done()
	fds := []unix.PollFd{{Fd: int32(b.queue), Events: unix.POLLIN}}
	for {
		unix.Poll(fds, -1)
		select {
		case b.dirs <- struct{}{}:
		case <-b.quit:
			return
		}
	}
}

// watches reports whether all there is to be told of name is told by takeDirs.
func (b *barrier) watches(name string) bool {
	if b.queue < 0 {
		return false
	}
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	change := unix.Kevent_t{Filter: unix.EVFILT_VNODE, Flags: unix.EV_ADD | unix.EV_CLEAR, Fflags: dirChanges}
	unix.SetKevent(&change, fd, unix.EVFILT_VNODE, unix.EV_ADD|unix.EV_CLEAR)
	if _, err := unix.Kevent(b.queue, []unix.Kevent_t{change}, nil, nil); err != nil {
		unix.Close(fd)
		return false
	}
	b.watched[name], b.names[fd] = fd, name
	return true
}

func (b *barrier) remove(name string) {
	if fd, ok := b.watched[name]; ok {
		delete(b.watched, name)
		delete(b.names, fd)
		unix.Close(fd) // which takes it out of the queue
	}
}

// takeDirs returns what happened to directories.
func (b *barrier) takeDirs() (list []fsnotify.Event) {
	if b.queue < 0 {
		return nil
	}
	var events [64]unix.Kevent_t
	for {
		n, err := unix.Kevent(b.queue, nil, events[:], &unix.Timespec{})
		if err == unix.EINTR {
			continue
		}
		for _, e := range events[:max(n, 0)] {
			name, known := b.names[int(e.Ident)]
			op := fsnotify.Write
			switch {
			case !known:
				continue
			case e.Fflags&unix.NOTE_DELETE != 0:
				op = fsnotify.Remove
			case e.Fflags&unix.NOTE_RENAME != 0:
				op = fsnotify.Rename
			}
			list = append(list, fsnotify.Event{Name: name, Op: op})
		}
		if n < len(events) {
			return list
		}
	}
}

func (b *barrier) add(string)             {}
func (b *barrier) quiet() bool            { return false }
func (b *barrier) passed()                {}
func (b *barrier) is(fsnotify.Event) bool { return false }

// raise has the goroutine compare what is known with what there is: files and
// directories are not in one queue.
func (b *barrier) raise() bool {
	select {
	case b.asked <- struct{}{}:
	default: // it is asked already
	}
	return true
}

func (b *barrier) close() {
	close(b.quit)
	if b.queue >= 0 {
		end := unix.Kevent_t{Filter: unix.EVFILT_USER, Fflags: unix.NOTE_TRIGGER}
		unix.Kevent(b.queue, []unix.Kevent_t{end}, nil, nil)
		b.over.Wait()
		for _, fd := range b.watched {
			unix.Close(fd)
		}
		unix.Close(b.queue)
		b.queue = -1
	}
}
