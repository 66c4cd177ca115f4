package file

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"unsafe"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// notifier tells of directories. fsnotify tells what comes and goes; it does
// not tell when a file is closed that was written, which a queue of our own
// does.
type notifier struct {
	notices  chan notice
	overflow chan struct{} // some were lost
	mounts   chan struct{} // something was mounted or unmounted

	fs     *fsnotify.Watcher
	closes *os.File
	queue  int
	stop   int // a descriptor that ends the waiting for mounts when it can be read
	quit   chan struct{}
	over   sync.WaitGroup

	mu    sync.Mutex
	paths map[int]string // by watch of the queue
	ids   map[string]int
}

func newNotifier() (*notifier, error) {
	fs, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	queue, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		fs.Close()
		return nil, err
	}
	n := &notifier{notices: make(chan notice), overflow: make(chan struct{}, 1), mounts: make(chan struct{}, 1), fs: fs, queue: queue,
		closes: os.NewFile(uintptr(queue), "inotify"), quit: make(chan struct{}), paths: map[int]string{}, ids: map[string]int{}}
	if err := n.watchMounts(); err != nil {
		n.close()
		return nil, err
	}
	n.over.Go(n.forward)
	n.over.Go(n.readErrors)
	n.over.Go(n.readCloses)
	return n, nil
}

func (n *notifier) close() {
	close(n.quit)
	unix.Write(n.stop, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	n.fs.Close()
	n.closes.Close()
	n.over.Wait()
	unix.Close(n.stop)
}

func (n *notifier) put(what what, path string) {
	select {
	case n.notices <- notice{what, path}:
	case <-n.quit:
	}
}

// forward hands on what fsnotify tells.
func (n *notifier) forward() {
	for ev := range n.fs.Events {
		path := filepath.Clean(ev.Name)
		switch {
		case ev.Has(fsnotify.Remove), ev.Has(fsnotify.Rename):
			n.put(gone, path)
		case ev.Has(fsnotify.Create):
			n.put(made, path)
		}
	}
}

// readErrors sees that fsnotify, which may hold its lock while it reports an
// error, never waits for who adds a directory.
func (n *notifier) readErrors() {
	for err := range n.fs.Errors {
		if err != nil {
			say(n.overflow)
		}
	}
}

func say(something chan struct{}) {
	select {
	case something <- struct{}{}:
	default:
	}
}

// watchMounts has the kernel tell of mounts, which cover directories that are
// watched and tell these nothing.
func (n *notifier) watchMounts() (err error) {
	if n.stop, err = unix.Eventfd(0, unix.EFD_CLOEXEC); err != nil {
		return err
	}
	table, err := unix.Open("/proc/self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0) // os.Open would poll it, too
	if err != nil {
		return nil // there is no /proc
	}
	n.over.Go(func() {
		defer unix.Close(table)
		fds := []unix.PollFd{{Fd: int32(table), Events: unix.POLLPRI}, {Fd: int32(n.stop), Events: unix.POLLIN}}
		for {
			_, err := unix.Poll(fds, -1)
			switch {
			case err != nil && err != unix.EINTR, fds[1].Revents != 0:
				return
			case err == nil && fds[0].Revents != 0:
				say(n.mounts)
			}
		}
	})
	return nil
}

// readCloses hands on what the queue tells.
func (n *notifier) readCloses() {
	buf := make([]byte, 16<<10)
	for {
		size, err := n.closes.Read(buf)
		if err != nil {
			if !errors.Is(err, os.ErrClosed) {
				say(n.overflow)
			}
			return
		}
		for rest := buf[:size]; len(rest) >= unix.SizeofInotifyEvent; {
			ev := *(*unix.InotifyEvent)(unsafe.Pointer(&rest[0]))
			end := min(unix.SizeofInotifyEvent+int(ev.Len), len(rest))
			name, _, _ := bytes.Cut(rest[unix.SizeofInotifyEvent:end], []byte{0})
			rest = rest[end:]
			n.mu.Lock()
			dir, ok := n.paths[int(ev.Wd)]
			n.mu.Unlock()
			switch {
			case ev.Mask&unix.IN_Q_OVERFLOW != 0:
				say(n.overflow)
			case ok && ev.Mask&unix.IN_CLOSE_WRITE != 0 && len(name) > 0:
				n.put(written, filepath.Join(dir, string(name)))
			}
		}
	}
}

// add has a directory told of: first of closing, so that nothing that is told to
// be made is closed unheard.
func (n *notifier) add(dir string) error {
	id, err := unix.InotifyAddWatch(n.queue, dir, unix.IN_CLOSE_WRITE|unix.IN_ONLYDIR)
	if err != nil {
		return plain(err)
	}
	n.mu.Lock()
	n.paths[id], n.ids[dir] = dir, id
	n.mu.Unlock()
	if err := n.fs.Add(dir); err != nil {
		n.remove(dir)
		return plain(err)
	}
	return nil
}

// plain says what the kernel means by its errors.
func plain(err error) error {
	if errors.Is(err, unix.ENOSPC) {
		return fmt.Errorf("the limit fs.inotify.max_user_watches is reached")
	}
	return err
}

func (n *notifier) remove(dir string) {
	n.fs.Remove(dir) // an error says that the kernel did it already
	n.mu.Lock()
	defer n.mu.Unlock()
	if id, ok := n.ids[dir]; ok {
		delete(n.ids, dir)
		delete(n.paths, id)
		unix.InotifyRmWatch(n.queue, uint32(id)) // likewise
	}
}

// addFile: who watches a directory hears of the files in it.
func (n *notifier) addFile(string) error { return nil }

func (n *notifier) removeFile(string) {}

// fileID tells files apart, as long as none is removed: the number of an inode
// is used again.
type fileID struct{ device, inode uint64 }

func idOf(st *unix.Stat_t) fileID { return fileID{uint64(st.Dev), st.Ino} }
