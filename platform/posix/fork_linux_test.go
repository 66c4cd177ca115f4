package posix

import (
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onset/core/job"
	"onset/platform/vfork"
)

func needFork(t *testing.T) {
	t.Helper()
	if !Forks() {
		t.Skip("no Fork on this machine, or no clone3")
	}
}

// TestForkPlacesDescriptors has descriptors change places.
func TestForkPlacesDescriptors(t *testing.T) {
	needFork(t)
	if err := unix.CloseRange(3, ^uint(0)>>1, unix.CLOSE_RANGE_CLOEXEC); err != nil { // what this process was given
		t.Skip("descriptors of others would be seen: " + err.Error())
	}
	a := threeInARow(t)
	b, c := a+1, a+2
	at := func(fds ...uintptr) []uintptr {
		return append(append([]uintptr{c, a, b}, slices.Repeat([]uintptr{closed}, int(a)-3)...), fds...)
	}
	for name, files := range map[string][]uintptr{
		"down":                   {a, b, c},
		"one thrice":             {b, b, b},
		"in place":               at(a, b, c),
		"two change":             at(b, a, c),
		"three change":           at(b, c, a),
		"the other way":          at(c, a, b),
		"one over the others":    at(c, c, c),
		"up":                     at(a, a, b, c),
		"up by two":              at(closed, closed, a, b, c),
		"a closed source":        at(closed, a, closed),
		"standard input comes":   at(0, 0, a, 1, b),
		"standard input changes": {1, 2, 0, a, 0},
	} {
		want := map[int]string{}
		for to, fd := range files {
			if fd != closed {
				want[to] = link("self", int(fd))
			}
		}
		pid, err := Fork("/bin/sleep", []string{"sleep", "1000"}, &syscall.ProcAttr{Files: files, Sys: &syscall.SysProcAttr{}})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := map[int]string{}
		for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); runtime.Gosched() {
			if got = links(pid); maps.Equal(got, want) && state(pid) == "S" {
				break
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s: it has %v, want %v", name, got, want)
		}
		unix.Kill(pid, unix.SIGKILL)
		reap(pid)
	}
}

// threeInARow opens three files and returns the number of the first.
func threeInARow(t *testing.T) uintptr {
	t.Helper()
	const above = 20
	var fds [3]int
	for i := range fds {
		f, err := os.Create(fmt.Sprintf("%s/%d", t.TempDir(), i))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if fds[i], err = unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, above); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fds[i]) })
	}
	if fds[2] != fds[0]+2 {
		t.Fatalf("the descriptors are %v", fds)
	}
	return uintptr(fds[0])
}

func link(pid string, fd int) string {
	to, _ := os.Readlink(fmt.Sprintf("/proc/%s/fd/%d", pid, fd))
	return to
}

func links(pid int) map[int]string {
	all := map[int]string{}
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	for _, e := range entries {
		fd, _ := strconv.Atoi(e.Name())
		all[fd] = link(strconv.Itoa(pid), fd)
	}
	return all
}

// state is the state of a process that runs sleep: "S" once it sleeps.
func state(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, s, _ := strings.Cut(string(text), "(sleep) ")
	return s[:min(1, len(s))]
}

// after runs the test again after commands of the shell, and reports whether
// this is that run.
func after(t *testing.T, commands string) bool {
	t.Helper()
	if os.Getenv("ONSET_AFTER") != "" {
		return true
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := exec.Command("sh", "-c", commands+`; exec "$0" "$@"`, self, "-test.run=^"+t.Name()+"$")
	run.Env = append(os.Environ(), "ONSET_AFTER=1")
	if out, err := run.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return false
}

// TestStageKeepsLimit has a program behind the stage get the limit on
// descriptors that this process got, which Go raises.
func TestStageKeepsLimit(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("the stage is tested as root")
	}
	if vfork.Limit[1] == 0 {
		t.Skip("the limit is not known on this machine")
	}
	if !after(t, "ulimit -Sn 200") {
		return
	}
	for _, bare := range []bool{false, true} {
		p := isolated(job.Isolation{}, "/bin/sh", "-c", "ulimit -Sn")
		p.Bare = bare
		if out, reason := asRoot.run(t, p); out != "200\n" || reason != "" {
			t.Errorf("it may open %q, %q", out, reason)
		}
	}
}

// TestForkIsForkExec compares a child with one that package syscall made: with
// signals ignored, claimed and blocked, and a limit on descriptors that Go
// raises.
func TestForkIsForkExec(t *testing.T) {
	needFork(t)
	if !after(t, `ulimit -Sn 200; trap "" HUP USR1 40`) {
		return
	}
	signal.Notify(make(chan os.Signal, 1), unix.SIGTERM, unix.SIGCHLD, unix.SIGWINCH)
	signal.Ignore(unix.SIGTTOU)
	runtime.LockOSThread()
	blocked := unix.Sigset_t{}
	blocked.Val[0] = 1<<(unix.SIGUSR2-1) | 1<<(45-1)
	unix.PthreadSigmask(unix.SIG_BLOCK, &blocked, nil)
	variants := []syscall.SysProcAttr{{}, {Setsid: true}}
	if os.Getuid() == 0 {
		variants = append(variants, syscall.SysProcAttr{Setsid: true, Chroot: "/", Credential: &syscall.Credential{Uid: 1, Gid: 2, Groups: []uint32{3, 4}}},
			syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1, Gid: 2}},
			syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1, Gid: 2, NoSetGroups: true}})
	}
	for _, sys := range variants {
		want, got := seenOf(t, syscall.ForkExec, sys), seenOf(t, Fork, sys)
		if got != want {
			t.Errorf("%+v: it is\n%s\nwant\n%s", sys, got, want)
		}
		ignored, _ := strconv.ParseUint(ofStatus(want, "SigIgn"), 16, 64) // some shells ignore QUIT themselves
		const checked, ignores = 1<<(unix.SIGHUP-1) | 1<<(unix.SIGUSR1-1) | 1<<(unix.SIGTTOU-1), 1<<(unix.SIGHUP-1) | 1<<(unix.SIGTTOU-1)
		if ignored&checked != ignores || ofStatus(want, "SigBlk") != "0000100000000800" || !strings.Contains(want, " 200 ") {
			t.Errorf("these signals and this limit show nothing:\n%s", want)
		}
	}
}

// seenOf returns what a process made with attributes sees of itself.
func seenOf(t *testing.T, fork func(string, []string, *syscall.ProcAttr) (int, error), sys syscall.SysProcAttr) string {
	t.Helper()
	const look = `cat /proc/$$/status /proc/$$/limits | grep -E '^(Umask|Uid|Gid|Groups|NSsid|Sig[BI]|Cap|NoNew|Seccomp|Max)' | sed "s/$$/own/g"; pwd; env; echo "$0" "$@"`
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := fork("/bin/sh", []string{"sh", "-c", look, "name", "a b", ""}, &syscall.ProcAttr{
		Dir: "/usr", Env: []string{"PATH=/bin", "A=1", ""}, Files: []uintptr{null.Fd(), w.Fd(), w.Fd()}, Sys: &sys})
	null.Close()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(r)
	r.Close()
	reap(pid)
	return string(text)
}

func TestForkFails(t *testing.T) {
	needFork(t)
	text := t.TempDir() + "/text"
	if err := os.WriteFile(text, []byte("true"), 0o755); err != nil {
		t.Fatal(err)
	}
	files := []uintptr{0, 1, 2}
	for name, c := range map[string]struct {
		path string
		attr syscall.ProcAttr
		want error
	}{
		"no program":   {"/nowhere", syscall.ProcAttr{}, unix.ENOENT},
		"no format":    {text, syscall.ProcAttr{}, unix.ENOEXEC},
		"a directory":  {"/etc", syscall.ProcAttr{}, unix.EACCES},
		"no directory": {"/bin/true", syscall.ProcAttr{Dir: "/nowhere"}, unix.ENOENT},
		"no root":      {"/bin/true", syscall.ProcAttr{Sys: &syscall.SysProcAttr{Chroot: "/nowhere"}}, unix.ENOENT},
		"no cgroup":    {"/bin/true", syscall.ProcAttr{Sys: &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: 1 << 30}}, unix.EBADF},
		"no file":      {"/bin/true", syscall.ProcAttr{Files: []uintptr{0, 1, 1 << 30}}, unix.EBADF},
		"NUL in it":    {"/bin/true\x00", syscall.ProcAttr{}, unix.EINVAL},
		"a NUL in env": {"/bin/true", syscall.ProcAttr{Env: []string{"\x00"}}, unix.EINVAL},
	} {
		if c.attr.Files == nil {
			c.attr.Files = files
		}
		if c.attr.Sys == nil {
			c.attr.Sys = &syscall.SysProcAttr{}
		}
		if pid, err := Fork(c.path, []string{"name"}, &c.attr); err != c.want {
			t.Errorf("%s: %d, %v; want %v", name, pid, err, c.want)
		}
		if _, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != unix.ECHILD {
			t.Errorf("%s: it left a child", name)
		}
	}
}

// TestForkTellsPID has a child complete its variable.
func TestForkTellsPID(t *testing.T) {
	needFork(t)
	vars := listenVars([]string{"LISTEN_PID=1", "A=1"}, []string{"a", "b"}, ownPID)
	pid, err := Fork("/bin/sh", []string{"sh", "-c", `test "$LISTEN_PID $LISTEN_FDS $LISTEN_FDNAMES" = "$$ 2 a:b"`},
		&syscall.ProcAttr{Env: vars, Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{}})
	if err != nil {
		t.Fatal(err)
	}
	var status unix.WaitStatus
	if unix.Wait4(pid, &status, 0, nil); status != 0 {
		t.Errorf("it ended with %v", status)
	}
}
