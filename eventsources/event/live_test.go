package event

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"onset/eventsources/sourcetest"
)

// startSystem starts another init with the program of that of a session, which
// has its name on a bus as that of a machine has. initctl asks it.
func startSystem(t *testing.T, session *sourcetest.Session, bus string, jobs map[string]string) (initctl func(args ...string) string) {
	t.Helper()
	program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", session.PID))
	if err != nil {
		t.Skipf("where the program of init is cannot be told here: %v", err)
	}
	dir := t.TempDir()
	for name, text := range jobs {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, "--user", "--confdir", dir, "--logdir", dir)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "XDG_RUNTIME_DIR=" + dir, "DBUS_SESSION_BUS_ADDRESS=" + bus}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	return func(args ...string) string {
		address := fmt.Sprintf("UPSTART_SESSION=unix:abstract=/com/ubuntu/upstart-session/%d/%d", os.Getuid(), cmd.Process.Pid)
		ask := exec.Command(filepath.Join(filepath.Dir(program), "initctl"), args...)
		ask.Env = append(os.Environ(), address)
		out, _ := ask.CombinedOutput()
		return string(out)
	}
}

// TestSystemToSession has the source between two real inits: one with the name
// of a system's on a bus, and one of a session.
func TestSystemToSession(t *testing.T) {
	bus := sourcetest.NewBus(t)
	session := sourcetest.NewSession(t, sourcetest.Examples(t, "event"))
	initctl := startSystem(t, session, bus.Address, map[string]string{"printer.conf": "start on plug\nexec sleep 1000000\n"})
	session.Host(Source{Address: bus.Address})
	session.Await("a job of the session", func() bool {
		initctl("stop", "printer")
		initctl("start", "printer")
		return strings.Contains(session.Log("tell"), "printer is there\n")
	})
}
