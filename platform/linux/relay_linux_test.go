package linux

import (
	"os"
	"runtime"
	"testing"
)

// TestRelays has jobs with descriptors start without the exec stage, and fail as
// they do with it.
func TestRelays(t *testing.T) {
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("no relay for " + runtime.GOARCH)
	}
	l := newLab(t, "")
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	s := l.spec("sh -c 'test $LISTEN_PID = $$ -a $LISTEN_FDS = 1 -a $LISTEN_FDNAMES = socket -a -e /dev/fd/3'", nil)
	s.ListenNames = []string{"socket"}
	pid, reason := l.start(s, int(null.Fd()))
	if reason != "" {
		t.Fatal(reason)
	}
	if status := l.ended(pid); status != 0 {
		t.Errorf("it ended with %v", status)
	}
	broken := t.TempDir() + "/broken"
	if err := os.WriteFile(broken, []byte("\x7fELF and no more"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.Process.Text = broken
	if _, reason := l.start(s, int(null.Fd())); reason != "unable to execute: Exec format error" {
		t.Errorf("a broken program fails with %q", reason)
	}
	if fast, staged := l.procs.Counts(); fast != 2 || staged != 0 {
		t.Errorf("%d went without the stage and %d through it", fast, staged)
	}
}
