package posix

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Memory returns a descriptor, close-on-exec, with data in it that no file
// system holds and whose offset is 0.
func Memory(name string, data []byte) (int, error) {
	fd, err := anonymous(name)
	if err != nil {
		return -1, err
	}
	err = unix.Ftruncate(fd, int64(len(data)))
	for at := 0; err == nil && at < len(data); {
		n := 0
		n, err = unix.Pwrite(fd, data[at:], int64(at))
		at += n
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// InheritedMemory is Memory that the program which this one executes gets too.
func InheritedMemory(name string, data []byte) (int, error) {
	fd, err := Memory(name, data)
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
	}
	return fd, err
}

// ReadMemory returns the data of Memory.
func ReadMemory(f *os.File) ([]byte, error) {
	return io.ReadAll(io.NewSectionReader(f, 0, 1<<30))
}
