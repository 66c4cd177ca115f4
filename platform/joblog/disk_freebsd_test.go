package joblog

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"onset/platform/posix"
)

var ownMounts = &syscall.SysProcAttr{}

const forceUnmount = unix.MNT_FORCE

// pipeHolds returns how many bytes a pipe holds at most.
func pipeHolds(*testing.T, int) int { return 64 << 10 }

const ballast = 8 << 20

// smallDisk mounts a file system with room for that many bytes.
func smallDisk(t *testing.T, dir string, size int) {
	t.Helper()
	if err := posix.Nmount("tmpfs", dir, 0, "size", strconv.Itoa(size+ballast)); err != nil {
		t.Fatal(err)
	}
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
	if err := posix.Nmount("tmpfs", dir, flags, option, ""); err != nil {
		t.Fatal(err)
	}
}
