package utmp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// The files of records.
const (
	File    = "/var/run/utmp"
	LogFile = "/var/log/wtmp"
)

// Types of record, as in utmp(5).
const (
	runLevel    = 1
	bootTime    = 2
	initProcess = 5
	userProcess = 7 // somebody who is logged in
	deadProcess = 8
)

// record is what we use of a record in utmp and wtmp. Line and id are those
// of records about the machine; the host is the release of the kernel.
type record struct {
	kind int16
	pid  int32
	user string
}

// size is that of a record, which depends on the processor: where time has 64
// bits in the C library's record, the session has too.
var size = func() int {
	switch runtime.GOARCH {
	case "arm64", "loong64", "s390x":
		return 400
	}
	return 384
}()

// setTime sets the time of a record.
func setTime(b []byte, now time.Time) {
	order := binary.NativeEndian
	if size == 400 {
		order.PutUint64(b[344:], uint64(now.Unix()))
		order.PutUint64(b[352:], uint64(now.Nanosecond()/1000))
	} else {
		order.PutUint32(b[340:], uint32(now.Unix()))
		order.PutUint32(b[344:], uint32(now.Nanosecond()/1000))
	}
}

// bytes returns the record as it is in the file.
func (r record) bytes(now time.Time) []byte {
	b := make([]byte, size)
	order := binary.NativeEndian
	order.PutUint16(b, uint16(r.kind))
	order.PutUint32(b[4:], uint32(r.pid))
	copy(b[8:40], "~")
	copy(b[40:44], "~~")
	copy(b[44:76], r.user)
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		copy(b[76:331], unix.ByteSliceToString(uts.Release[:]))
	}
	setTime(b, now)
	return b
}

// Runlevel returns the current runlevel and the one before; 0 is unknown.
// ESRCH means that there is no record.
func Runlevel(file string) (current, previous byte, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, 0, err
	}
	err = unix.ESRCH
	for ; len(text) >= size; text = text[size:] {
		if binary.NativeEndian.Uint16(text) == runLevel {
			pid := binary.NativeEndian.Uint32(text[4:])
			current, previous, err = byte(pid), byte(pid>>8), nil
		}
	}
	return current, previous, err
}

// SetRunlevel records a change of runlevel. A level there that is not the
// previous one is from before the machine booted, which is recorded then too.
// What cannot be written is left out: the change matters more.
func SetRunlevel(file, log string, current, previous byte, now time.Time) {
	boot := record{kind: bootTime, user: "reboot"}
	change := record{kind: runLevel, pid: int32(current) | int32(previous)<<8, user: "runlevel"}
	stale := func(file string) bool {
		level, _, _ := Runlevel(file)
		return level != previous
	}
	if stale(file) {
		_ = put(file, boot, now)
	}
	if stale(log) {
		_ = add(log, boot, now)
	}
	_ = put(file, change, now)
	_ = add(log, change, now)
}

// Shutdown records that the machine goes down, as far as that can be written.
func Shutdown(file, log string, now time.Time) {
	end := record{kind: runLevel, user: "shutdown"}
	_ = put(file, end, now)
	_ = add(log, end, now)
}

// Lines returns the terminals of those who are logged in, without /dev/.
func Lines(file string) (lines []string) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	for ; len(text) >= size; text = text[size:] {
		if binary.NativeEndian.Uint16(text) == userProcess && text[44] != 0 {
			lines = append(lines, unix.ByteSliceToString(text[8:40]))
		}
	}
	return lines
}

// put writes a record over the one of its kind, or behind the last, as
// pututxline(3) does.
func put(path string, r record, now time.Time) error {
	return withFile(path, os.O_RDWR, unix.F_SETLKW, func(f *os.File) error {
		text, err := io.ReadAll(f)
		if err != nil {
			return err
		}
		at, kind := 0, binary.NativeEndian.AppendUint16(nil, uint16(r.kind))
		for ; len(text) >= at+size; at += size {
			if bytes.HasPrefix(text[at:], kind) {
				break
			}
		}
		_, err = f.WriteAt(r.bytes(now), int64(at))
		return err
	})
}

// add writes a record at the end, if there is such a file, as
// updwtmpx(3) does.
func add(path string, r record, now time.Time) error {
	return withFile(path, os.O_WRONLY|os.O_APPEND, unix.F_SETLKW, func(f *os.File) error {
		_, err := f.Write(r.bytes(now))
		return err
	})
}

// EndSession rewrites the records of a process that ended as those of a dead
// one, and appends them to the log (UPSTART §2.6). It never waits: a file that
// somebody else has locked is left alone.
func EndSession(file, log string, pid int, now time.Time) error {
	var ended [][]byte
	err := withFile(file, os.O_RDWR, unix.F_SETLK, func(f *os.File) error {
		text, err := io.ReadAll(f)
		for at := 0; err == nil && len(text) >= at+size; at += size {
			b := text[at : at+size]
			kind := binary.NativeEndian.Uint16(b)
			if kind < initProcess || kind > userProcess || int(int32(binary.NativeEndian.Uint32(b[4:]))) != pid {
				continue
			}
			binary.NativeEndian.PutUint16(b, deadProcess)
			clear(b[44:332]) // user and host
			setTime(b, time.Unix(0, 0))
			_, err = f.WriteAt(b, int64(at))
			ended = append(ended, b)
		}
		return err
	})
	if err != nil || len(ended) == 0 {
		return err
	}
	return withFile(log, os.O_WRONLY|os.O_APPEND, unix.F_SETLK, func(f *os.File) error {
		for _, b := range ended {
			setTime(b, now)
			if _, err := f.Write(b); err != nil {
				return err
			}
		}
		return nil
	})
}

func withFile(path string, flags, lockHow int, do func(*os.File) error) error {
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		return err
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err = unix.FcntlFlock(f.Fd(), lockHow, &lock); err == nil {
		err = do(f)
	}
	return errors.Join(err, f.Close())
}
