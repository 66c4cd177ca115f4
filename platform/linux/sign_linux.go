package linux

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// TokenOf implements platform.Processes: by the group, and without groups by
// ancestors and session.
func (p *Processes) TokenOf(pid int) uint64 {
	if pid <= 0 {
		return 0
	}
	if p.cgroups != nil {
		return p.cgroups.tokenOf(pid)
	}
	seen := []int{}
	for at := pid; at > 1 && !slices.Contains(seen, at); at = parentOf(at) {
		if c := p.Children[at]; c != nil {
			return c.Token
		}
		seen = append(seen, at)
	}
	if sid, err := unix.Getsid(pid); err == nil && p.Children[sid] != nil {
		return p.Children[sid].Token
	}
	return 0
}

// tokenOf returns the token of the group that a process is in or below, or 0.
// Its path may begin elsewhere than the root does here, so the first directory
// that is called like the root counts. A number is that of a token.
func (c *cgroups) tokenOf(pid int) uint64 {
	text, _ := os.ReadFile(procPath(pid, "cgroup"))
	path, _ := ownGroupOf(string(text), "")
	_, below, _ := strings.Cut(path+"/", "/"+filepath.Base(c.root)+"/")
	for name := range strings.SplitSeq(below, "/") {
		token, err := strconv.ParseUint(name, 10, 64)
		if err == nil && there(c.path(token)) {
			return token
		}
		if err == nil {
			break
		}
	}
	return 0
}
