package keeper

import (
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestWatchdogIsFedAndToldOfTheEnd(t *testing.T) {
	device := filepath.Join(t.TempDir(), "watchdog")
	if err := unix.Mkfifo(device, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(device, unix.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	k := &keeper{state: new(state), o: Options{Watchdog: device}}
	k.Manager = 1
	if k.wait() != -1 {
		t.Error("the keeper wakes up for a watchdog that is off")
	}
	k.setWatchdog(60_000)
	k.feed()
	k.feed() // too early
	if ms := k.wait(); ms < 30_000 || ms > 60_000 {
		t.Errorf("the next feed is in %d ms, want about a minute", ms)
	}
	k.Fed -= minute
	k.feed()
	k.setWatchdog(0)
	k.feed()
	buf := make([]byte, 10)
	n, _ := unix.Read(fd, buf)
	if got, want := string(buf[:max(n, 0)]), "\x00\x00V"; got != want {
		t.Errorf("the watchdog got %q, want %q", got, want)
	}
	if k.wait() != -1 {
		t.Error("the keeper wakes up for a watchdog that is off again")
	}
}
