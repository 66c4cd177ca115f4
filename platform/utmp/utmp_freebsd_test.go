package utmp

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// somebody is a record as login(1) leaves it: type, time, id, process, user,
// line and host, all of fixed size.
func somebody(kind byte, pid byte, line string) []byte {
	b, err := hex.DecodeString("00" + "0005d0d1d2d3d4d5" + hex.EncodeToString([]byte("abcdefgh")) + "000000")
	if err != nil {
		panic(err)
	}
	b[0] = kind
	b = append(b, pid)
	for _, field := range []struct {
		text string
		size int
	}{{"joe", 32}, {line, 16}, {"far.example", 128}} {
		b = append(b, field.text...)
		b = append(b, make([]byte, field.size-len(field.text))...)
	}
	return b
}

func files(t *testing.T, active ...[]byte) (file, log string) {
	dir := t.TempDir()
	file, log = filepath.Join(dir, "utx.active"), filepath.Join(dir, "utx.log")
	if err := os.WriteFile(file, bytes.Join(active, nil), 0o644); err != nil {
		t.Fatal(err)
	}
	return file, log
}

func read(t *testing.T, file string) []byte {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestEndSession(t *testing.T) {
	joe := somebody(4, 77, "ttyv1")
	if len(joe) != size {
		t.Fatalf("a record has %d bytes, %d are known", len(joe), size)
	}
	file, log := files(t, somebody(1, 77, ""), somebody(4, 76, "ttyv0"), joe)
	os.WriteFile(log, []byte("log"), 0o644)
	now := time.UnixMicro(0x0102030405060708)
	for range 2 { // the second finds nobody
		if err := EndSession(file, log, 77, now); err != nil {
			t.Fatal(err)
		}
	}
	dead := make([]byte, size)
	copy(dead, "\x07\x01\x02\x03\x04\x05\x06\x07\x08abcdefgh\x00\x00\x00\x4d")
	if got, want := read(t, file), bytes.Join([][]byte{somebody(1, 77, ""), somebody(4, 76, "ttyv0"), dead}, nil); !bytes.Equal(got, want) {
		t.Errorf("active: %x\nwant    %x", got, want)
	}
	if got, want := string(read(t, log)), "log\x00\x15"+string(dead[:21]); got != want {
		t.Errorf("log: %x, want %x", got, want)
	}
	if err := EndSession(file+"none", log, 77, now); !os.IsNotExist(err) {
		t.Errorf("without a file: %v", err)
	}
	f, err := os.OpenFile(file, os.O_RDWR|unix.O_EXLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := EndSession(file, log, 76, now); err == nil {
		t.Error("a locked file is written")
	}
}

func TestLines(t *testing.T) {
	file, _ := files(t, somebody(1, 0, "no"), somebody(4, 1, "ttyv0"), somebody(7, 2, "no"), somebody(4, 3, "pts/3"))
	if got := strings.Join(Lines(file), " "); got != "ttyv0 pts/3" {
		t.Errorf("got %q", got)
	}
}

func TestRunlevels(t *testing.T) {
	file, log := files(t)
	if _, _, err := Runlevel(file); err != unix.ESRCH {
		t.Errorf("without one: %v", err)
	}
	now := time.UnixMicro(time.Now().UnixMicro() | 1) // whose last byte is not left out
	SetRunlevel(file, log, '2', 0, now)
	boot := record(1, now)
	if got := read(t, file); !bytes.Equal(got, boot) {
		t.Errorf("active: %x, want the boot", got)
	}
	if got := read(t, log); !bytes.Equal(got, append([]byte{0, 9}, boot[:9]...)) {
		t.Errorf("log: %x, want the boot", got)
	}
	SetRunlevel(file, log, '6', '2', now)
	if current, previous, err := Runlevel(file); current != '6' || previous != '2' || err != nil {
		t.Errorf("runlevel %c, before %c, %v", current, previous, err)
	}
	if len(read(t, log)) != 11 {
		t.Error("the boot is recorded twice")
	}
	Shutdown(file, log, now)
	if got := read(t, file); len(got) != 0 {
		t.Errorf("active after the end: %x", got)
	}
	if got := read(t, log)[11:]; !bytes.Equal(got, append([]byte{0, 9, 8}, boot[1:9]...)) {
		t.Errorf("log: %x, want the end", got)
	}
	if _, _, err := Runlevel(file + "/none"); !strings.Contains(err.Error(), file+"/none") {
		t.Errorf("no file: %v", err)
	}
}
