package posix

import "golang.org/x/sys/unix"

// scriptPath is the file that ScriptFD is in the process itself, which
// fdescfs(5) has; devfs alone has no more than 0 to 2.
func scriptPath(root string) string {
	var st unix.Statfs_t
	if unix.Statfs(root+"/dev/fd", &st) != nil || unix.ByteSliceToString(st.Fstypename[:]) != "fdescfs" {
		return ""
	}
	return "/dev/fd/9"
}
