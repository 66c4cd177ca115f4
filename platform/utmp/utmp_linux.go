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
	RunLevel = 1
	BootTime = 2

	initProcess = 5
	UserProcess = 7 // somebody who is logged in
	deadProcess = 8
)

// Record is what we use of a record in utmp and wtmp. Line and id are those
// of records about the machine; the host is the release of the kernel.
type Record struct {
	Kind int16
	PID  int32
	User string
}

// Size is that of a record, which depends on the processor: where time has 64
// bits in the C library's record, the session has too.
var Size = func() int {
	switch runtime.GOARCH {
	case "arm64", "loong64", "s390x":
		return 400
	}
	return 384
}()

// setTime sets the time of a record.
func setTime(b []byte, now time.Time) {
	order := binary.NativeEndian
	if Size == 400 {
		order.PutUint64(b[344:], uint64(now.Unix()))
		order.PutUint64(b[352:], uint64(now.Nanosecond()/1000))
	} else {
		order.PutUint32(b[340:], uint32(now.Unix()))
		order.PutUint32(b[344:], uint32(now.Nanosecond()/1000))
	}
}

// Bytes returns the record as it is in the file.
func (r Record) Bytes(now time.Time) []byte {
	b := make([]byte, Size)
	order := binary.NativeEndian
	order.PutUint16(b, uint16(r.Kind))
	order.PutUint32(b[4:], uint32(r.PID))
	copy(b[8:40], "~")
	copy(b[40:44], "~~")
	copy(b[44:76], r.User)
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		copy(b[76:331], unix.ByteSliceToString(uts.Release[:]))
	}
	setTime(b, now)
	return b
}

// Runlevel returns the process id field of the file's last runlevel
// record: level + 256 * previous level. ESRCH means that there is none.
func Runlevel(path string) (int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	pid, found := 0, false
	for ; len(text) >= Size; text = text[Size:] {
		if binary.NativeEndian.Uint16(text) == RunLevel {
			pid, found = int(int32(binary.NativeEndian.Uint32(text[4:]))), true
		}
	}
	if !found {
		return 0, unix.ESRCH
	}
	return pid, nil
}

// Put writes a record over the one of its kind, or behind the last, as
// pututxline(3) does.
func Put(path string, r Record, now time.Time) error {
	return withFile(path, os.O_RDWR, unix.F_SETLKW, func(f *os.File) error {
		text, err := io.ReadAll(f)
		if err != nil {
			return err
		}
		at, kind := 0, binary.NativeEndian.AppendUint16(nil, uint16(r.Kind))
		for ; len(text) >= at+Size; at += Size {
			if bytes.HasPrefix(text[at:], kind) {
				break
			}
		}
		_, err = f.WriteAt(r.Bytes(now), int64(at))
		return err
	})
}

// Append writes a record at the end, if there is such a file, as
// updwtmpx(3) does.
func Append(path string, r Record, now time.Time) error {
	return withFile(path, os.O_WRONLY|os.O_APPEND, unix.F_SETLKW, func(f *os.File) error {
		_, err := f.Write(r.Bytes(now))
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
		for at := 0; err == nil && len(text) >= at+Size; at += Size {
			b := text[at : at+Size]
			kind := binary.NativeEndian.Uint16(b)
			if kind < initProcess || kind > UserProcess || int(int32(binary.NativeEndian.Uint32(b[4:]))) != pid {
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
