package suspend

import (
	"errors"
	"io/fs"
	"testing"
	"time"
)

func TestSlept(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "SLEPT=0", -time.Hour: "SLEPT=0", 1499 * time.Millisecond: "SLEPT=1", time.Hour: "SLEPT=3600"} {
		if got := Slept(d); got != want {
			t.Errorf("%v: %s", d, got)
		}
	}
}

func TestOneLock(t *testing.T) {
	first, err := Lock()
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		t.Skipf("SKIPPED: nothing to lock: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if _, err := Lock(); !errors.Is(err, ErrBusy) {
		t.Errorf("a second lock: %v", err)
	}
	first.Close()
	second, err := Lock()
	if err != nil {
		t.Fatalf("after the first: %v", err)
	}
	second.Close()
}
