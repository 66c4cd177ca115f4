package linux

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

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

// TestWithoutClone3 has a filter, as some containers have, and kernels that are
// old: jobs start, and those with descriptors by the exec stage.
func TestWithoutClone3(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	for _, errno := range []unix.Errno{unix.EPERM, unix.EINVAL, unix.ENOSYS} { // the last filter counts
		lacking(t, fmt.Sprintf(`{"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": %d}`, errno))
		l := newLab(t, "")
		for wantStaged, names := range [][]string{nil, {"socket"}} {
			s := l.spec("sh -c 'test $$ = ${LISTEN_PID-$$}'", nil)
			s.ListenNames = names
			pid, reason := l.start(s)
			if reason != "" {
				t.Fatalf("%v: %s", errno, reason)
			}
			if status := l.ended(pid); status != 0 {
				t.Errorf("%v: it ended with %v", errno, status)
			}
			if fast, staged := l.procs.Counts(); fast != 1 || staged != wantStaged {
				t.Errorf("%v: %d went without the stage and %d through it", errno, fast, staged)
			}
		}
	}
}
