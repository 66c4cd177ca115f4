package posix

import "golang.org/x/sys/unix"

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
