package utmp

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// secondsAt is where the time is, on this processor.
var secondsAt = map[int]int{384: 340, 400: 344}[size]

func TestRecordIsThatOfTheCLibrary(t *testing.T) {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		t.Fatal(err)
	}
	b := record{kind: runLevel, pid: 0x3253, user: "runlevel"}.bytes(time.Unix(1_700_000_000, 5000))
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
	for _, r := range []record{{runLevel, 77, "runlevel"}, {userProcess, 76, "other"}, {userProcess, 77, "somebody"}} {
		before = append(before, r.bytes(then)...)
	}
	os.WriteFile(file, before, 0o600)
	os.WriteFile(log, []byte("log"), 0o600)
	if err := EndSession(file, log, 77, now); err != nil {
		t.Fatal(err)
	}
	after, _ := os.ReadFile(file)
	if len(after) != len(before) || string(after[:2*size]) != string(before[:2*size]) {
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
	check(after[2*size:], 0)
	if text, _ := os.ReadFile(log); len(text) != 3+size {
		t.Errorf("the log has %d bytes", len(text))
	} else {
		check(text[3:], uint32(now.Unix()))
	}
	if err := EndSession(file, log, 77, now); err != nil {
		t.Error(err)
	}
	if text, _ := os.ReadFile(log); len(text) != 3+size {
		t.Error("a dead process ends again")
	}
	if err := EndSession(t.TempDir()+"/none", log, 77, now); !os.IsNotExist(err) {
		t.Errorf("without a file: %v", err)
	}
}

// kinds lists the records of a file: kind, level and previous level.
func kinds(t *testing.T, file string) string {
	text, err := os.ReadFile(file)
	if err != nil || len(text)%size != 0 {
		t.Fatalf("%s: %d bytes, %v", file, len(text), err)
	}
	var list []string
	for ; len(text) > 0; text = text[size:] {
		pid := binary.NativeEndian.Uint32(text[4:])
		level := func(n uint32) string {
			if n == 0 {
				return "0"
			}
			return string(rune(n))
		}
		list = append(list, fmt.Sprintf("%d:%s/%s", binary.NativeEndian.Uint16(text), level(pid%256), level(pid/256)))
	}
	return strings.Join(list, " ")
}

func TestSetRunlevel(t *testing.T) {
	dir := t.TempDir()
	file, log := dir+"/utmp", dir+"/wtmp"
	SetRunlevel(file, log, '2', 0, time.Now())
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Fatalf("files that are missing are made: %v, %v", left, err)
	}
	for _, path := range []string{file, log} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		why               string
		current, previous byte
		inFile, inLog     string
	}{
		{"first", '2', 0, "1:2/0", "1:2/0"},
		{"next", '3', '2', "1:3/2", "1:2/0 1:3/2"},
		{"booted, with what was left", 'S', 0, "1:S/0 2:0/0", "1:2/0 1:3/2 2:0/0 1:S/0"},
	} {
		SetRunlevel(file, log, step.current, step.previous, time.Now())
		if got := kinds(t, file); got != step.inFile {
			t.Errorf("%s: utmp %s, want %s", step.why, got, step.inFile)
		}
		if got := kinds(t, log); got != step.inLog {
			t.Errorf("%s: wtmp %s, want %s", step.why, got, step.inLog)
		}
	}
	Shutdown(file, log, time.Now())
	if got, want := kinds(t, log), "1:2/0 1:3/2 2:0/0 1:S/0 1:0/0"; got != want {
		t.Errorf("after the end %s, want %s", got, want)
	}
}

func TestLines(t *testing.T) {
	var text []byte
	for _, line := range []string{"tty1", "pts/3"} {
		b := record{kind: userProcess, user: "somebody"}.bytes(time.Now())
		clear(b[8:40])
		copy(b[8:40], line)
		text = append(text, b...)
	}
	for _, r := range []record{{kind: userProcess}, {kind: runLevel, user: "runlevel"}} {
		text = append(text, r.bytes(time.Now())...)
	}
	file := t.TempDir() + "/utmp"
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(Lines(file), " "); got != "tty1 pts/3" {
		t.Errorf("got %q", got)
	}
}
