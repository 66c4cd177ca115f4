package linux

import (
	"errors"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/job"
	"onset/platform"
	"onset/platform/posix"
)

// Options are what processes need to know of their init.
type Options struct {
	Umask      int          // of this init, which is the default of its jobs
	CgroupRoot string       // writable cgroup v2 directory for jobs; empty: none
	NoCgroups  bool         // cgroup stanzas have no effect either
	Alone      bool         // no process of others is in the cgroup of this init
	Console    string       // empty: /dev/console
	Warn       func(string) // may be nil
	// Notice is told what the job of a token has to do without. May be nil.
	Notice func(token uint64, text string)
}

// Processes implements platform.Processes.
type Processes struct {
	o       Options
	poller  platform.Poller
	null    int // /dev/null, for standard descriptors
	binary  int // the own program, so that an upgrade cannot mix versions
	uid     int
	gid     int
	groups  []int // of this init
	noGroup bool  // the user namespace forbids to set groups

	privileged bool // to make namespaces

	children map[int]*child // started and not collected yet
	traced   map[int]*tracee
	cgroups  *cgroups
	limits   *limits
	swept    bool         // groups that a manager before left are taken care of
	happened []engine.Msg // for the next Collect
	anew     bool         // what it traced before it was executed anew is to be looked through
	untraced bool         // told that tracing is forbidden
	told     int          // dead child whose end was told, to be reaped by the next Collect

	fast, staged int
}

// child is a process of a job.
type child struct {
	stage   *posix.Report // of the exec stage; nil once the program runs
	failed  bool          // told by ExecFailed
	token   uint64        // of its cgroup
	unsure  bool          // taken over when it was dead: whether it ran its program is not told
	follows bool          // another may go on in its place (job.Expect.Follows)
	second  bool          // not the only one of its token that was or is main
	session int           // that it was in when it was taken over, if not its own
}

var _ platform.Processes = (*Processes)(nil)

// NewProcesses makes all descriptors of this process close-on-exec: nothing
// but what Spawn is given reaches a job. The caller claims all signals before
// the first Spawn, which gives them their default action in the process.
func NewProcesses(p platform.Poller, o Options) (*Processes, error) {
	if o.Console == "" {
		o.Console = "/dev/console"
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	if o.Notice == nil {
		o.Notice = func(uint64, string) {}
	}
	null, err := openNull(o.Warn)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: os.DevNull, Err: err}
	}
	binary, err := openBinary()
	if err != nil {
		unix.Close(null)
		return nil, &os.PathError{Op: "open", Path: "/proc/self/exe", Err: err}
	}
	if err := unix.CloseRange(3, ^uint(0)>>1, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		o.Warn("cannot keep descriptors from jobs: " + err.Error())
	}
	groups, err := unix.Getgroups()
	setgroups, _ := os.ReadFile("/proc/self/setgroups")
	all := &Processes{
		o: o, poller: p, null: null, binary: binary,
		uid: os.Geteuid(), gid: os.Getegid(), groups: groups,
		noGroup:    err != nil || string(setgroups) == "deny\n",
		privileged: mayMakeNamespaces(),
		children:   map[int]*child{}, traced: map[int]*tracee{},
	}
	all.cgroups = newCgroups(p, o, all.emptied)
	all.limits = newLimits(all.cgroups, all.o)
	return all, nil
}

// openNull opens the null device. Where there is none, an empty file stands
// in, which gives nothing and takes nothing.
func openNull(warn func(string)) (int, error) {
	fd, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err == nil {
		return fd, nil
	}
	warn("jobs without a console cannot write to standard output: " + os.DevNull + ": " + err.Error())
	if fd, err = unix.MemfdCreate("null", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING); err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_WRITE)
	}
	return fd, err
}

// firstOwnFD is above every descriptor of a job: those are put in their place
// before the stage is executed by its number.
const firstOwnFD = 512

// openBinary pins the program that is running.
func openBinary() (int, error) {
	fd, err := unix.Open("/proc/self/exe", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fd)
	return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, firstOwnFD)
}

// Counts returns how many processes were started by either path.
func (p *Processes) Counts() (fast, staged int) { return p.fast, p.staged }

// Spawn implements platform.Processes.
func (p *Processes) Spawn(token uint64, s *job.Spec, io platform.Streams) (platform.Started, error) {
	program := posix.ProgramOf(s.Process, len(io.Files))
	if len(io.Files) > firstOwnFD-8 {
		return platform.Started{}, &platform.SpawnError{Reason: posix.StepScript.Reason(0, unix.EMFILE, "")}
	}
	if err := signFault(s, program, io); err != nil {
		return platform.Started{}, err
	}
	script := -1
	if program.Script != "" {
		var err error
		if script, err = posix.Memory("script", []byte(program.Script)); err != nil {
			return platform.Started{}, spawnError(err)
		}
		defer unix.Close(script)
	}
	n := &newcomer{token: token, spec: s, program: program, script: script, sign: io.Sign}
	if err := p.enroll(n); err != nil {
		return platform.Started{}, err
	}
	n.files = n.withSign(p.files(n, io))
	started, err := p.start(n)
	if n.group >= 0 {
		unix.Close(n.group)
	}
	if err != nil {
		p.cgroups.remove(token)
		p.limits.release(token)
		return started, spawnError(err)
	}
	c := p.children[started.PID]
	c.token, c.follows = token, s.Slot == job.Main && s.Expect.Follows()
	return started, nil
}

// newcomer is a process about to be started.
type newcomer struct {
	token   uint64
	spec    *job.Spec
	program posix.Program
	script  int      // descriptor to be ScriptFD, or -1
	group   int      // descriptor of its cgroup, or -1
	join    []string // files of further cgroups, which it has to enter itself
	limited bool     // the cgroup has limits
	files   []uintptr
	sign    int // see platform.Streams
}

// enterItself has a process enter its group instead of being born in it.
func (p *Processes) enterItself(n *newcomer) {
	unix.Close(n.group)
	n.group, n.join = -1, append(n.join, p.cgroups.path(n.token)+"/cgroup.procs")
}

// enroll makes the cgroups of a process.
func (p *Processes) enroll(n *newcomer) error {
	below, join, err := p.limits.place(n.token, n.spec)
	n.join = join
	if err != nil {
		p.limits.release(n.token)
		return err
	}
	n.group, err = p.cgroups.create(n.token, below)
	if below != "" && err != nil { // else it is only not tracked
		p.limits.release(n.token)
		return setupError(below, err)
	}
	if n.group >= 0 && (!p.cgroups.clones || frozen(n.group)) {
		p.enterItself(n)
	}
	n.limited = below != ""
	if below != "" {
		delegate(p.cgroups.path(n.token), n.spec)
	}
	return nil
}

func (p *Processes) start(n *newcomer) (platform.Started, error) {
	if path, attr := p.simple(n); path != "" {
		if pid, err := syscall.ForkExec(path, n.program.Argv, attr); err == nil {
			p.fast++
			p.children[pid] = &child{}
			return platform.Started{PID: pid, Executed: true}, nil
		}
	}
	if n.limited && n.group >= 0 { // the stage is to have none of the limits
		p.enterItself(n)
	}
	return p.stage(n)
}

// files are the descriptors of the process, by number.
func (p *Processes) files(n *newcomer, io platform.Streams) []uintptr {
	null := uintptr(p.null)
	files := []uintptr{null, null, null}
	if n.spec.Attrs.Console == job.ConsoleLog && io.Log >= 0 {
		files[1], files[2] = uintptr(io.Log), uintptr(io.Log)
	}
	for _, fd := range io.Files {
		files = append(files, uintptr(fd))
	}
	if n.script < 0 {
		return files
	}
	for len(files) < posix.ScriptFD {
		files = append(files, ^uintptr(0)) // closed
	}
	return append(files, uintptr(n.script))
}

// simple returns what to execute and how where the kernel's own attributes
// are enough for a spec; else "".
func (p *Processes) simple(n *newcomer) (string, *syscall.ProcAttr) {
	s, a := n.spec, &n.spec.Attrs
	if len(n.program.Argv) == 0 || a.Console == job.ConsoleOutput || a.Console == job.ConsoleOwner || s.Debug || traces(s) || n.listens() || len(s.ListenNames)+len(n.join) > 0 {
		return "", nil
	}
	name := n.program.Argv[0]
	attr := &syscall.ProcAttr{Env: s.Env, Files: n.files, Sys: p.attributes(n)}
	if s.Slot == job.Security {
		return posix.FindProgram(name, s.Env), attr // none of the attributes
	}
	if p.needsStage(s) {
		return "", nil
	}
	attr.Dir = directory(s)
	if root := s.Root + a.Chroot; root != "" { // at most one of them
		attr.Sys.Chroot = root
		if name[0] != '/' {
			return "", nil // to be found in there
		}
	}
	if !p.identify(n, attr) {
		return "", nil
	}
	return posix.FindProgram(name, s.Env), attr
}

// needsStage reports whether a spec asks for what only the exec stage does.
func (p *Processes) needsStage(s *job.Spec) bool {
	a := &s.Attrs
	named := a.Setuid != "" || a.Setgid != ""
	limited := slices.ContainsFunc(a.Limits, func(l job.Limit) bool { return l.Set })
	return a.Umask >= 0 && a.Umask != p.o.Umask ||
		a.HasNice || a.OOM != 0 || limited || a.Isolation != nil || len(a.Tmpfiles) > 0 ||
		a.AppArmor != "" && s.Slot == job.Main ||
		s.Root != "" && a.Chroot != "" || (s.Root != "" || a.Chroot != "") && (named || !p.ownGroups())
}

// ownGroups reports whether a job without setuid has the groups of this init.
func (p *Processes) ownGroups() bool { return p.noGroup || p.uid != 0 }

// identify adds the ids of a process unless a name is unknown.
func (p *Processes) identify(n *newcomer, attr *syscall.ProcAttr) bool {
	a := &n.spec.Attrs
	named := a.Setuid != "" || a.Setgid != ""
	if !named && p.ownGroups() {
		return true
	}
	ids, err := posix.Identify(a.Setuid, a.Setgid, p.uid, p.gid)
	if err != nil {
		return false
	}
	if !named && sameGroups(ids.Groups, p.groups) {
		return true
	}
	attr.Sys.Credential = credential(ids, p.uid != 0)
	if named && n.script >= 0 {
		unix.Fchown(n.script, ids.UID, ids.GID)
	}
	return true
}

func credential(ids posix.IDs, keepGroups bool) *syscall.Credential {
	c := &syscall.Credential{Uid: uint32(ids.UID), Gid: uint32(ids.GID), NoSetGroups: keepGroups}
	for _, g := range ids.Groups {
		c.Groups = append(c.Groups, uint32(g))
	}
	return c
}

func sameGroups(a, b []int) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(g int) bool { return !slices.Contains(b, g) })
}

// attributes are those of every process.
func (p *Processes) attributes(n *newcomer) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, UseCgroupFD: n.group >= 0, CgroupFD: max(n.group, 0)}
}

// directory is where a process starts; "" is where this init is.
func directory(s *job.Spec) string {
	if s.Attrs.Chdir == "" && !s.InheritCwd {
		return "/"
	}
	return s.Attrs.Chdir
}

func traces(s *job.Spec) bool { return s.Slot == job.Main && s.Expect.Forks() }

// spawnError tells a want of resources, which may pass, from other faults.
func spawnError(err error) error {
	errno, ok := err.(syscall.Errno)
	if !ok {
		return &platform.SpawnError{Reason: err.Error()}
	}
	temporary := slices.Contains([]syscall.Errno{unix.EAGAIN, unix.ENOMEM, unix.EMFILE, unix.ENFILE}, errno)
	return &platform.SpawnError{Reason: posix.Strerror(errno), Temporary: temporary}
}

// Kill implements platform.Processes (UPSTART §2.9, EXTENSIONS §4).
func (p *Processes) Kill(token uint64, pid int, sig job.Signal, scope engine.Scope) error {
	compel(pid, unix.Signal(sig))
	if scope != engine.Tree || p.cgroups == nil {
		return signal(pid, unix.Signal(sig), scope != engine.Process)
	}
	reached, err := p.cgroups.kill(token, pid, unix.Signal(sig))
	if !reached { // somebody moved it away, or KILL, which does no harm twice
		err = errors.Join(err, signal(pid, unix.Signal(sig), true))
	}
	return err
}

// signal sends a signal to a process or to its group, unless that is our own.
// One that is not there is no error.
func signal(pid int, sig unix.Signal, group bool) error {
	if pid == 0 {
		return nil
	}
	if group {
		if id, err := unix.Getpgid(pid); err == nil && id > 1 && id != unix.Getpgrp() {
			pid = -id
		}
	}
	if err := unix.Kill(pid, sig); err != nil && err != unix.ESRCH {
		return err
	}
	return nil
}

// Await implements platform.Processes.
func (p *Processes) Await(token uint64) {
	if p.cgroups.remove(token) {
		p.emptied(token)
		p.poller.Wake()
	}
}

// emptied tells that nothing lives any more of a spawn, unless the end of a
// process of it is still to be told and says so.
func (p *Processes) emptied(token uint64) {
	for _, c := range p.children {
		if c.token == token {
			return
		}
	}
	p.tell(engine.Emptied{Token: token})
}
