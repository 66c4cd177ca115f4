package joblog

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"onset/platform/posix"
)

// file is a log file and what is to be written to it.
type file struct {
	path  string
	slots []*slot
	tail  ring

	collected queue  // not yet with the writer
	batch     *batch // the writer's while busy
	busy      bool
	paused    bool      // its ptys are not read
	idle      bool      // in Logs.idle
	out       output    // the writer's while busy
	tried     time.Time // when the last batch was sent, or refused

	failed  error // of the last write; nil if it went well
	tries   int   // writes that failed in a row
	dropped int64 // bytes, not told yet
	kept    int   // bytes counted in Logs.kept
}

// flush is a Flush that is not answered.
type flush struct {
	left map[*file]bool // true: tried since the Flush
	done func(error)
}

// file returns the file of a path.
func (l *Logs) file(path string) *file {
	f := l.files[path]
	if f == nil {
		f = &file{path: path, out: output{fd: -1}}
		l.files[path] = f
	}
	return f
}

// use gives a file one more slot.
func (l *Logs) use(f *file, s *slot) {
	f.slots = append(f.slots, s)
	if f.idle {
		f.idle = false
		l.idle = slices.Delete(l.idle, slices.Index(l.idle, f), slices.Index(l.idle, f)+1)
		l.kept -= f.kept
		f.kept = 0
	}
}

func (f *file) remove(s *slot) {
	f.slots = slices.DeleteFunc(f.slots, func(o *slot) bool { return o == s })
}

// full reports whether a file has to be written before more is read for it.
func (l *Logs) full(f *file) bool {
	return f.busy && (f.collected.size >= queueMax || l.held >= l.most)
}

// room returns a chunk with space for a read, and whether it is a new one.
func (l *Logs) room(f *file) (c *chunk, fresh bool) {
	if q := f.collected.chunks; len(q) > 0 && len(q[len(q)-1].space()) >= readSize {
		return q[len(q)-1], false
	}
	return l.arena.take(f.path), true
}

// collect adds n bytes in the space of a chunk to what is to be written, and
// returns them.
func (l *Logs) collect(f *file, c *chunk, fresh bool, n int) (output []byte) {
	output = c.more(n)
	if fresh {
		f.collected.chunks = append(f.collected.chunks, c)
	}
	f.collected.size += n
	l.held += n
	return output
}

// trim drops the oldest bytes that a disk has refused when the file, or all
// files, have too many.
func (l *Logs) trim(f *file) {
	if over := f.collected.size - unwrittenMax; over > 0 && f.droppable() {
		l.drop(f, max(over, dropStep))
	}
	for l.held > l.most {
		var largest *file
		for _, f := range l.files { // which of equals does not matter
			if f.droppable() && (largest == nil || f.collected.size > largest.collected.size) {
				largest = f
			}
		}
		if largest == nil || largest.collected.size == 0 {
			return
		}
		l.drop(largest, (largest.collected.size+1)/2)
	}
}

func (f *file) droppable() bool { return f.failed != nil && !f.busy }

func (l *Logs) drop(f *file, n int) {
	f.dropped += int64(n)
	l.held -= n
	l.arena.drop(&f.collected, n)
}

// submit gives the writer what a file has collected when it is time for it,
// and has the file closed when nobody needs it any more.
func (l *Logs) submit(f *file) {
	switch {
	case f.busy:
	case f.collected.size == 0:
		l.retire(f)
	case f.failed != nil && time.Since(f.tried) < firstPause:
		l.due[f] = f.tried.Add(f.pause())
		if len(f.slots) == 0 {
			l.rest(f)
		}
	case f.failed == nil && f.collected.size < batchMin && l.held < l.most && time.Since(f.tried) < linger:
		l.due[f] = f.tried.Add(linger)
	default:
		l.send(f)
	}
}

// send gives the writer what a file has collected, if it may have more.
func (l *Logs) send(f *file) {
	if f.busy || f.collected.size == 0 {
		return
	}
	f.tried = time.Now()
	l.put(f, &batch{file: f, data: f.collected, notice: f.notice(), last: len(f.slots) == 0})
	f.collected = queue{}
}

func (l *Logs) put(f *file, b *batch) {
	delete(l.due, f)
	f.busy, f.batch = true, b
	l.writer.put(b)
}

func (f *file) notice() string {
	if f.dropped == 0 {
		return ""
	}
	return fmt.Sprintf("\r\ninit: %d bytes of output dropped: %s\r\n", f.dropped, reason(f.failed))
}

// retire closes a file that has no slot and nothing to write.
func (l *Logs) retire(f *file) {
	if len(f.slots) > 0 {
		return
	}
	if f.out.fd >= 0 {
		l.put(f, &batch{file: f, last: true})
		return
	}
	l.rest(f)
}

// rest keeps a file without slots for its tail and what could not be written,
// and forgets the oldest of its kind when they take too much memory.
func (l *Logs) rest(f *file) {
	if !f.idle {
		f.idle = true
		l.idle = append(l.idle, f)
	}
	size := f.tail.size() + f.collected.memory() + 512
	l.kept += size - f.kept
	f.kept = size
	for i := 0; l.kept > keptMax && i < len(l.idle); {
		if old := l.idle[i]; old.busy {
			i++
		} else {
			l.forget(old)
			l.idle = slices.Delete(l.idle, i, i+1)
		}
	}
}

func (l *Logs) forget(f *file) {
	if n := f.collected.size; n > 0 {
		l.drop(f, n)
		l.logf("%s: %d bytes of output dropped: %s", f.path, f.dropped, reason(f.failed))
	}
	l.kept -= f.kept
	f.out.close()
	delete(l.files, f.path)
	delete(l.due, f)
}

// Collect takes notice of what has been written and writes what is due. It is
// called whenever the Poller's Wait returned.
func (l *Logs) Collect() {
	l.turn = 0
	l.finish()
	for f, at := range l.due {
		if time.Until(at) <= 0 {
			l.send(f)
		}
	}
}

// Deadline returns how long until Collect has something to do without being
// woken for it.
func (l *Logs) Deadline() (in time.Duration, ok bool) {
	var first time.Time
	for _, at := range l.due {
		if !ok || at.Before(first) {
			first, ok = at, true
		}
	}
	return max(0, time.Until(first)), ok
}

// pause returns how long a file that fails is left alone.
func (f *file) pause() time.Duration {
	return min(firstPause<<min(f.tries-1, 10), longestPause)
}

func (l *Logs) finish() {
	for _, b := range l.writer.take() {
		l.finished(b.file)
	}
}

// finished takes a batch back from the writer.
func (l *Logs) finished(f *file) {
	b := f.batch
	f.busy, f.batch = false, nil
	l.held -= b.n
	l.taken(b)
	if b.noticed {
		l.logf("%s: %d bytes of output dropped: %s", f.path, f.dropped, reason(f.failed))
		f.dropped = 0
	}
	if b.err != nil {
		l.refused(f, b)
	} else {
		f.failed, f.tries = nil, 0
	}
	if f.paused && !l.full(f) {
		l.resume(f)
	}
	l.answerFlushes(f)
	l.submit(f)
}

// refused keeps what the disk did not take.
func (l *Logs) refused(f *file, b *batch) {
	if f.failed == nil {
		l.logf("Failed to write to log file %s: %s", f.path, reason(b.err)) // UPSTART, Appendix B
	}
	f.failed, f.tried = b.err, time.Now()
	f.tries++
	if b.n > 0 {
		f.tries = 1
	}
	f.collected.chunks = append(b.data.chunks, f.collected.chunks...)
	f.collected.size += b.data.size
	l.trim(f)
}

// Flush tries at once to write everything that a disk has refused. done gets
// the first error, nil when all is written; it may be called before Flush
// returns.
func (l *Logs) Flush(done func(error)) {
	fl := &flush{left: map[*file]bool{}, done: done}
	for _, path := range slices.Sorted(maps.Keys(l.files)) {
		if f := l.files[path]; f.failed != nil && (f.busy || f.collected.size > 0) {
			fl.left[f] = !f.busy
			l.send(f)
		}
	}
	if len(fl.left) == 0 {
		done(nil)
		return
	}
	l.flushes = append(l.flushes, fl)
}

// answerFlushes is called after each write of a file. One that had begun
// before the Flush and failed counts only when it has been tried again.
func (l *Logs) answerFlushes(f *file) {
	l.flushes = slices.DeleteFunc(l.flushes, func(fl *flush) bool {
		tried, in := fl.left[f]
		switch {
		case !in:
			return false
		case f.failed != nil && !tried && f.collected.size > 0:
			fl.left[f] = true
			l.send(f)
			return false
		case f.failed != nil:
			fl.done(fmt.Errorf("%s: %w", f.path, f.failed))
			return true
		}
		delete(fl.left, f)
		if len(fl.left) == 0 {
			fl.done(nil)
		}
		return len(fl.left) == 0
	})
}

// taken frees the chunks of a batch that are in the file.
func (l *Logs) taken(b *batch) {
	b.data.size -= b.n
	for len(b.data.chunks) > 0 && len(b.data.chunks[0].output()) == 0 {
		l.arena.free(b.data.chunks[0])
		b.data.chunks = b.data.chunks[1:]
	}
}

// reason is the text of an error as users know it.
func reason(err error) string {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return posix.Strerror(errno)
	}
	return fmt.Sprint(err)
}
