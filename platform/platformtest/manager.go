package platformtest

import (
	"bufio"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/env"
	"onset/core/job"
	"onset/platform"
)

// A manager under test is a process that may be killed. It reads orders, one
// a line, and writes what it is told, one a line; see order. Of a process
// with expect it does what the engine would (EXTENSIONS §4).
type underling struct {
	poller platform.Poller
	procs  platform.Processes
	out    *os.File
	expect map[int]*expectation
	fatal  bool // ends at the first end it is told, before that is taken
}

type expectation struct {
	kind  job.ExpectKind
	forks int
}

// GroupsEnv names where a back end under test keeps its groups, if it has any.
const GroupsEnv = "ONSET_TEST_GROUPS"

// manage is the life of a manager under test.
func manage(backend Backend) {
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	u := &underling{expect: map[int]*expectation{}, out: os.Stdout}
	u.poller, u.procs = backend()
	orders := make(chan string)
	u.say("up")
	go func() {
		in := bufio.NewScanner(os.Stdin)
		for in.Buffer(nil, 1<<20); in.Scan(); {
			u.poller.Wake()
			orders <- in.Text()
		}
		os.Exit(0)
	}()
	go func() {
		for range signals {
			u.poller.Wake()
		}
	}()
	for {
		select {
		case line := <-orders:
			u.order(line)
		default:
			more := u.procs.Collect(u.hear)
			if !more && u.poller.Wait(2*time.Millisecond) != nil {
				os.Exit(1)
			}
		}
	}
}

func (u *underling) say(format string, args ...any) { fmt.Fprintf(u.out, format+"\n", args...) }

// order carries out one of
//
//	spawn|find TOKEN EXPECT TMPFILES USER TEXT    ("-" for none)
//	adopt TOKEN PID EXPECT FORKS
//	reaped PID CODE STATUS
//	keep TOKEN PID EXPECT                         (adopt what is ready)
//	supervise TOKEN PID
//	reexec
//	detach PID
//	fatal
func (u *underling) order(line string) {
	var token uint64
	var pid, expect, a, b int
	switch word, rest, _ := strings.Cut(line, " "); word {
	case "spawn", "find":
		f := strings.SplitN(rest, " ", 5)
		fmt.Sscan(f[0]+" "+f[1], &token, &expect)
		s := crashSpec(f[2], f[3], strings.ReplaceAll(f[4], "\x01", "\n"))
		s.Expect.Kind = job.ExpectKind(expect)
		if word == "find" {
			found := u.procs.Find(token, s, func(int) bool { return false })
			pid = found.PID
			u.say("found %d %v", pid, found.Started)
		} else {
			started, err := u.procs.Spawn(token, s, noStreams)
			pid = started.PID
			u.say("spawned %d %v %v", pid, started.Executed, err)
		}
		u.expect[pid] = &expectation{kind: s.Expect.Kind}
	case "adopt":
		fmt.Sscan(rest, &token, &pid, &expect, &a)
		u.expect[pid] = &expectation{job.ExpectKind(expect), a}
		u.procs.Adopt(token, pid, job.ExpectKind(expect), true)
		u.say("adopted %d", pid)
	case "reaped":
		fmt.Sscan(rest, &pid, &a, &b)
		u.procs.Reaped(pid, a, b, u.hear)
	case "keep":
		fmt.Sscan(rest, &token, &pid, &expect)
		u.procs.Adopt(token, pid, job.ExpectKind(expect), false)
		u.say("adopted %d", pid)
	case "reexec":
		syscall.Exec(os.Args[0], os.Args, os.Environ())
	case "supervise":
		fmt.Sscan(rest, &token, &pid)
		u.procs.Supervise(token, pid)
	case "detach":
		fmt.Sscan(rest, &pid)
		u.procs.Detach(pid)
	case "fatal":
		u.fatal = true
	}
}

// crashSpec is the spec of a job in the tests of crashes.
func crashSpec(tmpfiles, user, text string) *job.Spec {
	s := &job.Spec{
		Job: "test", Slot: job.Main, Process: job.Process{Script: true, Text: text},
		Env:   env.Table{"PATH=/usr/local/sbin:/usr/local/bin:/usr/bin:/usr/sbin:/sbin:/bin", "UPSTART_JOB=crash"},
		Attrs: job.Attrs{Console: job.ConsoleNone, Umask: -1},
	}
	if tmpfiles != "-" {
		s.Attrs.Tmpfiles = []string{tmpfiles}
	}
	if user != "-" {
		s.Attrs.Setuid = user
	}
	return s
}

func (u *underling) hear(m engine.Msg) {
	u.say("%s%+v", strings.TrimPrefix(fmt.Sprintf("%T", m), "engine."), m)
	switch m := m.(type) {
	case engine.Exited:
		if u.fatal {
			unix.Kill(unix.Getpid(), syscall.SIGKILL)
		}
		u.exited(m)
	case engine.Replaced:
		if e := u.expect[m.PID]; e != nil && e.forks > 0 {
			u.ready(m.PID)
		}
	}
}

func (u *underling) exited(m engine.Exited) {
	e := u.expect[m.PID]
	delete(u.expect, m.PID)
	if e == nil || m.Status != 0 || m.Heir == 0 {
		u.procs.Detach(m.PID)
		return
	}
	u.expect[m.Heir] = e
	e.forks += max(1, m.Forks)
	if e.kind == job.ExpectFork || e.forks > 1 {
		u.ready(m.Heir)
	}
}

func (u *underling) ready(pid int) {
	u.procs.Detach(pid)
	u.say("ready %d", pid)
}
