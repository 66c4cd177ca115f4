package joblog

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// batch is one thing for the writer to do.
type batch struct {
	file   *file
	notice string // goes in front of data
	data   queue
	last   bool // close the file then

	noticed bool  // the notice is written
	n       int   // bytes of data that are in the file
	err     error // why that is not all
}

const (
	goroutinesMax = 4                     // disks that do not answer are survived
	patience      = 20 * time.Millisecond // with one, before another goroutine goes on
)

// writer is the goroutines that wait for disks. It has a file's batch and
// output from put until take has returned the batch.
//
// One does all the work while it gets on: more of them would take a core from
// the jobs, and each other's turns.
type writer struct {
	wake  func()
	do    func(*batch)  // may wait for the disk
	note  chan struct{} // something is done; for Close
	below int           // descriptors from here on are closed after use

	mu      sync.Mutex
	more    sync.Cond
	todo    []*batch
	done    []*batch
	running int // goroutines
	resting int // of those, and not woken either
	begun   int // batches
	watched bool
	end     bool
}

func newWriter(wake func(), below int) *writer {
	w := &writer{wake: wake, do: (*batch).do, note: make(chan struct{}, 1), below: below}
	w.more.L = &w.mu
	return w
}

func (w *writer) put(b *batch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.todo = append(w.todo, b)
	if w.running == w.resting {
		w.help()
	} else if !w.watched {
		w.watch()
	}
}

// help has one more goroutine work, if there may be one.
func (w *writer) help() {
	if w.resting > 0 {
		w.resting--
		w.more.Signal()
	} else if w.running < goroutinesMax {
		w.running++
		go w.run()
	}
}

// watch looks after a while whether those that work get on.
func (w *writer) watch() {
	begun := w.begun
	w.watched = true
	time.AfterFunc(patience, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.watched = len(w.todo) > 0 && !w.end; !w.watched {
			return
		}
		if w.begun == begun {
			w.help()
		}
		w.watch()
	})
}

// take returns the batches that are done, in that order.
func (w *writer) take() []*batch {
	w.mu.Lock()
	defer w.mu.Unlock()
	done := w.done
	w.done = nil
	return done
}

// close ends each goroutine when it has done what it is doing.
func (w *writer) close() {
	w.mu.Lock()
	w.end = true
	w.mu.Unlock()
	w.more.Broadcast()
}

func (w *writer) run() {
	for b := w.next(); b != nil; b = w.next() {
		w.do(b)
		if b.file.out.fd >= w.below {
			b.file.out.close()
		}
		w.mu.Lock()
		w.done = append(w.done, b)
		first := len(w.done) == 1
		w.mu.Unlock()
		select {
		case w.note <- struct{}{}:
		default:
		}
		if first {
			w.wake()
		}
	}
}

// next waits for a batch; nil is the end.
func (w *writer) next() *batch {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.todo) == 0 && !w.end {
		w.resting++
		w.more.Wait()
	}
	if w.end {
		return nil
	}
	b := w.todo[0]
	w.todo = w.todo[1:]
	w.begun++
	return b
}

func (b *batch) do() {
	if len(b.data.chunks) > 0 {
		b.writeAll()
	}
	if b.last {
		b.file.out.close()
	}
}

func (b *batch) writeAll() {
	out := &b.file.out
	if b.err = out.check(b.file.path); b.err != nil {
		return
	}
	if b.notice != "" {
		if _, b.err = out.write([]byte(b.notice)); b.err != nil {
			return
		}
		b.noticed = true
	}
	for _, c := range b.data.chunks {
		if b.err = b.write(c); b.err != nil {
			return
		}
	}
}

// write writes what the file does not have of a chunk.
func (b *batch) write(c *chunk) error {
	out := &b.file.out
	if size, ok := c.begun(); ok {
		n := has(b.file.path, size, c.output())
		c.took(n)
		b.n += n
	}
	c.begin(out.size)
	n, err := out.write(c.output())
	c.took(n)
	b.n += n
	return err
}

// has returns how much of p is in the file at path, at an offset.
func has(path string, at int64, p []byte) (n int) {
	fd, err := open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	buf := make([]byte, len(p))
	got := 0
	for got < len(p) {
		m, err := unix.Pread(fd, buf[got:], at+int64(got))
		if m > 0 {
			got += m
		} else if err != unix.EINTR {
			break
		}
	}
	for n < got && buf[n] == p[n] {
		n++
	}
	return n
}

// output is an open log file; fd is -1 when it is closed.
type output struct {
	fd       int
	dev, ino uint64
	size     int64
}

// check opens the file unless the one that is open is the one at path.
func (o *output) check(path string) error {
	if o.fd < 0 {
		return o.open(path)
	}
	var st unix.Stat_t
	err := ignoringEINTR(func() error { return unix.Lstat(path, &st) })
	if err == nil && o.is(&st) || err != nil && err != unix.ENOENT && err != unix.ENOTDIR {
		if err == nil {
			o.size = st.Size
		}
		return nil
	}
	o.close()
	return o.open(path)
}

func (o *output) is(st *unix.Stat_t) bool {
	return o.dev == uint64(st.Dev) && o.ino == uint64(st.Ino)
}

// open opens the file, or makes it with mode 0640 whatever the umask.
func (o *output) open(path string) error {
	const flags = unix.O_APPEND | unix.O_WRONLY | unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY
	fd, err := open(path, flags)
	if err == unix.ENOENT {
		if fd, err = open(path, flags|unix.O_CREAT|unix.O_EXCL); err == nil {
			err = unix.Fchmod(fd, 0o640)
		} else if err == unix.EEXIST { // somebody was faster
			fd, err = open(path, flags)
		}
	}
	var st unix.Stat_t
	if err == nil {
		err = unix.Fstat(fd, &st)
	}
	if err != nil {
		if fd >= 0 {
			unix.Close(fd)
		}
		return err
	}
	o.fd, o.dev, o.ino, o.size = fd, uint64(st.Dev), uint64(st.Ino), st.Size
	return nil
}

func open(path string, flags int) (fd int, err error) {
	err = ignoringEINTR(func() error {
		fd, err = unix.Open(path, flags, 0o640)
		return err
	})
	return fd, err
}

// write writes all of p or returns why it could not; the file is closed then,
// unless it is only full.
func (o *output) write(p []byte) (n int, err error) {
	for n < len(p) {
		m, err := unix.Write(o.fd, p[n:])
		switch {
		case err == unix.EINTR:
		case err != nil:
			if err != unix.ENOSPC && err != unix.EAGAIN {
				o.close()
			}
			return n, err
		default:
			n += m
			o.size += int64(m)
		}
	}
	return n, nil
}

func (o *output) close() {
	if o.fd >= 0 {
		unix.Close(o.fd)
		o.fd = -1
	}
}

func ignoringEINTR(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}
