package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onset/platform/utmp"
)

// terminal opens a pseudo terminal and returns its master and its name below
// /dev.
func terminal(t *testing.T) (*os.File, string) {
	master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("no pseudo terminals: %v", err)
	}
	f := os.NewFile(uintptr(master), "ptmx")
	t.Cleanup(func() { f.Close() })
	n, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0)
	}
	name := fmt.Sprint("pts/", n)
	if err == nil {
		_, err = os.Stat("/dev/" + name)
	}
	if err != nil {
		t.Skipf("no pseudo terminals: %v", err)
	}
	return f, name
}

// loggedIn returns a record file with somebody at each line.
func loggedIn(t *testing.T, lines ...string) string {
	var text []byte
	for _, line := range lines {
		b := utmp.Record{Kind: utmp.UserProcess, User: "somebody"}.Bytes(time.Now())
		clear(b[8:40])
		copy(b[8:40], line)
		text = append(text, b...)
	}
	nobody := utmp.Record{Kind: utmp.UserProcess}.Bytes(time.Now())
	copy(nobody[8:40], "pts/99999")
	file := filepath.Join(t.TempDir(), "utmp")
	if err := os.WriteFile(file, append(text, nobody...), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestUserLines(t *testing.T) {
	if got := fmt.Sprint(userLines(loggedIn(t, "tty1", "pts/3"))); got != "[tty1 pts/3]" {
		t.Errorf("got %s", got)
	}
	if b := (utmp.Record{Kind: utmp.RunLevel}).Bytes(time.Now()); binary.NativeEndian.Uint16(b) == utmp.UserProcess {
		t.Error("a runlevel is a user")
	}
}

func TestWallReachesTerminalsAlone(t *testing.T) {
	master, line := terminal(t)
	outside := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wallAll(loggedIn(t, "null", ".."+outside, line), "going down\r\n")
	if err := master.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	got := ""
	for b := make([]byte, 1000); !strings.HasSuffix(got, "going down\r\r\n") && !strings.HasSuffix(got, "going down\r\n"); {
		n, err := master.Read(b)
		if err != nil {
			t.Fatalf("%q, then %v", got, err)
		}
		got += string(b[:n])
	}
	if !strings.HasPrefix(got, "\a\r") || !strings.Contains(got, "Broadcast message from root@") {
		t.Errorf("got %q", got)
	}
	if text, err := os.ReadFile(outside); err != nil || len(text) > 0 {
		t.Errorf("a file outside /dev has %q, %v", text, err)
	}
}

// TestWallDoesNotWaitForAFullTerminal: nobody reads the master.
func TestWallDoesNotWaitForAFullTerminal(t *testing.T) {
	_, line := terminal(t)
	start := time.Now()
	wallAll(loggedIn(t, line, line), strings.Repeat("x", 1<<20))
	if took := time.Since(start); took > 5*wallTime {
		t.Errorf("took %v", took)
	}
}
