// Package joblog writes what jobs print to log files (UPSTART §5).
//
// Each process slot has a pty. Its master is read when the Poller says so; a
// slot costs a descriptor and no goroutine. All slots with the same path
// share one file, which gets the bytes in the order in which they were read,
// raw: the pty turns LF into CR LF. A slot lasts until the last process that
// holds its terminal is gone, not only until the process of the job is.
//
// A few goroutines do everything that may wait for a disk, the second and
// further ones only while the first does wait. Each file has at most one batch
// with them, and collects the next meanwhile; output after a rest is written
// at once, then small batches are 2 ms apart. When that reaches queueMax the
// ptys of the file are not read until the batch is written: a slow disk slows
// the job down that prints so much, loses nothing, and delays nobody else.
// When the disk refuses (full, read-only, no directory) the job is not slowed
// down: up to unwrittenMax bytes wait in memory and the oldest are dropped; a
// line in the file and one in the log of init tell how many. The write is
// tried again with further output, on Flush, and on Collect after a pause that
// doubles (DECISIONS 25). All files together hold heldMax bytes: beyond that
// the file with most that was refused loses its older half, and ptys whose
// file is being written are not read. Tails are counted by file only.
//
// A turn of the loop reads turnMax bytes, and one read of each further pty
// that is ready, so that jobs that print without end delay nobody.
//
// Before each batch the writer compares the open file with what the path
// names, one system call, so a log that was renamed or removed is opened
// anew with the next output.
//
// FreeBSD drops what nobody has read a second after the last process closed a
// terminal. So Logs has each open itself until its process is gone and all is read;
// only what descendants print last, while a disk or a manager is away for longer, is lost.
//
// A slot needs one descriptor, that terminal apart, and its file another. The Go runtime raises the
// soft limit of descriptors to the hard one at start, and gives processes it
// starts the original back, so 1,024 is no limit for the manager unless it is
// the hard one. Then ptys get the first three quarters, after which Open fails
// as if there were none left; files in the last eighth are closed after each
// batch, so that all are written and others have some.
//
// A manager that is killed loses nothing (EXTENSIONS §12) if somebody keeps
// the masters and the memory given to New: ptys are read right into that (see
// arena), and the next New goes on writing what is there. There is room for
// 1,024 files that have output waiting, and about 28 MiB; what is beyond that
// is in ordinary memory, as all is without such memory, and does die with the
// manager. So does the count of what a disk refused and was dropped. A re-exec
// passes on the ptys (Masters, Adopt), the memory, and what is in ordinary
// memory (Unwritten, Restore).
//
// Concurrency: everything is called on the manager's loop goroutine.
package joblog

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"onset/platform"
	"onset/platform/posix"
)

const (
	readMax      = 16 << 10             // bytes read from one pty in a row
	turnMax      = 256 << 10            // bytes read between two calls of Collect
	readSize     = 4 << 10              // what a pty returns at most
	readLeast    = 4000                 // a pty gives up to 4095 bytes at once; after less it is empty
	queueMax     = 256 << 10            // bytes a file collects while a batch is written
	heldMax      = 32 << 20             // bytes of all files that are to be written
	unwrittenMax = 1 << 20              // bytes a file keeps that the disk refuses
	dropStep     = 64 << 10             // bytes dropped at least, so that it is not said often
	tailMax      = 64 << 10             // bytes of output kept in memory (EXTENSIONS §13)
	keptMax      = 16 << 20             // bytes kept of files that no slot uses
	batchMin     = 64 << 10             // bytes that are written without lingering
	linger       = 2 * time.Millisecond // between smaller batches of a file
	firstPause   = 100 * time.Millisecond
	longestPause = 10 * time.Second
	closeLimit   = time.Second
)

// Opener opens a pty; both descriptors are close-on-exec, and the master does
// not block.
type Opener func() (master, slave int, err error)

// Logs is the output of all jobs.
type Logs struct {
	// Opened and Closed are told of each pty that is held from now on and no
	// longer, for who keeps a copy beyond this process; they may be nil.
	Opened func(token uint64, path string, master int)
	Closed func(token uint64, path string)

	poller platform.Poller
	open   Opener
	logf   func(format string, args ...any)

	writer  *writer
	slots   map[uint64]*slot
	files   map[string]*file
	due     map[*file]time.Time // when to submit what a file has collected
	idle    []*file             // that no slot uses, oldest first
	kept    int                 // bytes of those
	flushes []*flush
	arena   arena

	held, most int // bytes to be written, and their limit
	turn       int // bytes read since Collect
	ptyBelow   int // descriptors that may be ptys
}

// slot is the pty of a process.
type slot struct {
	token  uint64
	file   *file
	master int
	slave  int  // -1 when closed
	ended  bool // its process is gone
	polled bool // the poller knows master
}

// New returns a set of logs. memory, of ArenaSize bytes and shared, is where
// output is until it is in a file: zero, or with what a process before left
// there, which goes on being written. It may be nil. logf gets warnings.
func New(p platform.Poller, open Opener, memory []byte, logf func(format string, args ...any)) *Logs {
	l := &Logs{poller: p, open: open, logf: logf,
		slots: map[uint64]*slot{}, files: map[string]*file{}, due: map[*file]time.Time{}, most: heldMax}
	limit := posix.Descriptors()
	l.ptyBelow = limit / 4 * 3
	l.writer = newWriter(p.Wake, limit/8*7)
	l.recover(memory)
	return l
}

// recover takes over what is in an arena.
func (l *Logs) recover(memory []byte) {
	left, known := l.arena.attach(memory)
	if !known {
		l.logf("The output that an earlier init had not written is lost: it is of an unknown kind")
	}
	for _, c := range left {
		f, n := l.file(c.file()), len(c.output())
		f.collected.chunks = append(f.collected.chunks, c)
		f.collected.size += n
		l.held += n
	}
	for _, f := range l.files { // order-free: each file has its own batch
		l.submit(f)
	}
}

// Open makes a pty whose output goes to the file at path and returns its
// slave, which belongs to l. The file is opened with the first output.
func (l *Logs) Open(token uint64, path string) (slave int, err error) {
	master, slave, err := l.open()
	if err != nil {
		return -1, fmt.Errorf("cannot open a pty: %w", err)
	}
	if max(master, slave) >= l.ptyBelow {
		unix.Close(master)
		unix.Close(slave)
		return -1, fmt.Errorf("cannot open a pty: %w", unix.EMFILE)
	}
	if err := l.add(&slot{token: token, master: master, slave: slave}, path); err != nil {
		unix.Close(slave)
		return -1, err
	}
	return slave, nil
}

// Adopt takes over a master that an earlier manager opened for token. It
// closes master if it fails.
func (l *Logs) Adopt(token uint64, path string, master int) error {
	return l.add(&slot{token: token, master: master, slave: -1}, path)
}

// Masters calls yield with every pty that is still held, in no order.
func (l *Logs) Masters(yield func(token uint64, path string, master int)) {
	for _, s := range l.slots {
		yield(s.token, s.file.path, s.master)
	}
}

func (l *Logs) add(s *slot, path string) error {
	s.file = l.file(path)
	if err := l.poll(s); err != nil {
		unix.Close(s.master)
		return fmt.Errorf("cannot read the pty of %q: %w", path, err)
	}
	l.slots[s.token] = s
	l.use(s.file, s)
	if l.Opened != nil {
		l.Opened(s.token, path, s.master)
	}
	return nil
}

func (l *Logs) poll(s *slot) error {
	if s.file.paused {
		return nil
	}
	err := l.poller.Add(s.master, platform.Readable, func(platform.Ready) {
		if s.polled {
			l.read(s)
			l.submit(s.file)
			s.settle()
		}
	})
	s.polled = err == nil
	return err
}

func (l *Logs) unpoll(s *slot) {
	if s.polled {
		l.poller.Remove(s.master)
		s.polled = false
	}
}

// Spawned says that the process of a slot has the slave. Where the kernel
// drops what is unread when the last one closes that, ours stays open until the
// process is gone and all is read.
func (l *Logs) Spawned(token uint64) {
	if s := l.slots[token]; s != nil && !dropsUnread {
		s.closeSlave()
	}
}

func (s *slot) closeSlave() {
	if s.slave >= 0 {
		unix.Close(s.slave)
		s.slave = -1
	}
}

// Failed says that there is no process for a slot after all.
func (l *Logs) Failed(token uint64) {
	if s := l.slots[token]; s != nil {
		s.closeSlave() // nobody holds it now, so it hangs up
		l.read(s)
		l.submit(s.file)
	}
}

// Release says that the process of a slot is gone. What it printed is taken
// now; descendants that hold the pty are logged on.
func (l *Logs) Release(token uint64) {
	s := l.slots[token]
	if s == nil {
		return
	}
	if s.ended = true; s.polled {
		l.read(s)
		l.submit(s.file)
	}
	s.settle()
}

// settle closes the slave when it is of no use any more.
func (s *slot) settle() {
	if s.ended && s.slave >= 0 {
		if unread, err := unix.IoctlGetInt(s.slave, unix.TIOCOUTQ); err != nil || unread == 0 {
			s.closeSlave()
		}
	}
}

// read takes what a pty has, without waiting, and returns how much that was.
func (l *Logs) read(s *slot) (got int) {
	f := s.file
	for l.slots[s.token] == s && (got == 0 || got < readMax && l.turn < turnMax) {
		if l.full(f) {
			l.pause(f)
			return got
		}
		c, fresh := l.room(f)
		n, err := unix.Read(s.master, c.space()[:readSize])
		if n <= 0 && fresh {
			l.arena.free(c)
		}
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return got
		case err != nil || n == 0: // EIO on Linux, 0 on FreeBSD: nobody holds the slave
			l.hangUp(s)
			return got
		}
		l.turn += n
		f.tail.write(l.collect(f, c, fresh, n))
		l.trim(f)
		if got += n; n < readLeast {
			return got
		}
	}
	return got
}

// hangUp ends a slot, once.
func (l *Logs) hangUp(s *slot) {
	if l.slots[s.token] != s {
		return
	}
	l.unpoll(s)
	s.closeSlave()
	unix.Close(s.master)
	delete(l.slots, s.token)
	if l.Closed != nil {
		l.Closed(s.token, s.file.path)
	}
	s.file.remove(s)
}

// pause stops reading the ptys of a file. They leave the poller: one that
// hangs up meanwhile would be ready all the time.
func (l *Logs) pause(f *file) {
	f.paused = true
	for _, s := range f.slots {
		l.unpoll(s)
	}
}

func (l *Logs) resume(f *file) {
	f.paused = false
	for _, s := range append([]*slot(nil), f.slots...) {
		if err := l.poll(s); err != nil {
			l.logf("%s: Output is not logged any more: %s", f.path, err)
			l.hangUp(s)
		}
	}
}

// Tail returns the last output that went to path, at most 64 KiB; nil if
// there was none or it was too long ago.
func (l *Logs) Tail(path string) []byte {
	if f := l.files[path]; f != nil {
		return f.tail.bytes()
	}
	return nil
}

// Close writes what can be written within a second and ends all slots.
func (l *Logs) Close() {
	for _, s := range l.slots {
		s.closeSlave()
		for tries := 0; tries < 64 && l.read(s) > 0; tries++ {
		}
	}
	l.writeOut(closeLimit)
	l.writer.close()
	for _, s := range l.slots {
		l.hangUp(s)
	}
	for _, f := range l.files {
		if !f.busy {
			f.out.close()
		}
		if f.collected.size > 0 || f.busy {
			l.logf("%s: Output was not written to the end", f.path)
		}
	}
}

// Unwritten tries for a second to write everything, then calls yield with
// what is neither known to be in a file nor in the memory given to New, in
// order of paths.
func (l *Logs) Unwritten(yield func(path string, output []byte)) {
	l.writeOut(closeLimit)
	for _, path := range slices.Sorted(maps.Keys(l.files)) {
		f := l.files[path]
		output := []byte(f.notice())
		if f.busy {
			output = append([]byte(f.batch.notice), f.batch.data.ordinary()...)
		}
		if output = append(output, f.collected.ordinary()...); len(output) > 0 {
			yield(path, output)
		}
	}
}

// Restore adds what Unwritten yielded to an earlier image; it comes after what
// that had in the memory given to New, and before anything that Adopt brings.
func (l *Logs) Restore(path string, output []byte) {
	f := l.file(path)
	for len(output) > 0 {
		c, fresh := l.room(f)
		n := copy(c.space(), output)
		l.collect(f, c, fresh, n)
		output = output[n:]
	}
	l.trim(f)
	l.submit(f)
}

// writeOut works with the writer until everything is written or refused.
func (l *Logs) writeOut(limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for first := true; ; first = false {
		for _, f := range l.files {
			if first || f.failed == nil {
				l.send(f)
			}
		}
		if !l.writing() {
			return
		}
		select {
		case <-l.writer.note:
			l.finish()
		case <-timer.C:
			return
		}
	}
}

func (l *Logs) writing() bool {
	for _, f := range l.files {
		if f.busy {
			return true
		}
	}
	return false
}
