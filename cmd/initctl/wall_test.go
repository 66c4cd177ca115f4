package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onset/platform/posix"
)

// terminal opens a pseudo terminal and returns its master and its name below
// /dev.
func terminal(t *testing.T) (*os.File, string) {
	master, slave, err := posix.OpenPTY()
	if err != nil {
		t.Skipf("no pseudo terminals: %v", err)
	}
	f := os.NewFile(uintptr(master), "ptmx")
	t.Cleanup(func() { f.Close(); unix.Close(slave) })
	name := terminalName(slave)
	if _, err := os.Stat(name); err != nil {
		t.Skipf("no pseudo terminals: %v", err)
	}
	return f, strings.TrimPrefix(name, "/dev/")
}

func TestWallReachesTerminalsAlone(t *testing.T) {
	master, line := terminal(t)
	outside := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wallAll([]string{"null", ".." + outside, line}, "going down\r\n")
	if err := master.SetReadDeadline(time.Now().Add(3 * time.Minute)); err != nil {
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
	done := make(chan struct{})
	go func() {
		wallAll([]string{line, line}, strings.Repeat("x", 1<<20))
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(3 * time.Minute):
		t.Error("it waits")
	}
}
