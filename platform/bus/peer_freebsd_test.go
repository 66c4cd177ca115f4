package bus

import (
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"onset/platform/posix"
)

// peeksRights says that who peeks at a message gets its descriptors.
const peeksRights = false

// tellsPeers reports whether the kernel tells which process connected.
func tellsPeers() bool {
	version, err := unix.SysctlUint32("kern.osreldate")
	return err == nil && version >= 1300000
}

// TestFileSystemMountedOverTheSocket mounts one, on the directory of the socket
// and above it, and takes it away again.
func TestFileSystemMountedOverTheSocket(t *testing.T) {
	if unix.Geteuid() != 0 {
		t.Skip("SKIPPED: needs root to mount")
	}
	w := newWorld(t, nil)
	dir := t.TempDir()
	path := filepath.Join(dir, "run/control/socket")
	w.within(func() {
		if err := w.Listen("unix:path=" + path); err != nil {
			t.Fatal(err)
		}
	})
	for _, at := range []string{"run/control", "run"} {
		at = filepath.Join(dir, at)
		if err := posix.Nmount("tmpfs", at, 0); err != nil {
			t.Fatal(err)
		}
		w.wantsAnswer(path)
		if err := unix.Unmount(at, unix.MNT_FORCE); err != nil {
			t.Fatal(err)
		}
		w.wantsAnswer(path)
	}
}
