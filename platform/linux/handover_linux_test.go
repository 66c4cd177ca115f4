package linux

import (
	"os"
	"testing"

	"onset/platform/posix"
)

// TestHandOver has jobs with descriptors start without the exec stage, but for a
// program without format.
func TestHandOver(t *testing.T) {
	if !posix.Forks() {
		t.Skip("no fork on this machine that can complete LISTEN_PID")
	}
	l := newLab(t, "")
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	const test = "test $LISTEN_PID = $$ -a $LISTEN_FDS = 1 -a $LISTEN_FDNAMES = socket -a -e /dev/fd/3"
	text := t.TempDir() + "/text"
	if err := os.WriteFile(text, []byte(test), 0o755); err != nil {
		t.Fatal(err)
	}
	s := l.spec("sh -c '"+test+"'", nil)
	s.ListenNames = []string{"socket"}
	for wantStaged, program := range []string{s.Process.Text, text} {
		s.Process.Text = program
		pid, reason := l.start(s, int(null.Fd()))
		if reason != "" {
			t.Fatal(reason)
		}
		if status := l.ended(pid); status != 0 {
			t.Errorf("it ended with %v", status)
		}
		if fast, staged := l.procs.Counts(); fast != 1 || staged != wantStaged {
			t.Errorf("%d went without the stage and %d through it", fast, staged)
		}
	}
}
