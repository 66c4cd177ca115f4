package posix

import "golang.org/x/sys/unix"

// shmAnon is SHM_ANON of shm_open(2): memory without a name.
const shmAnon = 1

func anonymous(string) (int, error) {
	fd, _, errno := unix.Syscall(unix.SYS_SHM_OPEN, shmAnon, unix.O_RDWR|unix.O_CLOEXEC, 0o666)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}
