package linux

import (
	"errors"
	"os"
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
	posix.Ledger
	o      Options
	maker  posix.Maker
	binary string // the own program, so that an upgrade cannot mix versions

	privileged bool // to make namespaces

	traced   map[int]*tracee
	cgroups  *cgroups
	limits   *limits
	swept    bool  // groups that a manager before left are taken care of
	anew     bool  // what it traced before it was executed anew is to be looked through
	untraced bool  // told that tracing is forbidden
	told     []int // dead children whose end was told, to be reaped by the next Collect
	youngest int   // child that was started last

	fast, staged int
}

var _ platform.Processes = (*Processes)(nil)

// NewProcesses makes all descriptors of this process close-on-exec: nothing
// but what Spawn is given reaches a job. The caller claims all signals before
// the first Spawn, which gives them their default action in the process.
func NewProcesses(p platform.Poller, o Options) (*Processes, error) {
	ledger := posix.NewLedger(p, o.Warn, o.Notice)
	o.Warn, o.Notice = ledger.Warn, ledger.Notice
	null, err := openNull(o.Warn)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: os.DevNull, Err: err}
	}
	binary, err := openBinary()
	if err != nil {
		unix.Close(null)
		return nil, err
	}
	if err := unix.CloseRange(3, ^uint(0)>>1, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		o.Warn("cannot keep descriptors from jobs: " + err.Error())
	}
	maker := posix.NewMaker(o.Umask, o.Console, null)
	if o.Alone && InContainer() && !hasConsole(maker.Console) {
		maker.Console = ""
	}
	setgroups, _ := os.ReadFile("/proc/self/setgroups")
	maker.NoGroup = maker.NoGroup || string(setgroups) == "deny\n"
	maker.TakeGroups()
	all := &Processes{
		Ledger: ledger,
		o:      o, maker: maker, binary: binary, privileged: mayMakeNamespaces(),
		traced: map[int]*tracee{},
	}
	all.maker.Forks = posix.Forks()
	all.cgroups = newCgroups(p, o, all.Emptied)
	all.limits = newLimits(all.cgroups, all.o)
	return all, nil
}

// hasConsole reports whether a console is there to be opened.
func hasConsole(path string) bool {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	unix.Close(fd)
	return true
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

// openBinary pins the program that is running and returns what to execute it
// by. Without /proc that is its path, which is pinned by nothing.
func openBinary() (string, error) {
	fd, err := unix.Open("/proc/self/exe", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return OwnBinary()
	}
	fd, err = posix.DupOwn(fd)
	return "/proc/self/fd/" + itoa(fd), err
}

// Counts returns how many processes were started by either path.
func (p *Processes) Counts() (fast, staged int) { return p.fast, p.staged }

// Spawn implements platform.Processes.
func (p *Processes) Spawn(token uint64, s *job.Spec, io platform.Streams) (platform.Started, error) {
	made, err := p.maker.Newcomer(token, s, io)
	if err != nil {
		return platform.Started{}, err
	}
	defer made.Close()
	n := &newcomer{Newcomer: made}
	if err := p.enroll(n); err != nil {
		return platform.Started{}, err
	}
	started, err := p.start(n)
	if n.group >= 0 {
		unix.Close(n.group)
	}
	if err != nil {
		p.cgroups.remove(token)
		p.limits.release(token)
		return started, posix.SpawnError(err)
	}
	p.cgroups.foresee(token + 1)
	c := p.Children[started.PID]
	c.Token, c.Follows = token, n.Follows()
	if before := p.Children[p.youngest]; before != nil {
		before.Next = started.PID
	}
	p.youngest = started.PID
	return started, nil
}

// newcomer is a process about to be started.
type newcomer struct {
	*posix.Newcomer
	group   int  // descriptor of its cgroup, or -1
	limited bool // the cgroup has limits
}

// enterItself has a process enter its group instead of being born in it.
func (p *Processes) enterItself(n *newcomer) {
	unix.Close(n.group)
	n.group, n.Join = -1, append(n.Join, p.cgroups.path(n.Token)+"/cgroup.procs")
}

// enroll makes the cgroups of a process.
func (p *Processes) enroll(n *newcomer) error {
	below, join, err := p.limits.place(n.Token, n.Spec)
	n.Join = join
	if err != nil {
		p.limits.release(n.Token)
		return err
	}
	var frozen bool
	n.group, frozen, err = p.cgroups.create(n.Token, below)
	if below != "" && err != nil { // else it is only not tracked
		p.limits.release(n.Token)
		return setupError(below, err)
	}
	if n.group >= 0 && (!p.cgroups.clones || frozen) {
		p.enterItself(n)
	}
	n.limited = below != ""
	if below != "" {
		delegate(p.cgroups.path(n.Token), n.Spec)
	}
	return nil
}

func (p *Processes) start(n *newcomer) (platform.Started, error) {
	attr := &syscall.ProcAttr{Sys: p.attributes(n)}
	if path := p.maker.Simple(n.Newcomer, attr); path != "" {
		if started, err := p.fork(n, path, attr); err == nil {
			p.fast++
			return started, nil
		}
	}
	if n.limited && n.group >= 0 { // the stage is to have none of the limits
		p.enterItself(n)
	}
	return p.stage(n)
}

// fork starts a process without the exec stage.
func (p *Processes) fork(n *newcomer, path string, attr *syscall.ProcAttr) (platform.Started, error) {
	fork := syscall.ForkExec
	if p.maker.Forks {
		fork = posix.Fork
	}
	pid, err := fork(path, n.Program.Argv, attr)
	if err == nil {
		p.Children[pid] = &posix.Child{}
	}
	return platform.Started{PID: pid, Executed: true}, err
}

// attributes are those of every process.
func (p *Processes) attributes(n *newcomer) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, UseCgroupFD: n.group >= 0, CgroupFD: max(n.group, 0)}
}

// Kill implements platform.Processes (UPSTART §2.9, EXTENSIONS §4).
func (p *Processes) Kill(token uint64, pid int, sig job.Signal, scope engine.Scope) error {
	compel(pid, unix.Signal(sig))
	if scope != engine.Tree || p.cgroups == nil {
		return posix.Signal(pid, unix.Signal(sig), scope != engine.Process)
	}
	reached, err := p.cgroups.kill(token, pid, unix.Signal(sig))
	if !reached { // somebody moved it away, or KILL, which does no harm twice
		err = errors.Join(err, posix.Signal(pid, unix.Signal(sig), true))
	}
	return err
}

// Await implements platform.Processes.
func (p *Processes) Await(token uint64) {
	if p.cgroups.remove(token) {
		p.Emptied(token)
		p.Poller.Wake()
	}
}
