package linux

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"onset/platform"
)

// mustMount mounts, and unmounts in the end.
func mustMount(t *testing.T, kind, dir string, flags uintptr) {
	t.Helper()
	if err := unix.Mount("none", dir, kind, flags, ""); err != nil {
		t.Fatalf("%s on %s: %v", kind, dir, err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
}

func TestJobCgroups(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	runtime.LockOSThread() // the namespace of cgroups belongs to a thread
	root := cgroupRoot(t)
	if err := os.WriteFile(root+"/cgroup.procs", []byte("0"), 0); err != nil {
		t.Fatal(err)
	}
	defer os.WriteFile(root+"/../cgroup.procs", []byte("0"), 0)
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		t.Skip("no cgroup namespace: " + err.Error())
	}
	for _, c := range []struct {
		name    string
		machine bool
		prepare func(t *testing.T)
		want    string
	}{
		{"process 1 mounts it", true, func(*testing.T) {}, "/sys/fs/cgroup/onset" + containerMark()},
		{"a session does not", false, func(*testing.T) {}, ""},
		{"mounted already", true, func(t *testing.T) { mustMount(t, "cgroup2", "/sys/fs/cgroup", 0) }, "/sys/fs/cgroup/onset" + containerMark()},
		{"beside v1", true, func(t *testing.T) {
			mustMount(t, "tmpfs", "/sys/fs/cgroup", 0)
			os.Mkdir("/sys/fs/cgroup/unified", 0o755)
			mustMount(t, "cgroup2", "/sys/fs/cgroup/unified", 0)
		}, "/sys/fs/cgroup/unified/onset" + containerMark()},
		{"only v1 until now", true, func(t *testing.T) { mustMount(t, "tmpfs", "/sys/fs/cgroup", 0) }, "/sys/fs/cgroup/unified/onset" + containerMark()},
		{"only v1 in a session", false, func(t *testing.T) { mustMount(t, "tmpfs", "/sys/fs/cgroup", 0) }, ""},
		{"read-only", true, func(t *testing.T) { mustMount(t, "cgroup2", "/sys/fs/cgroup", unix.MS_RDONLY) }, ""},
		{"no directory", true, func(t *testing.T) { os.RemoveAll("/sys/fs") }, ""},
	} {
		mustMount(t, "tmpfs", "/sys", 0)
		os.MkdirAll("/sys/fs/cgroup", 0o755)
		c.prepare(t)
		var warnings []string
		got := JobCgroups(c.machine, func(s string) { warnings = append(warnings, s) })
		if got != c.want || (got == "") != (len(warnings) == 1) || len(warnings) > 1 {
			t.Errorf("%s: %q, want %q; %q", c.name, got, c.want, warnings)
		}
		if got != "" {
			os.Remove(got)
		}
	}
}

// TestPoorContainer starts without a file system, a device or a right to make
// one.
func TestPoorContainer(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	runtime.LockOSThread()
	root := t.TempDir()
	mustMount(t, "tmpfs", root, 0)
	for _, dir := range []string{"/dev", "/proc", "/sys"} {
		os.Mkdir(root+dir, 0o755)
	}
	mustMount(t, "proc", root+"/proc", 0)
	if err := unix.Mount("none", root, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	var kept [3]int
	for fd := range kept {
		kept[fd], _ = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 100)
	}
	if err := unix.Chroot(root); err != nil {
		t.Fatal(err)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		t.Fatal(err)
	}
	var warnings []string
	warn := func(s string) { warnings = append(warnings, s) }
	PrepareMachine(true, warn)
	for fd := range kept {
		unix.Dup2(kept[fd], fd)
	}
	groups := JobCgroups(true, warn)
	poller, err := NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewProcesses(platform.Poller(poller), Options{CgroupRoot: groups, Warn: warn}); err != nil {
		t.Errorf("no processes: %v", err)
	}
	for _, what := range []string{"/dev filesystem", "/dev/pts filesystem", "make devices: /dev/ptmx, /dev/null, /dev/tty: ",
		"/sys filesystem", "initialize console", "no cgroups", "without a console"} {
		n := 0
		for _, w := range warnings {
			if strings.Contains(w, what) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d warnings of %q, want 1", n, what)
		}
	}
	if len(warnings) != 7 {
		t.Errorf("%d warnings, want 7", len(warnings))
	}
	if t.Failed() {
		t.Log(strings.Join(warnings, "\n"))
	}
}
