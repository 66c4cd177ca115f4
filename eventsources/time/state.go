package timers

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// entry is what is kept of a timer.
type entry struct {
	ran  int           // how often
	ref  time.Time     // up to which all of a wall timer's times are done with
	last time.Time     // for which it ran last
	due  time.Duration // of timers that go by intervals; 0: not yet
	gone bool          // no job has it now
	old  bool          // read at another boot than written; not kept
}

// header is the first line of a file of states, and the version of the format.
const header = "onset-timers 1"

// encode writes states as text: a line an entry, and their number at the end.
// Times are in nanoseconds; due is there by the wall clock too, for the next
// boot.
func encode(entries map[string]*entry, boot string, now moment) []byte {
	b := fmt.Appendf(nil, "%s %q %d\n", header, boot, now.run)
	for key, e := range entries {
		var dueWall time.Time
		if e.due != 0 {
			dueWall = now.wallAt(e.due)
		}
		for _, n := range []int64{int64(e.ran), nanoseconds(e.ref), nanoseconds(e.last), int64(e.due), nanoseconds(dueWall)} {
			b = append(strconv.AppendInt(b, n, 10), ' ')
		}
		b = append(strconv.AppendBool(b, e.gone), ' ')
		b = append(strconv.AppendQuote(b, key), '\n')
	}
	return fmt.Appendf(b, "end %d\n", len(entries))
}

func nanoseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func timeOf(nanoseconds int64) time.Time {
	if nanoseconds == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanoseconds)
}

// saved is a file of states as it was read.
type saved struct {
	boot    string
	run     time.Duration // when it was written
	entries map[string]*entry
	dueWall map[string]time.Time
}

var errGarbage = errors.New("it is not what was written there")

func decode(text []byte) (*saved, error) {
	lines := strings.Split(string(text), "\n")
	if len(lines) < 3 || lines[len(lines)-1] != "" || lines[len(lines)-2] != fmt.Sprintf("end %d", len(lines)-3) {
		return nil, errGarbage
	}
	s := &saved{entries: map[string]*entry{}, dueWall: map[string]time.Time{}}
	if n, err := fmt.Sscanf(lines[0], header+" %q %d", &s.boot, &s.run); n != 2 || err != nil {
		return nil, errGarbage
	}
	for _, line := range lines[1 : len(lines)-2] {
		e, fields := &entry{}, strings.SplitN(line, " ", 7)
		if len(fields) != 7 {
			return nil, errGarbage
		}
		var numbers [5]int64
		for i := range numbers {
			n, err := strconv.ParseInt(fields[i], 10, 64)
			if err != nil || n < 0 && i == 0 {
				return nil, errGarbage
			}
			numbers[i] = n
		}
		key, err := strconv.Unquote(fields[6])
		if err != nil {
			return nil, errGarbage
		}
		e.ran, e.ref, e.last, e.due = int(numbers[0]), timeOf(numbers[1]), timeOf(numbers[2]), time.Duration(numbers[3])
		e.gone = fields[5] == "true"
		s.entries[key], s.dueWall[key] = e, timeOf(numbers[4])
	}
	return s, nil
}

// condition is what a store can do.
type condition uint8

const (
	unknown condition = iota
	ready
	foreign // another process has it
	failing // the folder cannot be used, or written to
)

// store is a file of states, which one process has at a time.
type store struct {
	path    string
	durable bool // survives the machine
	lock    *os.File
	entries map[string]*entry
	is      condition
	changed bool // entries are not in the file
}

// open tries to get hold of the file, and returns what is in it; nil if that
// is the same as before.
func (s *store) open(logf func(string, ...any)) (found *saved) {
	if s.lock != nil && s.held() {
		return nil
	}
	s.close()
	lock, err := s.acquire()
	if errors.Is(err, unix.EWOULDBLOCK) {
		if s.become(foreign) {
			logf("another process has the timers in %s; those that are kept there wait for its end", s.path)
		}
		return nil
	}
	if err != nil {
		s.failed(err, logf)
		return nil
	}
	s.lock = lock
	s.become(ready)
	text, err := os.ReadFile(s.path)
	if err == nil {
		found, err = decode(text)
	}
	switch {
	case errors.Is(err, errGarbage):
		logf("%s: %v; it is now %s.bad, and timers begin anew", s.path, err, s.path)
		err = os.Rename(s.path, s.path+".bad")
	case errors.Is(err, os.ErrNotExist):
		err = nil
	}
	if err != nil {
		s.failed(err, logf)
	}
	if found == nil {
		found = &saved{}
	}
	return found
}

// held reports whether the lock is that of the path still: another file system
// may have been mounted there.
func (s *store) held() bool {
	there, err := os.Stat(s.path + ".lock")
	ours, err2 := s.lock.Stat()
	return err == nil && err2 == nil && os.SameFile(there, ours)
}

func (s *store) acquire() (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(s.path), 0o755); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(s.path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return nil, err
	}
	return lock, nil
}

// become reports whether the condition is another than before.
func (s *store) become(c condition) bool {
	before := s.is
	s.is = c
	return before != c
}

func (s *store) failed(err error, logf func(string, ...any)) {
	if s.become(failing) {
		logf("what timers did is not kept: %v", err)
	}
}

// save writes the file if something has changed.
func (s *store) save(boot string, now moment, logf func(string, ...any)) {
	if !s.changed || s.lock == nil {
		return
	}
	if err := s.write(encode(s.entries, boot, now)); err != nil {
		s.failed(err, logf)
		return
	}
	s.changed = false
	if s.become(ready) {
		logf("what timers did is kept again in %s", s.path)
	}
}

// write replaces the file, so that it is the old or the new one at any time.
func (s *store) write(text []byte) error {
	next := s.path + ".new"
	file, err := os.OpenFile(next, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err == nil && s.durable {
		err = file.Sync()
	}
	err = errors.Join(err, file.Close())
	if err == nil {
		err = os.Rename(next, s.path)
	}
	if err != nil {
		os.Remove(next)
		return err
	}
	if !s.durable {
		return nil
	}
	dir, err := os.Open(filepath.Dir(s.path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// prune forgets timers that no job has had for long.
func (s *store) prune(now time.Time) {
	keep := 24 * time.Hour
	if s.durable {
		keep = 400 * 24 * time.Hour
	}
	maps.DeleteFunc(s.entries, func(_ string, e *entry) bool { return e.gone && now.Sub(e.ref) > keep })
}

func (s *store) close() {
	if s.lock != nil {
		s.lock.Close()
		s.lock = nil
	}
}
