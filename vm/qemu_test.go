package vm

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"onset/vm/script"
)

func kernel(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath(Program); err != nil {
		t.Skipf("SKIPPED: no %s", Program)
	}
	k, err := FindKernel(filepath.Join("..", "bin", "vm"))
	if err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	return k.Path
}

func TestTrivialGuestRunsUnderEmulation(t *testing.T) {
	if _, err := exec.LookPath(Program); err != nil {
		t.Skipf("SKIPPED: no %s", Program)
	}
	if err := probe(TCG, time.Minute); err != nil {
		t.Error(err)
	}
	if err := probe(TCG, 0); err == nil {
		t.Error("no error without time")
	}
	t.Logf("accelerator here: %s", BestAccelerator().Name)
}

func TestMachineWithoutRootPanicsAndResets(t *testing.T) {
	t.Parallel()
	m := StartT(t, Kernel(kernel(t)), Memory(128), CPUs(2))
	if _, err := m.Expect("Kernel panic - not syncing: VFS", 20*time.Second); err != nil {
		t.Fatal(err)
	}
	if reason, err := m.Wait(10 * time.Second); err != nil || reason != script.Reset {
		t.Errorf("got %q, %v", reason, err)
	}
}

func TestMachineEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	m, err := Start(ctx, Kernel(kernel(t)), WithAccelerator(TCG))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Wait(0); err == nil || !strings.Contains(err.Error(), "still running") {
		t.Errorf("got %v", err)
	}
	cancel()
	if reason, err := m.Wait(10 * time.Second); err == nil {
		t.Errorf("ended as %q, want an error", reason)
	}
	if err := m.CtrlAltDel(); err == nil {
		t.Error("keys were pressed on no machine")
	}
	m.Kill()
}

func TestStartSaysWhyThereIsNoMachine(t *testing.T) {
	t.Parallel()
	kernel(t)
	if _, err := Start(context.Background(), Kernel("/nonexistent"), WithAccelerator(TCG)); err == nil ||
		!strings.Contains(err.Error(), "/nonexistent") {
		t.Errorf("got %v", err)
	}
}
