package joblog

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

var ownMounts = &syscall.SysProcAttr{}

const forceUnmount = unix.MNT_FORCE

// pipeHolds returns how many bytes a pipe holds at most.
func pipeHolds(*testing.T, int) int { return 64 << 10 }

const ballast = 8 << 20

// smallDisk mounts a file system with room for that many bytes.
func smallDisk(t *testing.T, dir string, size int) {
	t.Helper()
	nmount(t, 0, "fstype", "tmpfs", "fspath", dir, "size", strconv.Itoa(size+ballast))
	if err := os.WriteFile(filepath.Join(dir, "ballast"), make([]byte, ballast), 0o600); err != nil {
		t.Fatal(err)
	}
}

// enlargeDisk makes room on it.
func enlargeDisk(t *testing.T, dir string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, "ballast")); err != nil {
		t.Fatal(err)
	}
}

// setReadOnly makes it read-only, or not.
func setReadOnly(t *testing.T, dir string, is bool) {
	t.Helper()
	flags, option := unix.MNT_UPDATE, "noro"
	if is {
		flags, option = flags|unix.MNT_RDONLY, "ro"
	}
	nmount(t, flags, "fstype", "tmpfs", "fspath", dir, option, "")
}

func nmount(t *testing.T, flags int, options ...string) {
	t.Helper()
	var list []unix.Iovec
	for _, text := range options {
		b, _ := unix.ByteSliceFromString(text)
		v := unix.Iovec{Base: &b[0]}
		v.SetLen(len(b))
		list = append(list, v)
	}
	_, _, errno := unix.Syscall(unix.SYS_NMOUNT, uintptr(unsafe.Pointer(&list[0])), uintptr(len(list)), uintptr(flags))
	if errno != 0 {
		t.Fatalf("%q: %v", options, errno)
	}
}
