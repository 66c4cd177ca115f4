package freebsd

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"onset/platform/posix"
)

func TestWhoMakesTheRootWritable(t *testing.T) {
	for fstab, want := range map[string]bool{
		"":                                     false,
		"/dev/ada0p2 / ufs rw 1 1\n":           true,
		"# x\n/dev/ada0p2\t/\tufs\trw\t1\t0\n": false,
		"/dev/ada0p2 / ufs rw\n":               false,
		"/dev/ada0p2 / ufs rw,noatime 1 1\n/dev/ada0p3 /var ufs rw 2 2": true,
		"/dev/ada0p3 /var ufs rw 2 2\n":                                 false,
		"/dev/cd0 / cd9660 noatime,ro 0 0\n":                            true,
		"#/dev/ada0p2 / ufs rw 1 1\n":                                   false,
	} {
		if got := leftAlone(fstab); got != want {
			t.Errorf("%q: left to others %v, want %v", fstab, got, want)
		}
	}
}

func TestInsecureConsole(t *testing.T) {
	for ttys, want := range map[string]bool{
		"":                                    false,
		"console none unknown off secure\n":   false,
		"console none unknown off insecure":   true,
		"# console none unknown off insecure": false,
		"ttyu0 \"/usr/libexec/getty std\" vt100 on insecure\nconsole none unknown off secure # insecure": false,
	} {
		if got := insecure(ttys); got != want {
			t.Errorf("%q: %v, want %v", ttys, got, want)
		}
	}
}

func TestKernelVariable(t *testing.T) {
	if got := kernelVariable("kernelname") + kernelVariable("onset.there.is.none"); strings.Contains(got, "\x00") {
		t.Errorf("got %q", got)
	}
	if got := kernelVariable("vfs.root.mountfrom"); !strings.Contains(got, ":") {
		t.Errorf("the root is mounted from %q", got)
	}
}

// needMounts skips where this process may not mount.
func needMounts(t *testing.T) {
	if os.Getuid() != 0 || InContainer() {
		t.Skip("mounting needs root outside of jails")
	}
}

func mounts(t *testing.T, dir string) (kinds []string) {
	t.Helper()
	n, err := unix.Getfsstat(nil, unix.MNT_NOWAIT)
	if err != nil {
		t.Fatal(err)
	}
	list := make([]unix.Statfs_t, n+8)
	if n, err = unix.Getfsstat(list, unix.MNT_NOWAIT); err != nil {
		t.Fatal(err)
	}
	for _, fs := range list[:n] {
		if unix.ByteSliceToString(fs.Mntonname[:]) == dir {
			kinds = append(kinds, unix.ByteSliceToString(fs.Fstypename[:]))
		}
	}
	return kinds
}

func TestMountIsDoneOnce(t *testing.T) {
	needMounts(t)
	dir := t.TempDir()
	for range 2 {
		if err := mount("fdescfs", dir); err != nil {
			t.Fatal(err)
		}
	}
	got := mounts(t, dir)
	for range got {
		unix.Unmount(dir, 0)
	}
	if !slices.Equal(got, []string{"fdescfs"}) {
		t.Errorf("mounted are %q, want one fdescfs", got)
	}
	if err := mount("fdescfs", filepath.Join(dir, "none")); err != unix.ENOENT {
		t.Errorf("no directory: %v", err)
	}
}

// TestRunIsWritable covers /var/run by what cannot be written.
func TestRunIsWritable(t *testing.T) {
	needMounts(t)
	if err := posix.Nmount("tmpfs", runDir, unix.MNT_RDONLY, "from", "tmpfs"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(runDir, unix.MNT_FORCE)
	var warnings []string
	warn := func(text string) { warnings = append(warnings, text) }
	if err := openRun(warn); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(runDir, unix.MNT_FORCE)
	if err := os.WriteFile(runDir+"/x", nil, 0o600); err != nil || len(warnings) != 1 {
		t.Errorf("%v, told %q", err, warnings)
	}
	before := len(mounts(t, runDir))
	if err := openRun(warn); err != nil || len(mounts(t, runDir)) != before || len(warnings) != 1 {
		t.Errorf("where it is writable: %v, told %q", err, warnings)
	}
}

func TestOwnBinary(t *testing.T) {
	path, err := OwnBinary()
	if err != nil {
		t.Fatal(err)
	}
	own, err := os.Stat(path)
	if err != nil || own.Size() < 1<<20 {
		t.Errorf("%q: %v, %v", path, own, err)
	}
	if !Upgraded() {
		t.Error("process 1 is taken for a test")
	}
}

// TestSystemLog is syslogd, where there is none.
func TestSystemLog(t *testing.T) {
	const name = runDir + "/log"
	if _, err := os.Lstat(name); os.Getuid() != 0 || err == nil {
		t.Skip("somebody has " + name + ", or this is not root")
	}
	write, err := SystemLog()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: name}); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(name)
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10})
	write(4, "init: a warning")
	b := make([]byte, 100)
	n, _, err := unix.Recvfrom(fd, b, 0)
	if got := string(b[:max(n, 0)]); got != "<28>init: a warning" {
		t.Errorf("syslogd gets %q, %v", got, err)
	}
}

func TestDirectoriesThatAMountHides(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("giving directories away needs root")
	}
	top := t.TempDir()
	if err := os.MkdirAll(top+"/service/state", 0o755); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(top+"/service/pid", []byte("1\n"), 0o644)
	const mode = os.ModeDir | os.ModeSetgid | os.ModeSticky | 0o730
	os.Chown(top+"/service/state", 3, 4)
	os.Chmod(top+"/service/state", mode)
	before := directories(top)
	if len(before) != 2 || before[1] != (directory{top + "/service/state", mode, 3, 4}) {
		t.Fatalf("seen: %v", before)
	}
	os.RemoveAll(top + "/service")
	for _, d := range before {
		if err := d.make(); err != nil {
			t.Fatal(err)
		}
	}
	if after := directories(top); !slices.Equal(after, before) {
		t.Errorf("made %v of %v", after, before)
	}
}
