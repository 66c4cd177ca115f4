package posix

import (
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"onset/core/job"
	"onset/platform"
)

// Maker is what makes processes: this init, as far as they take after it.
type Maker struct {
	Umask   int    // the default of jobs
	Console string // path; empty: there is none, and output to it goes where this init's goes
	Null    int    // descriptor of the null device
	UID     int
	GID     int
	Groups  []int
	NoGroup bool // groups cannot be set here
	Forks   bool // see Forks
}

// NewMaker returns the maker that this process is.
func NewMaker(umask int, console string, null int) Maker {
	if console == "" {
		console = "/dev/console"
	}
	groups, err := unix.Getgroups()
	return Maker{Umask: umask, Console: console, Null: null, UID: os.Geteuid(), GID: os.Getegid(), Groups: groups, NoGroup: err != nil}
}

// TakeGroups gives this init the groups of its user, which the kernel starts
// process 1 without, so that its jobs have them from birth.
func (m *Maker) TakeGroups() {
	if m.ownGroups() {
		return
	}
	ids, err := Identify("", "", m.UID, m.GID)
	if err == nil && !sameGroups(ids.Groups, m.Groups) && syscall.Setgroups(ids.Groups) == nil {
		m.Groups = ids.Groups
	}
}

// firstOwnFD is above every descriptor of a job: those are put in their place
// before the stage is executed by the number of its file.
var firstOwnFD = min(512, Descriptors()/2)

// Descriptors returns how many this process may have open.
func Descriptors() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 1024
	}
	return int(min(limit.Cur, 1<<20))
}

// DupOwn moves a descriptor above all that a job can have.
func DupOwn(fd int) (int, error) {
	defer unix.Close(fd)
	return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, firstOwnFD)
}

// Newcomer is a process about to be started.
type Newcomer struct {
	Token   uint64
	Spec    *job.Spec
	Program Program
	Files   []uintptr // descriptors of the process, by number
	Join    []string  // files of groups that it has to enter itself
	script  int       // descriptor to be ScriptFD, or -1
	sign    int       // see platform.Streams
}

// Newcomer prepares the descriptors of a process; Close it in any case.
func (m *Maker) Newcomer(token uint64, s *job.Spec, io platform.Streams) (*Newcomer, error) {
	n := &Newcomer{Token: token, Spec: s, Program: ProgramOf(s.Process, len(io.Files), s.Root+s.Attrs.Chroot), script: -1, sign: io.Sign}
	if len(io.Files) > firstOwnFD-8 {
		return nil, &platform.SpawnError{Reason: StepScript.Reason(0, unix.EMFILE, "")}
	}
	if err := n.signFault(len(io.Files)); err != nil {
		return nil, err
	}
	if n.Program.Script != "" {
		var err error
		if n.script, err = Memory("script", []byte(n.Program.Script)); err != nil {
			return nil, SpawnError(err)
		}
	}
	n.Files = n.withSign(m.files(n, io))
	return n, nil
}

// Close closes what only the process needs.
func (n *Newcomer) Close() {
	if n.script >= 0 {
		unix.Close(n.script)
	}
}

func (m *Maker) files(n *Newcomer, io platform.Streams) []uintptr {
	null := uintptr(m.Null)
	files := []uintptr{null, null, null}
	switch console := n.Spec.Attrs.Console; {
	case console == job.ConsoleLog && io.Log >= 0:
		files[1], files[2] = uintptr(io.Log), uintptr(io.Log)
	case console == job.ConsoleOutput && m.Console == "":
		files[1], files[2] = 1, 2
	}
	for _, fd := range io.Files {
		files = append(files, uintptr(fd))
	}
	if n.script < 0 {
		return files
	}
	for len(files) < ScriptFD {
		files = append(files, ^uintptr(0)) // closed
	}
	return append(files, uintptr(n.script))
}

// Simple adds to attr what a process is to have and returns what to execute
// where the kernel's own attributes are enough for its spec; else "".
func (m *Maker) Simple(n *Newcomer, attr *syscall.ProcAttr) (path string) {
	s, a := n.Spec, &n.Spec.Attrs
	if len(n.Program.Argv) == 0 || a.Console == job.ConsoleOutput && m.Console != "" || a.Console == job.ConsoleOwner || s.Debug || n.Tracked() || n.Listens() || len(n.Join) > 0 || len(s.ListenNames) > 0 && !m.Forks {
		return ""
	}
	name := n.Program.Argv[0]
	attr.Env, attr.Files = s.Env, n.Files
	if len(s.ListenNames) > 0 {
		attr.Env = listenVars(slices.Clone(s.Env), s.ListenNames, ownPID)
	}
	if s.Slot == job.Security {
		return FindProgram(name, s.Env) // none of the attributes
	}
	if m.needsStage(s) {
		return ""
	}
	attr.Dir = directory(s)
	if root := s.Root + a.Chroot; root != "" { // at most one of them
		attr.Sys.Chroot = root
		if name[0] != '/' {
			return "" // to be found in there
		}
	}
	if !m.identify(n, attr) {
		return ""
	}
	return FindProgram(name, s.Env)
}

// needsStage reports whether a spec asks for what only the exec stage does.
func (m *Maker) needsStage(s *job.Spec) bool {
	a := &s.Attrs
	named := a.Setuid != "" || a.Setgid != ""
	limited := slices.ContainsFunc(a.Limits, func(l job.Limit) bool { return l.Set })
	return a.Umask >= 0 && a.Umask != m.Umask ||
		a.HasNice || a.OOM != 0 || limited || a.Isolation != nil || len(a.Tmpfiles) > 0 ||
		a.AppArmor != "" && s.Slot == job.Main ||
		s.Root != "" && a.Chroot != "" || (s.Root != "" || a.Chroot != "") && (named || !m.ownGroups())
}

// ownGroups reports whether a job without setuid has the groups of this init.
func (m *Maker) ownGroups() bool { return m.NoGroup || m.UID != 0 }

// identify adds the ids of a process unless a name is unknown.
func (m *Maker) identify(n *Newcomer, attr *syscall.ProcAttr) bool {
	a := &n.Spec.Attrs
	named := a.Setuid != "" || a.Setgid != ""
	if !named && m.ownGroups() {
		return true
	}
	ids, err := Identify(a.Setuid, a.Setgid, m.UID, m.GID)
	if err != nil {
		return false
	}
	if !named && sameGroups(ids.Groups, m.Groups) {
		return true
	}
	attr.Sys.Credential = credentialOf(ids, m.UID != 0)
	if named && n.script >= 0 {
		unix.Fchown(n.script, ids.UID, ids.GID)
	}
	return true
}

func credentialOf(ids IDs, keepGroups bool) *syscall.Credential {
	return &syscall.Credential{Uid: uint32(ids.UID), Gid: uint32(ids.GID), Groups: groupsOf(&ids, nil), NoSetGroups: keepGroups}
}

func sameGroups(a, b []int) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(g int) bool { return !slices.Contains(b, g) })
}

// directory is where a process starts; "" is where this init is.
func directory(s *job.Spec) string {
	if s.Attrs.Chdir == "" && !s.InheritCwd {
		return "/"
	}
	return s.Attrs.Chdir
}

// Follows reports whether another process may go on in the place of this one.
func (n *Newcomer) Follows() bool { return n.Spec.Slot == job.Main && n.Spec.Expect.Follows() }

// Tracked reports whether all that the process makes is to be seen, from its
// first instruction on.
func (n *Newcomer) Tracked() bool { return n.Spec.Slot == job.Main && n.Spec.Expect.Forks() }

// SpawnError tells a want of resources, which may pass, from other faults.
func SpawnError(err error) error {
	if e, ok := err.(*platform.SpawnError); ok {
		return e
	}
	errno, ok := Underlying(err).(syscall.Errno)
	if !ok {
		return &platform.SpawnError{Reason: err.Error()}
	}
	temporary := slices.Contains([]syscall.Errno{unix.EAGAIN, unix.ENOMEM, unix.EMFILE, unix.ENFILE}, errno)
	return &platform.SpawnError{Reason: Strerror(errno), Temporary: temporary}
}

// Underlying is the error number in an error of a system call.
func Underlying(err error) error {
	switch e := err.(type) {
	case *os.SyscallError:
		return e.Err
	case *os.PathError:
		return e.Err
	}
	return err
}
