package socket

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// solLocal is the level of LOCAL_PEERCRED (unix(4)).
const solLocal = 0

// peer tells who connected to a unix socket. Releases before 13.0 do not tell
// the process.
func peer(fd int) []string {
	c, err := unix.GetsockoptXucred(fd, solLocal, unix.LOCAL_PEERCRED)
	if err != nil || c.Ngroups < 1 {
		return nil
	}
	return []string{fmt.Sprintf("CLIENT_UID=%d", c.Uid), fmt.Sprintf("CLIENT_GID=%d", c.Groups[0])}
}

func ownPeer(unix.Sockaddr) []string { return nil }
