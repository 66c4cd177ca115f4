package suspend

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		method      Method
		state, want string
	}{
		{Suspend, "freeze mem disk\n", "mem"},
		{Suspend, "freeze standby", "standby"},
		{Suspend, "freeze", "freeze"},
		{Suspend, "disk", ""},
		{Suspend, "", ""},
		{Hibernate, "freeze mem disk", "disk"},
		{Hibernate, "freeze mem", ""},
	} {
		got, err := choose(c.method, c.state)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s of %q: %q, %v", c.method, c.state, got, err)
		}
		if err != nil && !strings.Contains(err.Error(), "cannot "+string(c.method)) {
			t.Errorf("%v", err)
		}
	}
}

func TestSlept(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "SLEPT=0", -time.Hour: "SLEPT=0", 1499 * time.Millisecond: "SLEPT=1", time.Hour: "SLEPT=3600"} {
		if got := Slept(d); got != want {
			t.Errorf("%v: %s", d, got)
		}
	}
}

func TestOneLock(t *testing.T) {
	if _, err := os.Stat(stateFile); err != nil {
		t.Skipf("SKIPPED: this kernel cannot suspend: %v", err)
	}
	first, err := Lock()
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
