package linux

import (
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Memory returns a descriptor, inherited over exec, with data in it that no
// file system holds.
func Memory(name string, data []byte) (int, error) {
	fd, err := unix.MemfdCreate(name, 0)
	if err != nil {
		return -1, err
	}
	for at := int64(0); at < int64(len(data)); {
		n, err := unix.Pwrite(fd, data[at:], at)
		if err != nil {
			unix.Close(fd)
			return -1, err
		}
		at += int64(n)
	}
	return fd, nil
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
