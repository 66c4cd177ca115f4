package file

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// TestProc wants what comes and goes to be found where the kernel does not tell
// of it.
func TestProc(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self"); err != nil {
		t.Skipf("SKIPPED: there is no proc: %v", err)
	}
	w := newWorld(t, "while FILE=/proc/[0-9]*")
	w.run()
	w.await("log cannot watch /proc for FILE=/proc/[0-9]*: proc does not tell of all that happens; looking every 2s, also where others cannot be watched")
	cmd := exec.Command("cat")
	end, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	fact := fmt.Sprintf("fact file FILE=/proc/%d MATCH=/proc/%[1]d", cmd.Process.Pid)
	w.await(fact)
	end.Close()
	cmd.Wait()
	w.await("no " + fact)
}
