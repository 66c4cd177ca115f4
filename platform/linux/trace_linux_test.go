package linux

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"onset/platform"
	"onset/platform/platformtest"
	"onset/platform/posix"
)

// TestTreesUnprivileged traces and recovers as a user's init.
func TestTreesUnprivileged(t *testing.T) {
	program := "/proc/self/exe"
	if os.Getpid() != 1 {
		program = copyOfTest(t) // where that user may execute it
	}
	if !namespaced(t, program) {
		return
	}
	const nobody = 65534
	if err := syscall.Setgroups(nil); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setresgid(nobody, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setresuid(nobody, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0); err != nil { // as after an execution
		t.Fatal(err)
	}
	platformtest.RunTrees(t, backend)
}

func copyOfTest(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	os.Chmod(filepath.Dir(dir), 0o755)
	os.Chmod(dir, 0o755)
	if err := os.WriteFile(dir+"/test", text, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir + "/test"
}

// TestUntraceable has a container that forbids ptrace, without groups and with
// them. That is said once by each back end.
func TestUntraceable(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	forbid(t, unix.SYS_PTRACE)
	if err := seize(os.Getpid(), 0); err != unix.EPERM {
		t.Fatalf("ptrace says %v", err)
	}
	for _, groups := range []string{"", cgroupRoot(t)} {
		t.Setenv(platformtest.GroupsEnv, groups)
		platformtest.RunUntraced(t, func() (platform.Poller, platform.Processes) {
			poller, said := newPoller(t), 0
			procs, err := NewProcesses(poller, Options{Umask: 0o022, CgroupRoot: groups, Warn: func(text string) {
				if said++; said > 1 || !strings.Contains(text, "cannot be traced") {
					t.Errorf("warned: %s", text)
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			return poller, procs
		})
	}
}

// forbid has a system call fail in this process and its descendants.
func forbid(t *testing.T, call uint32) {
	t.Helper()
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		t.Skip("no seccomp here: " + errno.Error())
	}
}

func BenchmarkForks(b *testing.B) {
	if err := posix.AdoptOrphans(); err != nil {
		b.Fatal(err)
	}
	platformtest.BenchForks(b, backend)
}
