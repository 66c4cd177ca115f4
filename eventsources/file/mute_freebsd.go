package file

import "golang.org/x/sys/unix"

// muteKinds are by their names in the kernel.
var muteKinds = map[string]string{
	"procfs": "procfs", "linprocfs": "linprocfs", "linsysfs": "linsysfs",
	"nfs": "NFS", "smbfs": "SMB", "p9fs": "9P", "fusefs": "FUSE",
}

func kindOf(st *unix.Statfs_t) string { return unix.ByteSliceToString(st.Fstypename[:]) }
