package keeper

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onset/platform/posix"
)

// The test binary is also process 1 of a PID namespace, where there is such a
// thing, else what adopts orphans; and the managers there. What it is comes from
// the environment; a manager talks to the test by lines on standard output, which
// are written in one piece.
const (
	roleEnv   = "ONSET_TEST_ROLE"
	scriptEnv = "ONSET_TEST_SCRIPT"
)

func TestMain(m *testing.M) {
	switch os.Getenv(roleEnv) {
	case "":
		os.Exit(m.Run())
	case "keeper":
		must(posix.AdoptOrphans())
		os.Exit(Run(keepers[os.Getenv(scriptEnv)].options()))
	case "allocs":
		must(posix.AdoptOrphans())
		os.Exit(countAllocs())
	case "manager":
		os.Setenv(roleEnv, "nobody")
		keepers[os.Getenv(scriptEnv)].manager()
	}
}

// nothing is a program that ends at once.
var nothing = []string{"/bin/sh", "-c", ":"}

// script is what a keeper of a test is like, and what its managers do.
type script struct {
	change  func(*Options)
	manager func()
}

func (s script) options() Options {
	self := os.Args[0]
	o := Options{
		Path: self, Args: []string{"manager"}, Self: []string{self, self},
		Env:      append(without(os.Environ(), roleEnv), roleEnv+"=manager"),
		SlotSize: 1 << 20, LogSize: 1 << 20, Container: true,
	}
	if s.change != nil {
		s.change(&o)
	}
	return o
}

// first is a process 1 under test.
type first struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines *bufio.Scanner
	said  []string
}

// boot starts a keeper as process 1 of a new PID namespace.
func boot(t *testing.T, script string) *first {
	t.Helper()
	return bootAs(t, "keeper", script)
}

func bootAs(t *testing.T, role, script string) *first {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("process 1 needs root")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f := &first{t: t, cmd: exec.Command(self)}
	f.cmd.Env = append(os.Environ(), roleEnv+"="+role, scriptEnv+"="+script, "GOCOVERDIR="+t.TempDir())
	f.cmd.SysProcAttr = apart
	f.cmd.Stderr = &logWriter{t: t}
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	limit := time.AfterFunc(10*time.Minute, func() { f.cmd.Process.Kill() })
	t.Cleanup(func() {
		limit.Stop()
		f.cmd.Process.Kill()
		f.cmd.Wait()
	})
	f.lines = bufio.NewScanner(out)
	return f
}

// logWriter keeps the keeper's own words for the end of a failed test.
type logWriter struct {
	t     *testing.T
	mutex sync.Mutex
	text  strings.Builder
}

func (w *logWriter) Write(p []byte) (int, error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.text.Write(p)
	return len(p), nil
}

// next returns the next line, or "" after the last.
func (f *first) next() string {
	if !f.lines.Scan() {
		return ""
	}
	f.said = append(f.said, f.lines.Text())
	return f.lines.Text()
}

// until reads lines until one begins with prefix, and returns the rest of it.
func (f *first) until(prefix string) string {
	f.t.Helper()
	for {
		line := f.next()
		if rest, ok := strings.CutPrefix(line, prefix); ok {
			return strings.TrimSpace(rest)
		}
		if line == "" {
			err := f.cmd.Wait()
			f.t.Fatalf("no line %q before the end (%v)\nsaid %q\nlog:\n%s", prefix, err, f.said, f.log())
		}
	}
}

func (f *first) log() string {
	w := f.cmd.Stderr.(*logWriter)
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.text.String()
}

// end reads the remaining lines and returns how the keeper ended.
func (f *first) end() *os.ProcessState {
	for f.next() != "" {
	}
	f.cmd.Wait()
	return f.cmd.ProcessState
}

// signal sends process 1 a signal from outside.
func (f *first) signal(s syscall.Signal) { f.cmd.Process.Signal(s) }

// tell writes a line for the test.
func tell(format string, args ...any) {
	os.Stdout.WriteString(fmt.Sprintf(format, args...) + "\n")
}

func must(err error) {
	if err != nil {
		tell("error %v", err)
		unix.Kill(unix.Getpid(), unix.SIGTERM)
		os.Exit(77)
	}
}

// attach is the beginning of every manager.
func attach() *Client {
	c, err := Attach()
	must(err)
	if c == nil {
		must(fmt.Errorf("no keeper"))
	}
	return c
}

// block waits for an event.
func (c *Client) block() {
	p := []unix.PollFd{{Fd: int32(c.FD()), Events: unix.POLLIN}}
	unix.Poll(p, -1)
}

// fork starts a child of the calling process.
func fork(argv ...string) int {
	pid, err := syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{Env: []string{"PATH=/bin:/usr/bin"}, Files: []uintptr{0, 1, 2}})
	must(err)
	return pid
}
