package file

import (
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestMounts(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root mounts")
	}
	mounted(t)
}

// mount mounts an empty file system; see nmount(2).
func mount(dir string) error {
	var list []unix.Iovec
	for _, text := range []string{"fstype", "tmpfs", "fspath", dir} {
		b := append([]byte(text), 0)
		list = append(list, unix.Iovec{Base: &b[0], Len: uint64(len(b))})
	}
	_, _, errno := unix.Syscall(unix.SYS_NMOUNT, uintptr(unsafe.Pointer(&list[0])), uintptr(len(list)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// unmount does so although directories are open.
func unmount(dir string) error { return unix.Unmount(dir, unix.MNT_FORCE) }
