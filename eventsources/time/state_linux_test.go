package timers

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFullDisk fills a file system and empties it again.
func TestFullDisk(t *testing.T) {
	p := newPlayed(t, stamped)
	p.kill()
	durable := filepath.Join(p.dir, "durable")
	if err := unix.Mount("tmpfs", durable, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("cannot mount a file system here: %v", err)
	}
	defer unix.Unmount(durable, unix.MNT_DETACH)
	p.do("kill 1s")
	p.do("job p EVERY=1m PERSISTENT=yes")
	filler := filepath.Join(durable, "filler")
	if err := os.WriteFile(filler, make([]byte, 1<<20), 0o600); err == nil {
		t.Fatal("the file system is larger than it should be")
	}
	p.do("pass 3m")
	p.expect("log what timers did is not kept: write DIR/durable/timers.new: no space left on device",
		"2026-11-20T12:01:01Z EVERY=1m PERSISTENT=yes", "2026-11-20T12:02:01Z EVERY=1m PERSISTENT=yes", "2026-11-20T12:03:01Z EVERY=1m PERSISTENT=yes")
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	p.do("pass 1m")
	p.expect("log what timers did is kept again in DIR/durable/timers", "2026-11-20T12:04:01Z EVERY=1m PERSISTENT=yes")
	p.do("kill 1s")
	p.do("pass 59s")
	p.expect("2026-11-20T12:05:01Z EVERY=1m PERSISTENT=yes")
	if text, err := os.ReadFile(filepath.Join(durable, "timers")); err != nil || len(text) == 0 {
		t.Errorf("%q, %v", text, err)
	}
	p.kill()
}
