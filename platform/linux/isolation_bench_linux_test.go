package linux

import (
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/job"
)

// BenchmarkSpawn starts a program that does nothing and hears of its end:
// by vfork and exec alone, and each with a cgroup of its own plain, with a
// socket to listen on, through the exec stage, in namespaces of its own, with files of its own as well, and in
// the same namespaces by the tool of util-linux.
func BenchmarkSpawn(b *testing.B) {
	if os.Getuid() != 0 {
		b.Skip("needs root: namespaces")
	}
	b.Run("way=vfork", func(b *testing.B) {
		null, _ := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
		defer unix.Close(null)
		attr := &syscall.ProcAttr{Files: []uintptr{uintptr(null), uintptr(null), uintptr(null)}, Sys: &syscall.SysProcAttr{Setsid: true}}
		for b.Loop() {
			pid, err := syscall.ForkExec("/bin/true", []string{"/bin/true"}, attr)
			if err != nil {
				b.Fatal(err)
			}
			unix.Wait4(pid, nil, 0, nil)
		}
	})
	groups := cgroupRoot(b)
	kinds := namespaces("pid", "mount", "net", "uts", "ipc")
	for _, c := range []struct {
		name, text string
		umask      int
		isolation  *job.Isolation
	}{
		{"plain", "/bin/true", -1, nil},
		{"socket", "/bin/true", -1, nil},
		{"stage", "/bin/true", 0o077, nil},
		{"namespaces", "/bin/true", -1, &job.Isolation{Namespaces: kinds}},
		{"unshare", "/usr/bin/unshare --pid --fork --mount-proc --net --uts --ipc /bin/true", -1, nil},
		{"files", "/bin/true", -1, &job.Isolation{Namespaces: kinds, Private: []string{"tmp", "dev"}, ReadOnly: []string{"/"}, Hide: []string{"/root", "-/etc/shadow"}}},
	} {
		b.Run("way="+c.name, func(b *testing.B) {
			l := newLab(b, groups)
			for b.Loop() {
				l.told = l.told[:0]
				s := l.spec(c.text, c.isolation)
				s.Attrs.Umask = c.umask
				if c.name == "socket" {
					s.ListenNames = []string{"socket"}
				}
				pid, reason := l.start(s)
				if reason != "" {
					b.Fatal(reason)
				}
				unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
				l.procs.Collect(func(m engine.Msg) { l.told = append(l.told, m) })
				if status := l.ended(pid); status != 0 {
					b.Fatalf("it ended with %v", status)
				}
			}
		})
	}
}
