package linux

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"onset/core/job"
	"onset/platform"
	"onset/platform/posix"
)

// listens reports whether the process is to be heard of when it listens.
func (n *newcomer) listens() bool {
	return n.sign > 0 && n.spec.Slot == job.Main && n.spec.Expect.Kind == job.ExpectListen
}

// signNumber is the descriptor of expect fd in the process; 0 without.
func signNumber(s *job.Spec, sign int) int {
	if sign <= 0 || s.Slot != job.Main || s.Expect.Kind != job.ExpectFD {
		return 0
	}
	return s.Expect.FD
}

// signFault says why the descriptor of expect fd cannot be what it is to be.
func signFault(s *job.Spec, program posix.Program, io platform.Streams) error {
	why := ""
	switch number := signNumber(s, io.Sign); {
	case number == 0:
	case number < 3+len(io.Files):
		why = "it is that of a file which the job gets"
	case number == posix.ScriptFD && program.Script != "":
		why = "the shell reads the script from it"
	case number >= firstOwnFD-8:
		why = "it is too high"
	}
	if why == "" {
		return nil
	}
	return &platform.SpawnError{Reason: fmt.Sprintf("unable to set up descriptor %d for expect fd: %s", s.Expect.FD, why)}
}

// withSign adds the descriptor of expect fd to those of the process.
func (n *newcomer) withSign(files []uintptr) []uintptr {
	number := signNumber(n.spec, n.sign)
	if number == 0 {
		return files
	}
	for len(files) <= number {
		files = append(files, ^uintptr(0)) // closed
	}
	files[number] = uintptr(n.sign)
	return files
}

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
		if c := p.children[at]; c != nil {
			return c.token
		}
		seen = append(seen, at)
	}
	if sid, err := unix.Getsid(pid); err == nil && p.children[sid] != nil {
		return p.children[sid].token
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
