package file

import "golang.org/x/sys/unix"

// muteKinds are file systems where something happens that kqueue does not see:
// of other machines, or made by the kernel as it is looked at.
var muteKinds = map[string]string{
	"procfs": "procfs", "linprocfs": "linprocfs", "linsysfs": "linsysfs",
	"nfs": "NFS", "smbfs": "SMB", "p9fs": "9P", "fusefs": "FUSE",
}

// muteKind names the kind of file system of a path if it is such a one.
func muteKind(path string) string {
	var st unix.Statfs_t
	err := error(unix.EINTR)
	for err == unix.EINTR {
		err = unix.Statfs(path, &st)
	}
	if err != nil {
		return ""
	}
	return muteKinds[unix.ByteSliceToString(st.Fstypename[:])]
}
