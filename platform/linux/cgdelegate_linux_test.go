package linux

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"onset/platform/posix"
)

const delegatedEnv = "ONSET_TEST_DELEGATED"

// TestDelegated limits jobs as a user whose group was given to it, with the
// init of the session in it.
func TestDelegated(t *testing.T) {
	if os.Getenv(delegatedEnv) != "" {
		testDelegated(t)
		return
	}
	if os.Getuid() != 0 {
		t.Skip("needs root: another user")
	}
	mounted := slices.IndexFunc(cgroupMounts, isCgroup2)
	if mounted < 0 {
		t.Skip("no cgroup v2 at its usual place")
	}
	above := cgroupMounts[mounted]
	own, err := os.MkdirTemp(above, "onset-test-")
	if err != nil {
		t.Skip("cgroup v2 is not writable here: " + err.Error())
	}
	t.Cleanup(func() { RemoveCgroups(own) })
	put(above+"/cgroup.subtree_control", "+hugetlb") // it stays on, see newLimitWorld
	const nobody = 65534
	for _, file := range []string{"", "/cgroup.procs", "/cgroup.threads", "/cgroup.subtree_control"} {
		if err := os.Chown(own+file, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	group, err := os.Open(own)
	if err != nil {
		t.Fatal(err)
	}
	defer group.Close()
	run := exec.Command("/proc/self/exe", "-test.run=^TestDelegated$", "-test.v="+verbose())
	run.Env = append(os.Environ(), delegatedEnv+"=1")
	run.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, UseCgroupFD: true, CgroupFD: int(group.Fd())}
	out, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("as a user: %v\n%s", err, out)
	}
	t.Logf("%s", out)
}

func testDelegated(t *testing.T) {
	warn := func(s string) { t.Error(s) }
	root := JobCgroups(false, warn)
	if root == "" {
		t.FailNow()
	}
	defer RemoveCgroups(root)
	if err := posix.AdoptOrphans(); err != nil {
		t.Fatal(err)
	}
	w := &limitWorld{groupWorld: &groupWorld{T: t, root: root, dir: t.TempDir()}}
	w.restart()
	counted := hasWord(filepath.Dir(root)+"/cgroup.controllers", "hugetlb")
	token, pid := w.spawn(w.limited(`sleep 1000 & `+waits, group("hugetlb", "upstart/web", "2MB.max=4M"), group("freezer", "upstart/web", "freeze=0")))
	if counted {
		w.wantFile(root+"/upstart/web/hugetlb.2MB.max", "4194304")
		w.wantFile(root+asideSuffix+"/cgroup.procs", itoa(os.Getpid()))
	} else {
		t.Log("cgroup v2 has no hugetlb here")
	}
	if len(w.notices) > 0 && counted {
		t.Errorf("notices %q", w.notices)
	}
	if again := JobCgroups(false, warn); again != root {
		t.Errorf("after a re-execution the groups are in %s, not %s", again, root)
	}
	w.end(token, pid, root+"/upstart")
	token, pid = w.spawn(w.limited(waits, group("memory", "upstart/web", "max=1G")))
	if want := []string{"cgroup memory has no effect: "}; len(w.notices) != 1 || !strings.HasPrefix(w.notices[0], want[0]) {
		if !hasWord(filepath.Dir(root)+"/cgroup.controllers", "memory") {
			t.Errorf("notices %q, want %q", w.notices, want)
		}
	}
	w.end(token, pid, root+"/upstart")
}

// TestLimitsReadOnly runs a job without the limit that cannot be.
func TestLimitsReadOnly(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	w := newLimitWorld(t)
	w.needV1("pids")
	dir := v1Groups(text("/proc/self/mountinfo"), text("/proc/self/cgroup"))["pids"]
	if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	token, pid := w.spawn(w.limited(waits, group("pids", "upstart/x", "max=3")))
	if want := []string{"cgroup pids has no effect: Read-only file system"}; !slices.Equal(w.notices, want) {
		t.Errorf("notices %q, want %q", w.notices, want)
	}
	w.end(token, pid)
}

// TestV1Groups reads what the kernel says of mounts.
func TestV1Groups(t *testing.T) {
	const mounts = `24 1 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw
30 24 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
31 24 0:27 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory
32 24 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
33 24 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
34 24 0:30 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
` + "99 1 0:31 / /home/u/x\u2003y\u2003-\u2003cgroup\u2003cgroup\u2003cpu rw - fuse.u u rw\n"
	const own = "5:cpu,cpuacct:/user/x\n4:memory:/docker/abc\n3:pids:/../..\n2:name=systemd:/s\n0::/unified\n"
	want := map[string]string{"cpu": "/sys/fs/cgroup/cpu,cpuacct/user/x", "cpuacct": "/sys/fs/cgroup/cpu,cpuacct/user/x",
		"memory": "/sys/fs/cgroup/memory", "name=systemd": "/sys/fs/cgroup/systemd/s"}
	got := v1Groups(mounts, own)
	for c, dir := range want {
		if got[c] != dir {
			t.Errorf("%s in %q, want %q", c, got[c], dir)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %v", got)
	}
}

// BenchmarkGroup is what the group of a spawn costs in the hierarchy of v2,
// and with the groups that count memory and tasks.
func BenchmarkGroup(b *testing.B) {
	var dirs []string
	for _, dir := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids"} {
		if there(dir+"/cgroup.procs") && unix.Access(dir, unix.W_OK) == nil {
			dirs = append(dirs, dir)
		}
	}
	for _, dir := range dirs {
		b.Run(strings.ReplaceAll(strings.TrimPrefix(dir, "/sys/fs/cgroup"), "/", ""), func(b *testing.B) {
			var before unix.Rusage
			unix.Getrusage(unix.RUSAGE_SELF, &before)
			for range b.N {
				if err := unix.Mkdir(dir+"/onset-bench", 0o755); err != nil {
					b.Fatal(err)
				}
				unix.Rmdir(dir + "/onset-bench")
			}
			var used unix.Rusage
			unix.Getrusage(unix.RUSAGE_SELF, &used)
			b.ReportMetric(float64(used.Stime.Nano()-before.Stime.Nano())/float64(b.N), "sys-ns/op")
		})
	}
}
