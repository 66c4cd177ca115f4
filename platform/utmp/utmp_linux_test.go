package utmp

import (
	"encoding/binary"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// secondsAt is where the time is, on this processor.
var secondsAt = map[int]int{384: 340, 400: 344}[Size]

func TestRecordIsThatOfTheCLibrary(t *testing.T) {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		t.Fatal(err)
	}
	b := Record{Kind: RunLevel, PID: 0x3253, User: "runlevel"}.Bytes(time.Unix(1_700_000_000, 5000))
	for _, part := range []struct {
		name     string
		from, to int
		want     string
	}{
		{"line", 8, 40, "~"}, {"id", 40, 44, "~~"}, {"user", 44, 76, "runlevel"},
		{"host", 76, 332, unix.ByteSliceToString(uts.Release[:])},
	} {
		if got := strings.TrimRight(string(b[part.from:part.to]), "\x00"); got != part.want {
			t.Errorf("%s is %q, want %q", part.name, got, part.want)
		}
	}
	if got := binary.NativeEndian.Uint32(b[secondsAt:]); got != 1_700_000_000 {
		t.Errorf("time is %d", got)
	}
}

func TestEndSession(t *testing.T) {
	file, log := t.TempDir()+"/utmp", t.TempDir()+"/wtmp"
	then, now := time.Unix(1_600_000_000, 0), time.Unix(1_700_000_000, 0)
	var before []byte
	for _, r := range []Record{{RunLevel, 77, "runlevel"}, {UserProcess, 76, "other"}, {UserProcess, 77, "somebody"}} {
		before = append(before, r.Bytes(then)...)
	}
	os.WriteFile(file, before, 0o600)
	os.WriteFile(log, []byte("log"), 0o600)
	if err := EndSession(file, log, 77, now); err != nil {
		t.Fatal(err)
	}
	after, _ := os.ReadFile(file)
	if len(after) != len(before) || string(after[:2*Size]) != string(before[:2*Size]) {
		t.Fatal("other records are changed too")
	}
	check := func(b []byte, seconds uint32) {
		t.Helper()
		if kind := binary.NativeEndian.Uint16(b); kind != 8 || binary.NativeEndian.Uint32(b[4:]) != 77 || b[8] != '~' {
			t.Errorf("kind %d, process %d, line %q", kind, binary.NativeEndian.Uint32(b[4:]), b[8:10])
		}
		if got := binary.NativeEndian.Uint32(b[secondsAt:]); got != seconds || strings.Trim(string(b[44:332]), "\x00") != "" {
			t.Errorf("time %d, user and host %q", got, b[44:332])
		}
	}
	check(after[2*Size:], 0)
	if text, _ := os.ReadFile(log); len(text) != 3+Size {
		t.Errorf("the log has %d bytes", len(text))
	} else {
		check(text[3:], uint32(now.Unix()))
	}
	if err := EndSession(file, log, 77, now); err != nil {
		t.Error(err)
	}
	if text, _ := os.ReadFile(log); len(text) != 3+Size {
		t.Error("a dead process ends again")
	}
	if err := EndSession(t.TempDir()+"/none", log, 77, now); !os.IsNotExist(err) {
		t.Errorf("without a file: %v", err)
	}
}
