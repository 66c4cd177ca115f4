package linux

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/job"
)

// BenchmarkSpawn starts a program that does nothing and hears of its end:
// plain, through the exec stage, in namespaces of its own, with files of its
// own as well, and in the same namespaces by the tool of util-linux.
func BenchmarkSpawn(b *testing.B) {
	if os.Getuid() != 0 {
		b.Skip("needs root: namespaces")
	}
	kinds := namespaces("pid", "mount", "net", "uts", "ipc")
	for _, c := range []struct {
		name, text string
		umask      int
		isolation  *job.Isolation
	}{
		{"plain", "/bin/true", -1, nil},
		{"stage", "/bin/true", 0o077, nil},
		{"namespaces", "/bin/true", -1, &job.Isolation{Namespaces: kinds}},
		{"unshare", "/usr/bin/unshare --pid --fork --mount-proc --net --uts --ipc /bin/true", -1, nil},
		{"files", "/bin/true", -1, &job.Isolation{Namespaces: kinds, Private: []string{"tmp", "dev"}, ReadOnly: []string{"/"}, Hide: []string{"/root", "-/etc/shadow"}}},
	} {
		b.Run("way="+c.name, func(b *testing.B) {
			l := newLab(b, "")
			for b.Loop() {
				l.told = l.told[:0]
				s := l.spec(c.text, c.isolation)
				s.Attrs.Umask = c.umask
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
