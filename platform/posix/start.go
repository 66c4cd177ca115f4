package posix

import (
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"onset/core/job"
)

// Plan is what the exec stage is to do for a process, but for what only one
// kernel has.
func (m *Maker) Plan(n *Newcomer) *Plan {
	s, a := n.Spec, &n.Spec.Attrs
	plan := &Plan{
		Argv: n.Program.Argv, Env: s.Env, Script: n.script >= 0, Trace: n.Tracked(), Debug: s.Debug,
		Console: a.Console, ConsolePath: m.Console, Bare: s.Slot == job.Security,
		Umask: a.Umask, Nice: a.Nice, HasNice: a.HasNice, OOM: a.OOM,
		Root: s.Root, Chroot: a.Chroot, Dir: directory(s), Setuid: a.Setuid, Setgid: a.Setgid,
		Tmpfiles: a.Tmpfiles, Listen: n.Listens(), ListenNames: s.ListenNames, Cgroups: n.Join,
	}
	if a.Console == job.ConsoleOutput && m.Console == "" {
		plan.Console = job.ConsoleNone // it has this init's standard output
	}
	copy(plan.Limits[:], a.Limits)
	if a.Isolation != nil && !plan.Bare {
		plan.Isolation = *a.Isolation
	}
	return plan
}

// Birth are the descriptors that a stage gets beside those of its process.
type Birth struct {
	Report int // to be read; see Report
	report int
	gate   []int
}

// NewBirth makes them. A tracked stage waits before its program, until Open or
// until this process is dead.
func NewBirth(tracked bool) (*Birth, error) {
	var report [2]int
	if err := unix.Pipe2(report[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, err
	}
	b := &Birth{Report: report[0], report: report[1]}
	if !tracked {
		return b, nil
	}
	var gate [2]int
	if err := unix.Pipe2(gate[:], unix.O_CLOEXEC); err != nil {
		CloseAll(report[:])
		return nil, err
	}
	b.gate = gate[:]
	return b, nil
}

// Born closes what is the stage's alone.
func (b *Birth) Born() { unix.Close(b.report) }

// Open lets the stage go on.
func (b *Birth) Open() { CloseAll(b.gate) }

// CloseAll closes descriptors.
func CloseAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// Fork executes a binary as the stage of a process, with the plan and the report
// behind its descriptors, the gate and the socket of expect listen behind
// these.
func (b *Birth) Fork(binary string, n *Newcomer, plan *Plan, sys *syscall.SysProcAttr) (int, error) {
	fd, err := Memory("plan", plan.Encode())
	if err != nil {
		return 0, Underlying(err)
	}
	defer unix.Close(fd)
	files := slices.Concat(n.Files, []uintptr{uintptr(fd), uintptr(b.report)})
	if len(b.gate) > 0 {
		files = append(files, uintptr(b.gate[0]))
	}
	if n.Listens() {
		files = append(files, uintptr(n.sign))
	}
	return syscall.ForkExec(binary, StageArgv(len(n.Files), len(n.Files)+1), &syscall.ProcAttr{Env: StageEnv, Files: files, Sys: sys})
}
