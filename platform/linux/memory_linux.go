package linux

import (
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"onset/platform/posix"
)

// Memory returns a descriptor, inherited over exec, with data in it that no
// file system holds.
func Memory(name string, data []byte) (int, error) {
	fd, err := posix.Memory(name, data)
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
	}
	return fd, err
}

// ReadMemory returns what Memory was given.
func ReadMemory(f *os.File) ([]byte, error) {
	return io.ReadAll(io.NewSectionReader(f, 0, 1<<30))
}

// OwnBinary is the path of the running program as it was started, or the one
// that replaced it.
func OwnBinary() (string, error) {
	path, err := os.Readlink("/proc/self/exe")
	return strings.TrimSuffix(path, " (deleted)"), err
}
