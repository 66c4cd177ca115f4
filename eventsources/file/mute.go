package file

import "golang.org/x/sys/unix"

// muteKind names the kind of file system of a path if something happens there
// that the kernel does not tell of: it is another machine's, or made as it is
// looked at.
func muteKind(path string) string {
	var st unix.Statfs_t
	err := error(unix.EINTR)
	for err == unix.EINTR {
		err = unix.Statfs(path, &st)
	}
	if err != nil {
		return ""
	}
	return muteKinds[kindOf(&st)]
}
