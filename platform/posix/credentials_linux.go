package posix

import "golang.org/x/sys/unix"

const secretFlags = unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOSUID

// mountSecrets makes a directory that is never swapped out, and goes with the
// job's mount namespace.
func mountSecrets(dir string) error {
	return inTurn(
		func() error { return unix.Mount("ramfs", dir, "ramfs", secretFlags, "") },
		func() error { return unix.Chmod(dir, credentialsMode) })
}

func sealSecrets(dir string) error {
	return unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|secretFlags, "")
}
