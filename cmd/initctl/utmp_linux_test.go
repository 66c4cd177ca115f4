package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// kinds lists the records of a file: kind, level and previous level.
func kinds(t *testing.T, file string) string {
	text, err := os.ReadFile(file)
	if err != nil || len(text)%utmpLayout.size != 0 {
		t.Fatalf("%s: %d bytes, %v", file, len(text), err)
	}
	var list []string
	for ; len(text) > 0; text = text[utmpLayout.size:] {
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
	if got := binary.NativeEndian.Uint32(b[utmpLayout.seconds:]); got != 1_700_000_000 {
		t.Errorf("time is %d", got)
	}
}
