package freebsd

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"onset/core/job"
	"onset/platform"
	"onset/platform/posix"
)

// rules are those of rctl(8) for the groups of cgroup stanzas (EXTENSIONS §5).
// A group is a login class, as that is inherited and counts what all of its
// processes use together; a process has only one.
type rules struct {
	name    string // begins that of each class
	notice  func(token uint64, text string)
	of      map[uint64]string // classes of spawns that this manager began
	adopted map[uint64]bool   // spawns whose class nobody noted
	known   map[string]bool   // classes that have rules
}

const (
	ownPrefix = "upstart/" // begins what $UPSTART_CGROUP stands for
	maxClass  = 32         // bytes
)

// class is that of a group: own groups of an instance have a "/" behind the
// name of this init, others a ".". ok is false for a name that could not be
// expanded, or leads nowhere.
func (r *rules) class(group string) (class string, ok bool) {
	name := path.Clean("/" + group)[1:]
	if name == "" || strings.Contains(group, "$") {
		return "", false
	}
	own, is := strings.CutPrefix(name, ownPrefix)
	class = r.name + "." + name
	if is {
		class = r.name + "/" + own
	}
	if len(class) <= maxClass && !strings.ContainsFunc(class, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`:=,"`, r) }) {
		return class, true
	}
	sum := sha256.Sum256([]byte(name))
	return class[:len(r.name)+1] + hex.EncodeToString(sum[:])[:maxClass-len(r.name)-1], true
}

// place makes the rules of a spec and returns the class that the process is to
// enter, or "".
func (r *rules) place(token uint64, s *job.Spec) (class string, err error) {
	if len(s.Attrs.Cgroups) == 0 || s.Slot == job.Security {
		return "", nil
	}
	group := groupOf(s.Attrs.Cgroups)
	class, ok := r.class(group)
	if !ok {
		return "", setupError(group, unix.EINVAL)
	}
	for _, g := range s.Attrs.Cgroups {
		if err := r.limit(token, class, group, g); err != nil {
			return "", err
		}
	}
	return r.of[token], nil
}

// groupOf is the group of a stanza that a process is in: one that others may
// share comes before its own.
func groupOf(uses []job.Cgroup) (group string) {
	for _, g := range uses {
		for _, n := range g.Names {
			if group == "" || strings.HasPrefix(group, ownPrefix) && !strings.HasPrefix(n.Name, ownPrefix) {
				group = n.Name
			}
		}
	}
	return group
}

func setupError(what string, err error) error {
	errno, ok := err.(unix.Errno)
	if !ok {
		errno = unix.EINVAL
	}
	return &platform.SpawnError{Reason: "unable to setup cgroup: " + what + ": " + posix.Strerror(errno)}
}

// limit makes the rules of a controller. What the kernel cannot do is told.
func (r *rules) limit(token uint64, class, group string, g job.Cgroup) error {
	for _, n := range g.Names {
		for _, s := range n.Settings {
			l, ok, err := limitOf(g.Controller, s, n.Settings)
			switch {
			case err != nil:
				return setupError(s.Key, err)
			case !ok:
				r.notice(token, "cgroup "+g.Controller+" "+s.Key+" has no effect: the kernel has no such limit")
				continue
			case n.Name != group:
				r.notice(token, "cgroup "+g.Controller+" "+n.Name+" has no effect: the job is in "+group)
				continue
			}
			switch err := setRules(class, l); err {
			case nil:
				r.of[token], r.known[class] = class, true
			case unix.ENOSYS, unix.EPERM:
				r.notice(token, "cgroup "+g.Controller+" has no effect: "+posix.Strerror(err.(unix.Errno)))
				return nil
			default:
				return setupError(s.Key, err)
			}
		}
	}
	return nil
}

// setRules replaces the rules that limit a resource of a class in one way.
func setRules(class string, l limit) error {
	for _, action := range l.actions {
		rule := "loginclass:" + class + ":" + l.resource + ":" + action
		_, err := rctl(unix.SYS_RCTL_REMOVE_RULE, rule)
		if err != nil && err != unix.ESRCH { // there was none
			return err
		}
		if l.amount == unlimited {
			continue
		}
		if _, err := rctl(unix.SYS_RCTL_ADD_RULE, rule+"="+strconv.FormatUint(l.amount, 10)); err != nil {
			return err
		}
	}
	return nil
}

// rctl makes a system call of rctl(8), which gives and takes text.
func rctl(number uintptr, in string) (string, error) {
	text, err := unix.ByteSliceFromString(in)
	if err != nil {
		return "", unix.EINVAL
	}
	for size := 4096; ; size *= 4 {
		out := make([]byte, size)
		_, _, errno := unix.Syscall6(number, uintptr(unsafe.Pointer(&text[0])), uintptr(len(text)),
			uintptr(unsafe.Pointer(&out[0])), uintptr(len(out)), 0, 0)
		switch {
		case errno == 0:
			return unix.ByteSliceToString(out), nil
		case errno != unix.ERANGE:
			return "", errno
		}
	}
}

// used returns what the kernel counts of a resource of a subject.
func used(subject, resource string) (n uint64, ok bool) {
	text, _ := rctl(unix.SYS_RCTL_GET_RACCT, subject)
	_, rest, ok := strings.Cut(","+text, ","+resource+"=")
	if !ok {
		return 0, false
	}
	number, _, _ := strings.Cut(rest, ",")
	n, err := strconv.ParseUint(number, 10, 64)
	return n, err == nil
}

// release removes the rules of classes that nothing is in.
func (r *rules) release(token uint64) {
	if r.of[token] == "" && !r.adopted[token] {
		return
	}
	delete(r.of, token)
	delete(r.adopted, token)
	r.tidy()
}

func (r *rules) tidy() {
	used := map[string]bool{}
	for _, class := range r.of {
		used[class] = true
	}
	for class := range r.known {
		if !used[class] && empty(class) {
			rctl(unix.SYS_RCTL_REMOVE_RULE, "loginclass:"+class)
			delete(r.known, class)
		}
	}
}

// empty reports whether no process is in a class but dead ones, which count as
// processes until somebody waits for them.
func empty(class string) bool {
	n, ok := used("loginclass:"+class, "vmemoryuse")
	return ok && n == 0
}

// takeOver finds the classes that a manager before this one gave rules, for
// the spawns it left.
func (r *rules) takeOver(own map[uint64]bool) {
	for token := range own {
		if r.of[token] == "" {
			r.adopted[token] = true
		}
	}
	text, _ := rctl(unix.SYS_RCTL_GET_RULES, "loginclass:")
	for rule := range strings.SplitSeq(text, ",") {
		if f := strings.Split(rule, ":"); len(f) > 2 && r.isClass(f[1]) {
			r.known[f[1]] = true
		}
	}
	r.tidy()
}

func (r *rules) isClass(name string) bool {
	rest, ok := strings.CutPrefix(name, r.name)
	return ok && len(rest) > 1 && slices.Contains([]byte("/."), rest[0])
}

// starved reports whether the kernel's log has it that a process was over the
// memory of its class.
func (r *rules) starved(token uint64, pid int) bool {
	if r.of[token] == "" && !r.adopted[token] {
		return false
	}
	log, _ := unix.SysctlRaw("kern.msgbuf")
	return r.killed(string(log), r.of[token], pid)
}

// killed looks for a process in the kernel's log; class may be "".
func (r *rules) killed(log, class string, pid int) bool {
	matched := " matched by pid " + strconv.Itoa(pid) + " "
	for line := range strings.Lines(log) {
		_, rule, found := strings.Cut(line, `rctl: rule "loginclass:`)
		of, rest, _ := strings.Cut(rule, ":")
		if found && r.isClass(of) && (class == "" || of == class) && strings.HasPrefix(rest, "memoryuse:log=") && strings.Contains(rest, matched) {
			return true
		}
	}
	return false
}
