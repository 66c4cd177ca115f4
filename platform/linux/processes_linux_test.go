package linux

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"onset/platform"
	"onset/platform/platformtest"
)

func TestMain(m *testing.M) {
	platformtest.Main()
	unix.Umask(0o022)
	os.Exit(m.Run())
}

// inNamespace runs the test again as process 1 of a private pid and mount
// namespace, and reports whether this is that run.
func inNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: namespaces and ids")
	}
	if os.Getpid() == 1 {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
			t.Fatal(err)
		}
		return true
	}
	run := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v="+verbose(), "-test.timeout=5m")
	run.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
	out, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("in a namespace: %v\n%s", err, out)
	}
	t.Logf("%s", out)
	return false
}

func verbose() string {
	if testing.Verbose() {
		return "true"
	}
	return "false"
}

func TestConformance(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	platformtest.Run(t, func() (platform.Poller, platform.Processes) {
		poller := newPoller(t)
		procs, err := NewProcesses(poller, Options{Umask: 0o022, Console: platformtest.ConsolePath, Warn: func(s string) { t.Log(s) }})
		if err != nil {
			t.Fatal(err)
		}
		return poller, procs
	})
}
