package freebsd

import (
	"errors"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/job"
	"onset/platform"
	"onset/platform/posix"
)

// Options are what processes need to know of their init.
type Options struct {
	Umask   int          // of this init, which is the default of its jobs
	Alone   bool         // it is the init of the machine
	Console string       // empty: /dev/console
	Warn    func(string) // may be nil
	// Notice is told what the job of a token has to do without. May be nil.
	Notice func(token uint64, text string)
}

// Processes implements platform.Processes.
type Processes struct {
	posix.Ledger
	maker     posix.Maker
	groups    *groups
	isolation *isolation

	queue    int              // tells of ends and executions
	overseen map[int]bool     // ends to be told by vanished
	lasting  map[int][]uint64 // tokens that something lives of as long as this process does
	awaited  map[uint64]bool  // tokens to tell Emptied of
	doomed   map[uint64]bool  // tokens all of which is to die
	staging  map[int]bool     // taken over as exec stages
	stopping map[int]bool     // taken over, to be told of when they are stopped
	trees    map[uint64]*tree // followed, by token
	swept    bool             // what a manager before left is taken care of
	told     int              // dead child whose end was told, to be reaped by the next Collect

	fast, staged int
}

var _ platform.Processes = (*Processes)(nil)

// NewProcesses makes this process a reaper, and all its descriptors
// close-on-exec: nothing but what Spawn is given reaches a job. The caller
// claims all signals before the first Spawn, which gives them their default
// action in the process.
func NewProcesses(p platform.Poller, o Options) (*Processes, error) {
	if err := posix.AdoptOrphans(); err != nil {
		return nil, err
	}
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: os.DevNull, Err: err}
	}
	if binaryErr != nil {
		return nil, binaryErr
	}
	queue, err := newQueue()
	if err != nil {
		return nil, err
	}
	keepDescriptors()
	name := "onset"
	if !o.Alone {
		name += strconv.Itoa(os.Getpid())
	}
	ledger := posix.NewLedger(p, o.Warn, o.Notice)
	all := &Processes{
		Ledger: ledger,
		maker:  posix.NewMaker(o.Umask, o.Console, null), queue: queue,
		isolation: newIsolation(name, ledger.Warn, ledger.Notice),
		overseen:  map[int]bool{}, lasting: map[int][]uint64{}, awaited: map[uint64]bool{}, doomed: map[uint64]bool{},
		staging: map[int]bool{}, stopping: map[int]bool{}, trees: map[uint64]*tree{},
	}
	all.groups = newGroups(all.isolation.jid, ledger.Warn)
	return all, p.Add(queue, platform.Readable, func(platform.Ready) { all.drain() })
}

// Counts returns how many processes were started by either path.
func (p *Processes) Counts() (fast, staged int) { return p.fast, p.staged }

// Spawn implements platform.Processes.
func (p *Processes) Spawn(token uint64, s *job.Spec, io platform.Streams) (platform.Started, error) {
	if s.Expect.Kind == job.ExpectListen {
		io.Sign = 0 // Listens needs none
	}
	n, err := p.maker.Newcomer(token, s, io)
	if err != nil {
		return platform.Started{}, err
	}
	defer n.Close()
	if n.Join, err = p.isolation.place(token, s); err != nil {
		p.isolation.release(token)
		return platform.Started{}, err
	}
	p.groups.begin(token)
	started, err := p.start(n)
	if err != nil {
		p.forget(token)
		return started, posix.SpawnError(err)
	}
	p.groups.born(token, started.PID)
	c := p.Children[started.PID]
	c.Token, c.Follows = token, n.Follows()
	return started, nil
}

func (p *Processes) start(n *posix.Newcomer) (platform.Started, error) {
	attr := &syscall.ProcAttr{Sys: &syscall.SysProcAttr{Setsid: true}}
	if path := p.maker.Simple(n, attr); path != "" {
		if pid, err := syscall.ForkExec(path, n.Program.Argv, attr); err == nil {
			p.fast++
			p.Children[pid] = &posix.Child{}
			return platform.Started{PID: pid, Executed: true}, nil
		}
	}
	return p.stage(n)
}

// stage starts a process through the exec stage.
func (p *Processes) stage(n *posix.Newcomer) (platform.Started, error) {
	plan := p.maker.Plan(n)
	plan.Isolation.Namespaces = posix.Namespaces(&plan.Isolation, true)
	p.isolation.jail(n.Token, plan)
	pid, err := p.Stage(plan.Trace, func(b *posix.Birth) (int, error) {
		return b.Fork(binary, n, plan, &syscall.SysProcAttr{Setsid: true})
	}, func(pid int) { p.follow(n.Token, pid) })
	if err != nil {
		return platform.Started{}, err
	}
	p.staged++
	return platform.Started{PID: pid}, nil
}

// forget lets go of what a spawn had of which nothing lives.
func (p *Processes) forget(token uint64) {
	p.unfollow(token)
	p.groups.forget(token)
	p.isolation.release(token)
	delete(p.awaited, token)
	delete(p.doomed, token)
}

// Kill implements platform.Processes (UPSTART §2.9, EXTENSIONS §4).
func (p *Processes) Kill(token uint64, pid int, sig job.Signal, scope engine.Scope) error {
	if scope != engine.Tree {
		return posix.Signal(pid, unix.Signal(sig), scope != engine.Process)
	}
	if unix.Signal(sig) == unix.SIGKILL {
		p.doomed[token] = true
		return errors.Join(p.hunt(token), posix.Signal(pid, unix.SIGKILL, true))
	}
	reached := false
	var err error
	for _, member := range p.groups.living(token) {
		reached = reached || member == pid
		err = errors.Join(err, posix.Signal(member, unix.Signal(sig), false))
	}
	if !reached {
		err = errors.Join(err, posix.Signal(pid, unix.Signal(sig), true))
	}
	return err
}

// hunt kills until only processes are there that have their signal. One that
// is just forking is done with that first, so it is due again whenever one of
// them has ended.
func (p *Processes) hunt(token uint64) (err error) {
	if root := p.groups.of[token].root; root != 0 {
		killTree(root, unix.SIGKILL)
	}
	for before := map[int]bool{}; ; {
		again := false
		for _, pid := range p.groups.living(token) {
			if !before[pid] {
				before[pid], again = true, true
				err = errors.Join(err, posix.Signal(pid, unix.SIGKILL, false))
			}
		}
		if !again {
			return err
		}
	}
}

// Tree implements platform.Processes.
func (p *Processes) Tree(token uint64, pid int) []platform.Process {
	members := p.groups.living(token)
	if alive(pid) {
		members = append(members, pid)
	}
	return posix.Tree(members, parentOf, describe)
}
