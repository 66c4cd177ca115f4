package posix

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The account files. Other sources of users are not asked: they need services
// that init is to start.
const (
	passwdFile = "/etc/passwd"
	groupFile  = "/etc/group"
)

// Account files are read up to these bounds.
const (
	maxAccountFile = 8 << 20 // bytes
	maxGroups      = 65536   // of one user, as in Linux
)

// IDs are the credentials of a process.
type IDs struct {
	UID, GID int
	Groups   []int
	Asked    bool // the groups are those of a setgroups stanza
}

// SetupError is a step of the set-up that failed.
type SetupError struct {
	Step  Step
	Arg   byte // number of the limit
	Errno unix.Errno
	Text  string // of StepText
}

func (e *SetupError) Error() string { return e.Step.Reason(e.Arg, e.Errno, e.Text) }

// Identify finds the ids for setuid and setgid names, either of which may be
// empty, for an init of effective ids uid and gid. Supplementary groups are
// those of the user with its primary group (DECISIONS 19).
func Identify(setuid, setgid string, uid, gid int) (IDs, *SetupError) {
	ids, user := IDs{UID: uid, GID: gid}, "root"
	if setuid != "" {
		fields, err := account(passwdFile, setuid, 4)
		if err != nil {
			return ids, lookupError(err, StepGetpwnam, StepFindUser)
		}
		u, ok1 := number(fields[2])
		g, ok2 := number(fields[3])
		if !ok1 || !ok2 {
			return ids, &SetupError{Step: StepGetpwnam, Errno: unix.EINVAL}
		}
		ids.UID, ids.GID, user = u, g, setuid
	}
	primary := ids.GID
	if setgid != "" {
		fields, err := account(groupFile, setgid, 3)
		if err != nil {
			return ids, lookupError(err, StepGetgrnam, StepFindGroup)
		}
		g, ok := number(fields[2])
		if !ok {
			return ids, &SetupError{Step: StepGetgrnam, Errno: unix.EINVAL}
		}
		ids.GID = g
		if setuid == "" {
			primary = g
		}
	}
	ids.Groups = listing.groupsOf(user, primary)
	if !slices.Contains(ids.Groups, ids.GID) {
		ids.Groups = append(ids.Groups, ids.GID)
	}
	return ids, nil
}

// findGroups returns the groups of names or numbers.
func findGroups(names []string) ([]int, *SetupError) {
	var groups []int
	for _, name := range names {
		g, ok := number(name)
		if !ok {
			fields, err := account(groupFile, name, 3)
			if err != nil {
				return nil, failure(fmt.Sprintf("unable to find group %q", name), err)
			}
			if g, ok = number(fields[2]); !ok {
				return nil, failure(fmt.Sprintf("unable to find group %q", name), unix.EINVAL)
			}
		}
		groups = append(groups, g)
	}
	return groups, nil
}

var errNoAccount = errors.New("no such account")

func lookupError(err error, failed, missing Step) *SetupError {
	var errno unix.Errno
	if errors.As(err, &errno) && errno != unix.ENOENT {
		return &SetupError{Step: failed, Errno: errno}
	}
	return &SetupError{Step: missing}
}

// account returns the fields of a line that starts with a name.
func account(file, name string, fields int) (found []string, err error) {
	err = errNoAccount
	failed := eachLine(file, func(line string) bool {
		if rest, ok := strings.CutPrefix(line, name); !ok || !strings.HasPrefix(rest, ":") {
			return true
		}
		f := strings.Split(line, ":")
		if len(f) < fields {
			return true
		}
		found, err = f, nil
		return false
	})
	if failed != nil {
		err = failed
	}
	return found, err
}

// listing is of this process: jobs without setuid all ask for the same.
var listing groupCache

// groupCache keeps what was found in the file of groups until that changes.
type groupCache struct {
	file  unix.Stat_t
	found map[groupQuery][]int
}

type groupQuery struct {
	user    string
	primary int
}

// settled is how old a file must be to be known by its times, which are those
// of the kernel's last tick.
const settled = time.Second

// groupsOf is groupsIn, which is asked again when the file has changed.
func (c *groupCache) groupsOf(user string, primary int) []int {
	var st unix.Stat_t
	err := unix.Stat(groupFile, &st)
	st.Atim = unix.Timespec{}
	if err != nil || st != c.file || time.Since(time.Unix(st.Ctim.Unix())) < settled {
		*c = groupCache{st, map[groupQuery][]int{}}
	}
	q := groupQuery{user, primary}
	if c.found[q] == nil {
		c.found[q] = groupsIn(user, primary)
	}
	return slices.Clone(c.found[q])
}

// groupsIn returns the primary group of a user and those that list it. A
// file of groups that cannot be read lists nobody.
func groupsIn(user string, primary int) []int {
	groups := []int{primary}
	eachLine(groupFile, func(line string) bool {
		f := strings.Split(line, ":")
		if len(f) < 4 || !slices.Contains(strings.Split(f[3], ","), user) {
			return true
		}
		if g, ok := number(f[2]); ok && !slices.Contains(groups, g) {
			groups = append(groups, g)
		}
		return len(groups) < maxGroups
	})
	return groups
}

func eachLine(file string, yield func(string) bool) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, maxAccountFile))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if !yield(lines.Text()) {
			return nil
		}
	}
	return lines.Err()
}

func number(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return int(n), err == nil && n != 1<<32-1
}
