package linux

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"onset/platform"
	"onset/platform/platformtest"
)

func TestMain(m *testing.M) {
	platformtest.Main(backend)
	probeMain()
	listenMain()
	unix.Umask(0o022)
	os.Exit(m.Run())
}

// inNamespace runs the test again as process 1 of a private pid, mount and ipc
// namespace, and reports whether this is that run.
func inNamespace(t *testing.T) bool {
	t.Helper()
	return namespaced(t, "/proc/self/exe")
}

// namespaced does so by another path of the test binary.
func namespaced(t *testing.T, program string) bool {
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
	run := exec.Command(program, "-test.run=^"+t.Name()+"$", "-test.v="+verbose(), "-test.timeout=5m")
	run.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWIPC}
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
	platformtest.Run(t, backend)
}

func TestConformanceWithCgroups(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	t.Setenv(platformtest.GroupsEnv, cgroupRoot(t))
	platformtest.Run(t, backend)
}

func backend() (platform.Poller, platform.Processes) {
	warn := func(s string) { fmt.Fprintln(os.Stderr, s) }
	poller, err := NewPoller()
	if err == nil {
		var procs *Processes
		o := Options{Umask: 0o022, Console: platformtest.ConsolePath, CgroupRoot: os.Getenv(platformtest.GroupsEnv), Warn: warn}
		if procs, err = NewProcesses(poller, o); err == nil {
			return poller, procs
		}
	}
	panic(err)
}
