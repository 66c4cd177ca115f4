package main

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
	utmpFile = "/var/run/utmp"
	wtmpFile = "/var/log/wtmp"
)

// Types of record, as in utmp(5).
const (
	runLevel = 1
	bootTime = 2
)

// record is what we use of a record in utmp and wtmp. Line and id are those
// of records about the machine; the host is the release of the kernel.
type record struct {
	kind int16
	pid  int32
	user string
}

// utmpLayout gives the places that depend on the processor: where time has 64
// bits in the C library's record, the session has too.
var utmpLayout = func() (l struct{ seconds, size int }) {
	l.seconds, l.size = 340, 384
	switch runtime.GOARCH {
	case "arm64", "loong64", "s390x":
		l.seconds, l.size = 344, 400
	}
	return l
}()

// bytes returns the record as it is in the file.
func (r record) bytes(now time.Time) []byte {
	b := make([]byte, utmpLayout.size)
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
	if utmpLayout.size == 400 {
		order.PutUint64(b[utmpLayout.seconds:], uint64(now.Unix()))
		order.PutUint64(b[utmpLayout.seconds+8:], uint64(now.Nanosecond()/1000))
	} else {
		order.PutUint32(b[utmpLayout.seconds:], uint32(now.Unix()))
		order.PutUint32(b[utmpLayout.seconds+4:], uint32(now.Nanosecond()/1000))
	}
	return b
}

// readRunlevel returns the process id field of the file's last runlevel
// record: level + 256 * previous level. ESRCH means that there is none.
func readRunlevel(path string) (int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	pid, found := 0, false
	for ; len(text) >= utmpLayout.size; text = text[utmpLayout.size:] {
		if binary.NativeEndian.Uint16(text) == runLevel {
			pid, found = int(int32(binary.NativeEndian.Uint32(text[4:]))), true
		}
	}
	if !found {
		return 0, unix.ESRCH
	}
	return pid, nil
}

// putRecord writes a record over the one of its kind, or behind the last, as
// pututxline(3) does.
func putRecord(path string, r record, now time.Time) error {
	return lockedFile(path, os.O_RDWR, func(f *os.File) error {
		text, err := io.ReadAll(f)
		if err != nil {
			return err
		}
		at, kind := 0, binary.NativeEndian.AppendUint16(nil, uint16(r.kind))
		for ; len(text) >= at+utmpLayout.size; at += utmpLayout.size {
			if bytes.HasPrefix(text[at:], kind) {
				break
			}
		}
		_, err = f.WriteAt(r.bytes(now), int64(at))
		return err
	})
}

// appendRecord writes a record at the end, if there is such a file, as
// updwtmpx(3) does.
func appendRecord(path string, r record, now time.Time) error {
	return lockedFile(path, os.O_WRONLY|os.O_APPEND, func(f *os.File) error {
		_, err := f.Write(r.bytes(now))
		return err
	})
}

func lockedFile(path string, flags int, do func(*os.File) error) error {
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		return err
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err = unix.FcntlFlock(f.Fd(), unix.F_SETLKW, &lock); err == nil {
		err = do(f)
	}
	return errors.Join(err, f.Close())
}
