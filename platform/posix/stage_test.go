package posix

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"onset/core/job"
)

func TestMain(m *testing.M) {
	StageMain()
	os.Exit(m.Run())
}

// starter is the init that starts a stage.
type starter struct {
	uid uint32
	sys syscall.SysProcAttr // what it makes a process with
}

var (
	asRoot = starter{}
	asUser = starter{uid: 4711} // has no account
)

// isolated is a plan that asks for isolation alone.
func isolated(i job.Isolation, argv ...string) *Plan {
	return &Plan{Argv: argv, Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "UPSTART_JOB=test"}, Umask: -1, Isolation: i}
}

// run carries out a plan and returns what its program wrote, or why it did
// not run.
func (s starter) run(t *testing.T, p *Plan) (output, reason string) {
	t.Helper()
	output, reason, _ = s.status(t, p)
	return output, reason
}

func (s starter) status(t *testing.T, p *Plan) (output, reason string, status syscall.WaitStatus) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root is all kinds of users")
	}
	pid, report, out := s.start(t, p)
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	r := Report{FD: report}
	fault, done := r.Read(func(w string) { t.Errorf("warned: %s", w) })
	if !done {
		t.Errorf("the report is not over")
	}
	if fault != nil {
		reason = fault.Error()
	}
	return string(text), reason, status
}

// start returns the process, its report and the file that it writes to.
func (s starter) start(t *testing.T, p *Plan) (pid, report int, out string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	plan, err := Memory("plan", p.Encode())
	must(err)
	defer unix.Close(plan)
	var pipe [2]int
	must(unix.Pipe2(pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK))
	defer unix.Close(pipe[1])
	t.Cleanup(func() { unix.Close(pipe[0]) })
	out = filepath.Join(t.TempDir(), "out")
	f, err := os.Create(out)
	must(err)
	defer f.Close()
	binary, err := os.Open(testBinary)
	must(err)
	defer binary.Close()
	null, err := os.Open(os.DevNull)
	must(err)
	defer null.Close()
	attr := &syscall.ProcAttr{Dir: "/", Env: StageEnv, Files: []uintptr{null.Fd(), f.Fd(), f.Fd(), uintptr(plan), uintptr(pipe[1])},
		Sys: &s.sys}
	attr.Sys.Setsid = true
	if s.uid != 0 {
		attr.Sys.Credential = &syscall.Credential{Uid: s.uid, Gid: s.uid}
	}
	pid, err = syscall.ForkExec(pathOf(binary), StageArgv(3, 4), attr)
	must(err)
	return pid, pipe[0], out
}
