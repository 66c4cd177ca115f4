package utmp

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// The files of records (getutxent(3)).
const (
	File    = "/var/run/utx.active"
	LogFile = "/var/log/utx.log"
)

// Types of record (utmpx.h).
const (
	bootTime     = 1
	userProcess  = 4 // somebody who is logged in
	loginProcess = 6
	deadProcess  = 7
	shutdownTime = 8
)

// A record in utx.active has fixed fields without padding, numbers with the
// high byte first: type, time in microseconds, id, process, user, line, host.
const (
	timeAt = 1
	idAt   = 9
	pidAt  = 17
	lineAt = 53
	hostAt = 69
	size   = 197
)

// record returns one of a type and a time that has no other field.
func record(kind byte, now time.Time) []byte {
	b := make([]byte, size)
	b[0] = kind
	binary.BigEndian.PutUint64(b[timeAt:], uint64(now.UnixMicro()))
	return b
}

// levelFile is where runlevels are for a file of records: "PREVIOUS CURRENT",
// N for unknown.
func levelFile(file string) string { return filepath.Join(filepath.Dir(file), "upstart", "runlevel") }

// Runlevel returns the current runlevel and the one before; 0 is unknown.
// ESRCH means that none is known.
func Runlevel(file string) (current, previous byte, err error) {
	text, err := os.ReadFile(levelFile(file))
	if len(text) == 4 {
		return level(text[2]), level(text[0]), nil
	}
	if _, none := os.Stat(file); none != nil && err != nil {
		return 0, 0, none
	}
	return 0, 0, unix.ESRCH
}

func level(c byte) byte {
	if c == 'N' {
		return 0
	}
	return c
}

func levelName(l byte) byte {
	if l == 0 {
		return 'N'
	}
	return l
}

// SetRunlevel records a change of runlevel, and that the machine booted if
// nobody has recorded that. What cannot be written is left out: the change
// matters more.
func SetRunlevel(file, log string, current, previous byte, now time.Time) {
	path := levelFile(file)
	_ = os.MkdirAll(filepath.Dir(path), 0o755)
	_ = os.WriteFile(path, []byte{levelName(previous), ' ', levelName(current), '\n'}, 0o644)
	booted, err := unix.SysctlTimeval("kern.boottime")
	if err != nil || bootRecorded(file, booted.Sec) {
		return
	}
	boot := record(bootTime, now)
	_ = os.WriteFile(file, boot, 0o644)
	_ = add(log, boot, os.O_CREATE)
}

// bootRecorded reports whether the first record is that of a boot, not before
// a time in seconds: the clock may have been set since.
func bootRecorded(file string, since int64) bool {
	text, err := os.ReadFile(file)
	const hour = 3600
	return err == nil && len(text) >= size && text[0] == bootTime &&
		int64(binary.BigEndian.Uint64(text[timeAt:]))/1e6 >= since-hour
}

// Shutdown records that the machine goes down, as far as that can be written:
// nobody is logged in any more.
func Shutdown(file, log string, now time.Time) {
	_ = os.Truncate(file, 0)
	_ = add(log, record(shutdownTime, now), os.O_CREATE)
}

// add appends a record to the log, where its length comes first and zero
// bytes at its end are left out.
func add(log string, b []byte, flags int) error {
	n := len(b)
	for n > 0 && b[n-1] == 0 {
		n--
	}
	f, err := os.OpenFile(log, os.O_WRONLY|os.O_APPEND|flags, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(binary.BigEndian.AppendUint16(nil, uint16(n)), b[:n]...))
	return errors.Join(err, f.Close())
}

// Lines returns the terminals of those who are logged in, without /dev/.
func Lines(file string) (lines []string) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	for ; len(text) >= size; text = text[size:] {
		if line := unix.ByteSliceToString(text[lineAt:hostAt]); text[0] == userProcess && line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// EndSession rewrites the records of a process that ended as those of a dead
// one, and appends them to the log (UPSTART §2.6). It never waits: a file that
// somebody else has locked is left alone.
func EndSession(file, log string, pid int, now time.Time) error {
	f, err := os.OpenFile(file, os.O_RDWR|unix.O_EXLOCK|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	for at := 0; err == nil && len(text) >= at+size; at += size {
		b := text[at : at+size]
		if b[0] < userProcess || b[0] > loginProcess || int(binary.BigEndian.Uint32(b[pidAt:])) != pid {
			continue
		}
		dead := record(deadProcess, now)
		copy(dead[idAt:], b[idAt:pidAt+4])
		if _, err = f.WriteAt(dead, int64(at)); err == nil {
			err = add(log, dead, 0)
		}
	}
	return err
}
