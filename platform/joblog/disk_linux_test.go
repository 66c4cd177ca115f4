package joblog

import (
	"fmt"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

var ownMounts = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}

const forceUnmount = unix.MNT_DETACH

// pipeHolds returns how many bytes a pipe holds at most.
func pipeHolds(t *testing.T, fd int) int {
	t.Helper()
	size, err := unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, 4096)
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// smallDisk mounts a file system of that many bytes.
func smallDisk(t *testing.T, dir string, size int) {
	t.Helper()
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("joblog", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Fatal(err)
	}
}

// enlargeDisk makes room on it.
func enlargeDisk(t *testing.T, dir string) {
	t.Helper()
	if err := unix.Mount("joblog", dir, "tmpfs", unix.MS_REMOUNT, "size=64m"); err != nil {
		t.Fatal(err)
	}
}

// setReadOnly makes it read-only, or not.
func setReadOnly(t *testing.T, dir string, is bool) {
	t.Helper()
	flags := uintptr(unix.MS_REMOUNT)
	if is {
		flags |= unix.MS_RDONLY
	}
	if err := unix.Mount("joblog", dir, "tmpfs", flags, ""); err != nil {
		t.Fatal(err)
	}
}
