//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// stageWord in argv makes this program process 1 of new namespaces until the
// init takes its place.
const stageWord = "as-process-1"

// namespaces are those of an init; its cgroup namespace it makes itself, in
// the group it was put into.
const namespaces = unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS

// boot is what the stage does.
type boot struct {
	Root   string   // has etc and var already
	Usr    []string // layers of /usr, first one on top
	Shared string   // seen as /bench
	Argv   []string
	Env    []string
}

// stage makes the root of the namespaces, writes the time to descriptor 3 and
// executes the init. It returns only when it fails.
func stage(args []string) error {
	var b boot
	if err := json.Unmarshal([]byte(args[0]), &b); err != nil {
		return err
	}
	unix.CloseOnExec(3)
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return err
	}
	if err := b.enterRoot(); err != nil {
		return err
	}
	if err := raise("lo"); err != nil {
		return err
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = 1024
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(os.NewFile(3, "start"), now()); err != nil {
		return err
	}
	return syscall.Exec(b.Argv[0], b.Argv, b.Env)
}

// raise has an interface up.
func raise(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq(name)
	if err == nil {
		r.SetUint16(unix.IFF_UP)
		err = unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r)
	}
	return err
}

// now is the monotonic clock in nanoseconds.
func now() int64 {
	var t unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return t.Nano()
}

func (b boot) enterRoot() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	at := func(path string) string { return filepath.Join(b.Root, path) }
	for _, m := range []struct {
		source, dir, kind string
		flags             uintptr
		data              string
	}{
		{b.Root, "", "", unix.MS_BIND, ""},
		{"overlay", "usr", "overlay", 0, "lowerdir=" + strings.Join(b.Usr, ":")},
		{"proc", "proc", "proc", 0, ""},
		{"sysfs", "sys", "sysfs", 0, ""},
		{"cgroup2", "sys/fs/cgroup", "cgroup2", 0, ""},
		{"tmpfs", "run", "tmpfs", 0, "mode=755"},
		{"tmpfs", "dev", "tmpfs", 0, "mode=755"},
		{"devpts", "dev/pts", "devpts", 0, "newinstance,ptmxmode=0666,mode=0620"},
		{b.Shared, "bench", "", unix.MS_BIND, ""},
	} {
		if err := os.MkdirAll(at(m.dir), 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.source, at(m.dir), m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("cannot mount %s on %q: %w", m.source, m.dir, err)
		}
	}
	if err := devices(at("dev")); err != nil {
		return err
	}
	if err := unix.PivotRoot(b.Root, b.Root); err != nil {
		return fmt.Errorf("cannot change the root: %w", err)
	}
	if err := unix.Unmount("/", unix.MNT_DETACH); err != nil {
		return err
	}
	return os.Chdir("/")
}

func devices(dir string) error {
	for name, minor := range map[string]uint32{"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9, "console": 3} {
		if err := unix.Mknod(filepath.Join(dir, name), unix.S_IFCHR|0o666, int(unix.Mkdev(1, minor))); err != nil {
			return err
		}
	}
	for name, dev := range map[string]uint64{"tty": unix.Mkdev(5, 0), "ptmx": unix.Mkdev(5, 2)} {
		if err := unix.Mknod(filepath.Join(dir, name), unix.S_IFCHR|0o666, int(dev)); err != nil {
			return err
		}
	}
	return nil
}
