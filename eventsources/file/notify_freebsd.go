package file

import (
	"sync"

	"golang.org/x/sys/unix"
)

// notifier tells of directories and files, each of which takes a descriptor. A
// directory tells that it is another one than before, and has to be compared.
//
// fsnotify would open all that is in a directory, in /dev too, where a device
// may be for one program at a time; and it does not tell when a file is closed
// that was written.
type notifier struct {
	notices  chan notice
	overflow chan struct{} // never: nothing is lost here
	mounts   chan struct{} // something was mounted or unmounted

	queue int
	quit  chan struct{}
	over  sync.WaitGroup

	mu    sync.Mutex
	paths map[int]string // by descriptor
	ids   map[string]int
}

func newNotifier() (*notifier, error) {
	queue, err := unix.Kqueue()
	if err != nil {
		return nil, err
	}
	unix.CloseOnExec(queue)
	more := []unix.Kevent_t{{Filter: unix.EVFILT_USER, Flags: unix.EV_ADD}, {Filter: unix.EVFILT_FS, Flags: unix.EV_ADD | unix.EV_CLEAR}}
	if _, err := unix.Kevent(queue, more, nil, nil); err != nil {
		unix.Close(queue)
		return nil, err
	}
	n := &notifier{notices: make(chan notice), overflow: make(chan struct{}), mounts: make(chan struct{}, 1), queue: queue, quit: make(chan struct{}),
		paths: map[int]string{}, ids: map[string]int{}}
	n.over.Go(n.read)
	return n, nil
}

func (n *notifier) close() {
	close(n.quit)
	end := unix.Kevent_t{Filter: unix.EVFILT_USER, Fflags: unix.NOTE_TRIGGER}
	unix.Kevent(n.queue, []unix.Kevent_t{end}, nil, nil)
	n.over.Wait()
	for fd := range n.paths {
		unix.Close(fd)
	}
	unix.Close(n.queue)
}

// read hands on what the kernel tells.
func (n *notifier) read() {
	var events [64]unix.Kevent_t
	for {
		count, err := unix.Kevent(n.queue, nil, events[:], nil)
		if err != nil && err != unix.EINTR {
			return
		}
		for _, e := range events[:max(count, 0)] {
			switch e.Filter {
			case unix.EVFILT_USER:
				return
			case unix.EVFILT_FS:
				select {
				case n.mounts <- struct{}{}:
				default:
				}
				continue
			}
			n.mu.Lock()
			path, known := n.paths[int(e.Ident)]
			n.mu.Unlock()
			if !known {
				continue
			}
			what := changed
			switch {
			case e.Fflags&unix.NOTE_CLOSE_WRITE != 0:
				what = closed
			case e.Fflags&(unix.NOTE_DELETE|unix.NOTE_RENAME|unix.NOTE_REVOKE) != 0:
				what = replaced
			}
			select {
			case n.notices <- notice{what, path}:
			case <-n.quit:
				return
			}
		}
	}
}

// add has a directory told of.
func (n *notifier) add(dir string) error {
	return n.watch(dir, dir+"/", unix.O_DIRECTORY, unix.NOTE_WRITE|unix.NOTE_DELETE|unix.NOTE_RENAME|unix.NOTE_REVOKE)
}

// watch has a path told of, under a key that directories and files do not share.
func (n *notifier) watch(path, key string, flags int, notes uint32) error {
	fd, err := unix.Open(path, flags|unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	change := unix.Kevent_t{Fflags: notes}
	unix.SetKevent(&change, fd, unix.EVFILT_VNODE, unix.EV_ADD|unix.EV_CLEAR)
	n.paths[fd] = path
	if _, err := unix.Kevent(n.queue, []unix.Kevent_t{change}, nil, nil); err != nil {
		delete(n.paths, fd)
		unix.Close(fd)
		return err
	}
	if old, ok := n.ids[key]; ok {
		delete(n.paths, old)
		unix.Close(old)
	}
	n.ids[key] = fd
	return nil
}

func (n *notifier) remove(dir string) { n.unwatch(dir + "/") }

func (n *notifier) unwatch(key string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if fd, ok := n.ids[key]; ok {
		delete(n.ids, key)
		delete(n.paths, fd)
		unix.Close(fd) // which takes it out of the queue
	}
}

// addFile has writing to a file told of. Others than regular files are not
// opened.
func (n *notifier) addFile(path string) error {
	var st unix.Stat_t
	if lstat(path, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil
	}
	return n.watch(path, path, unix.O_NOFOLLOW, unix.NOTE_CLOSE_WRITE)
}

func (n *notifier) removeFile(path string) { n.unwatch(path) }

// fileID tells files apart, also where the number of an inode is used again.
type fileID struct{ device, inode, born uint64 }

func idOf(st *unix.Stat_t) fileID {
	return fileID{uint64(st.Dev), st.Ino, uint64(st.Btim.Nano())}
}
