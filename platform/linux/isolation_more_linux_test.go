package linux

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/job"
	"onset/platform"
)

// waitForSignal is a program whose first thread waits for a signal, which it
// blocks.
func waitForSignal(sig unix.Signal) string {
	set := uint64(1) << (sig - 1)
	var byDefault [4]uintptr
	unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&byDefault)), 0, 8, 0, 0)
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_BLOCK, uintptr(unsafe.Pointer(&set)), 0, 8, 0, 0)
	unix.Write(3, []byte("ready"))
	for {
		unix.Syscall6(unix.SYS_RT_SIGTIMEDWAIT, uintptr(unsafe.Pointer(&set)), 0, 0, 8, 0, 0)
	}
}

// ready starts a job that says on descriptor 3 when it is ready.
func (l *lab) ready(s *job.Spec) int {
	l.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		l.Fatal(err)
	}
	defer unix.Close(fds[0])
	pid, reason := l.start(s, fds[1])
	unix.Close(fds[1])
	if reason != "" {
		l.Fatal(reason)
	}
	var b [8]byte
	if n, err := unix.Read(fds[0], b[:]); n <= 0 || err != nil {
		l.Fatalf("it does not get ready: %d, %v", n, err)
	}
	return pid
}

// TestStopProcessOne has the kill signal end what it would end if it were not
// process 1, and nothing else.
func TestStopProcessOne(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	prepareTree(t)
	l := newLab(t, "")
	for _, c := range []struct {
		name, text string
		signal     unix.Signal
		want       job.Status
		deaf       bool // it lives on
	}{
		{name: "no handler", text: "echo x >&3; exec sleep 1000", signal: unix.SIGTERM, want: job.Killed(job.Signal(unix.SIGKILL))},
		{name: "no handler for a real-time signal", text: "echo x >&3; exec sleep 1000", signal: 40, want: job.Killed(job.Signal(unix.SIGKILL))},
		{name: "a handler", text: "trap 'exit 7' TERM; echo x >&3; while :; do sleep 0.01; done", signal: unix.SIGTERM, want: job.Exit(7)},
		{name: "ignored", text: "trap '' TERM; echo x >&3; exec sleep 1000", signal: unix.SIGTERM, deaf: true},
		{name: "harmless", text: "echo x >&3; exec sleep 1000", signal: unix.SIGWINCH, deaf: true},
		{name: "a child in its group", text: "sh -c 'echo x >&3; exec sleep 1000'; exit 5", signal: unix.SIGTERM, want: job.Exit(128 + int(unix.SIGTERM))},
		{name: "a child elsewhere", text: "setsid sh -c 'echo x >&3; exec sleep 1000' & wait", signal: unix.SIGTERM, deaf: true},
		{name: "waited for", text: l.self + " " + probeArg + " sigwait:", signal: unix.SIGTERM, deaf: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			l.TB = t
			s := l.spec(c.text, &job.Isolation{Namespaces: namespaces("pid")})
			s.Process.Script = !strings.HasPrefix(c.text, "/")
			pid := l.ready(s)
			l.rests(pid)
			if err := l.procs.Kill(l.token, pid, job.Signal(c.signal), engine.Group); err != nil {
				t.Fatal(err)
			}
			if c.deaf {
				l.turn()
				if !alive(pid) {
					t.Error("it is gone")
				}
				l.procs.Kill(l.token, pid, job.Signal(unix.SIGKILL), engine.Group)
				c.want = job.Killed(job.Signal(unix.SIGKILL))
			}
			if status := l.ended(pid); status != c.want {
				t.Errorf("it ended with %v, want %v", status, c.want)
			}
		})
	}
}

// rests waits until a process sleeps, or waits for a signal if it is the probe.
func (l *lab) rests(pid int) {
	l.Helper()
	resting := func() bool {
		text, _ := os.ReadFile(procPath(pid, "syscall"))
		call, _, _ := strings.Cut(string(text), " ")
		argv := arguments(pid)
		probing := len(argv) > 1 && argv[1] == probeArg
		return strings.HasPrefix(statusWord(pid, "State"), "S") && (!probing || call == fmt.Sprint(unix.SYS_RT_SIGTIMEDWAIT))
	}
	for end := time.Now().Add(3 * time.Minute); !resting(); l.turn() {
		if time.Now().After(end) {
			l.Fatal("it does not rest")
		}
	}
}

// TestMountsOfTheMachine has a job see what the machine mounts later, and the
// machine see nothing of what the job mounts.
func TestMountsOfTheMachine(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	prepareTree(t)
	for _, dir := range []string{"/mnt/shared", "/mnt/shared2"} {
		os.Mkdir(dir, 0o755)
		mustMount(t, "tmpfs", dir, 0)
		if err := unix.Mount("", dir, "", unix.MS_SHARED, ""); err != nil {
			t.Fatal(err)
		}
		os.Mkdir(dir+"/below", 0o755)
	}
	l := newLab(t, "")
	var answers, gate [2]int
	unix.Pipe2(answers[:], unix.O_CLOEXEC)
	unix.Pipe2(gate[:], unix.O_CLOEXEC)
	s := l.spec(l.self+" "+probeArg+" propagation:/mnt/shared mount:/mnt/shared2/below wait: kind:/mnt/shared/below mounts:/mnt/shared/below",
		&job.Isolation{Namespaces: namespaces("mount")})
	pid, reason := l.start(s, answers[1], gate[0])
	if reason != "" {
		t.Fatal(reason)
	}
	unix.Close(answers[1])
	text := readUntil(t, answers[0], "ok\n")
	mustMount(t, "tmpfs", "/mnt/shared/below", 0)
	unix.Write(gate[1], []byte("x"))
	if status := l.ended(pid); status != 0 {
		t.Errorf("status %v", status)
	}
	text += readUntil(t, answers[0], "")
	if want := "master\nok\nover\ntmpfs\n1\n"; text != want {
		t.Errorf("it says %q, want %q", text, want)
	}
	if got := probes["mounts"]("/mnt/shared2/below"); got != "0" {
		t.Errorf("%s of its mounts are the machine's", got)
	}
}

// readUntil reads up to the end of a text, or of the pipe.
func readUntil(t *testing.T, fd int, end string) (text string) {
	t.Helper()
	for end == "" || !strings.HasSuffix(text, end) {
		var b [512]byte
		n, err := unix.Read(fd, b[:])
		if err != nil || n == 0 && end != "" {
			t.Fatalf("only %q: %v", text, err)
		}
		if n == 0 {
			break
		}
		text += string(b[:n])
	}
	return text
}

func TestJoinNetwork(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	prepareTree(t)
	l := newLab(t, "")
	pid, reason := l.start(l.spec("sleep 1000", &job.Isolation{Private: []string{"network"}}))
	if reason != "" {
		t.Fatal(reason)
	}
	path := procPath(pid, "ns", "net")
	theirs, _ := os.Readlink(path)
	for _, private := range [][]string{nil, {"network"}} {
		answers, reason := l.ask(l.spec(l.self, &job.Isolation{Namespaces: namespaces("net@" + path), Private: private}), "ns:net", "interfaces:")
		if reason != "" || answers[0] != theirs || answers[1] != "lo" {
			t.Errorf("it is in %q, want %s; %s", answers, theirs, reason)
		}
	}
	l.procs.Kill(0, pid, job.Signal(unix.SIGKILL), engine.Group)
	l.ended(pid)
}

// TestCgroupNamespace has the job's own group for its root.
func TestCgroupNamespace(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	prepareTree(t)
	l := newLab(t, cgroupRoot(t))
	for _, c := range []struct {
		kinds []job.Namespace
		root  bool
	}{{namespaces("cgroup", "pid", "user"), true}, {namespaces("pid"), false}} {
		answers, reason := l.ask(l.spec(l.self, &job.Isolation{Namespaces: c.kinds}), "read:/proc/self/cgroup")
		if reason != "" || strings.HasSuffix(answers[0], "0::/") != c.root {
			t.Errorf("with %v its groups are %q; %s", c.kinds, answers, reason)
		}
	}
}

// TestFindInNamespaces takes over an exec stage that is in all its namespaces
// and at work there, and then its program.
func TestFindInNamespaces(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	prepareTree(t)
	for _, groups := range []string{"", cgroupRoot(t)} {
		findStage(t, groups)
	}
}

func findStage(t *testing.T, groups string) {
	os.Remove("/mnt/target/fifo")
	if err := unix.Mkfifo("/mnt/target/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	before := newLab(t, groups)
	s := before.spec("sleep 1000", &job.Isolation{Namespaces: namespaces("pid", "net", "uts", "ipc", "user", "cgroup", "time"),
		Private: []string{"tmp", "dev"}, EnvFiles: []job.EnvFile{{Path: "/mnt/target/fifo"}}})
	s.Env = append(s.Env, "MARK="+groups)
	started, err := before.procs.Spawn(77, s, platform.Streams{Log: -1})
	if err != nil {
		t.Fatal(err)
	}
	after := newLab(t, groups)
	found := after.procs.Find(77, s, func(int) bool { return false })
	if found.PID != started.PID {
		t.Fatalf("with groups in %q: found %+v, started %+v", groups, found, started)
	}
	after.turn()
	if slices.Contains(after.told, engine.Msg(engine.Executed{PID: found.PID})) {
		t.Error("it runs its program before it may")
	}
	if err := os.WriteFile("/mnt/target/fifo", []byte("A=1\n"), 0); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(3 * time.Minute); ; after.turn() {
		if slices.Contains(after.told, engine.Msg(engine.Executed{PID: found.PID})) {
			break // the end of the one before may be told too
		}
		if time.Now().After(end) {
			t.Fatalf("not executed: %v", after.told)
		}
	}
	again := newLab(t, groups)
	if groups == "" {
		again.procs.Adopt(77, found.PID, job.ExpectNone, false) // the environment is another now
	} else if found := again.procs.Find(77, s, func(int) bool { return false }); found.PID != started.PID {
		t.Errorf("found %+v, started %+v", found, started)
	}
	again.procs.Kill(77, found.PID, job.Signal(unix.SIGTERM), engine.Group)
	if status := again.ended(found.PID); status != job.Killed(job.Signal(unix.SIGKILL)) {
		t.Errorf("it ended with %v", status)
	}
}

// TestExpectInNamespaces follows forks in all namespaces that a daemon can be
// in.
func TestExpectInNamespaces(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	prepareTree(t)
	followDaemon(t, cgroupRoot(t))
}

func followDaemon(t *testing.T, groups string) {
	l := newLab(t, groups)
	s := l.spec("setsid sleep 1000 &", &job.Isolation{Namespaces: namespaces("net", "uts", "ipc", "cgroup", "mount", "user"), Private: []string{"tmp", "dev"}})
	s.Process.Script, s.Expect.Kind = true, job.ExpectFork
	pid, reason := l.start(s)
	if reason != "" {
		t.Fatal(reason)
	}
	if status := l.ended(pid); status != 0 {
		t.Errorf("status %v", status)
	}
	for _, m := range l.told {
		if e, ok := m.(engine.Exited); ok && e.PID == pid && (e.Heir == 0 || groups != "" && e.Left != 1) {
			t.Errorf("its end is told as %+v, want an heir and one process left", e)
		} else if ok && e.PID == pid {
			unix.Kill(e.Heir, unix.SIGKILL)
		}
	}
}

// TestIsolationWithScripts has the rest of a job's set-up in its namespaces: a
// script behind descriptor 9, its console, its directory.
func TestIsolationWithScripts(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	prepareTree(t)
	l := newLab(t, "")
	l.procs.o.Console = "/mnt/console"
	if err := unix.Mknod("/mnt/console", unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))); err != nil {
		t.Fatal(err)
	}
	s := l.spec("exec > /mnt/target/out\nls /dev\npwd\nls\nid -u\necho $$ $0\nhead -c 1 </dev/console | wc -c\n",
		&job.Isolation{Namespaces: namespaces("pid", "net", "uts", "ipc"), Private: []string{"tmp", "dev"}, ReadOnly: []string{"/mnt/data"}})
	s.Process.Script, s.Attrs.Console, s.Attrs.Setuid, s.Attrs.Chdir = true, job.ConsoleOutput, "daemon", "/tmp"
	os.Chmod("/mnt/console", 0o666)
	pid, reason := l.start(s)
	if reason != "" {
		t.Fatal(reason)
	}
	if status := l.ended(pid); status != 0 {
		t.Errorf("status %v", status)
	}
	got, err := os.ReadFile("/mnt/target/out")
	want := "console\nfd\nfull\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n/tmp\n1\n1 /proc/self/fd/9\n0\n"
	if string(got) != want {
		t.Errorf("the script says %q, want %q; %v", got, want, err)
	}
}

// inPoorNamespace runs the test again as process 1 of a user namespace where
// prepare took something away.
func inPoorNamespace(t *testing.T, prepare func() error) bool {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: namespaces and ids")
	}
	if os.Getpid() == 1 {
		runtime.LockOSThread()
		for _, err := range []error{unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("proc", "/proc", "proc", 0, ""), prepare()} {
			if err != nil {
				t.Fatal(err)
			}
		}
		return true
	}
	all := []syscall.SysProcIDMap{{Size: 1 << 30}}
	run := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v="+verbose(), "-test.timeout=5m")
	run.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWUSER | unix.CLONE_NEWIPC,
		UidMappings: all, GidMappings: all, GidMappingsEnableSetgroups: true}
	out, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("in a namespace: %v\n%s", err, out)
	}
	t.Logf("%s", out)
	return false
}

// TestIsolationRefused has a kernel that gives no namespaces.
func TestIsolationRefused(t *testing.T) {
	kernelNames := map[string]string{"mount": "mnt"}
	kinds := []string{"mount", "pid", "net", "uts", "ipc", "user", "cgroup", "time"}
	if !inPoorNamespace(t, func() error {
		for _, k := range kinds {
			if n := kernelNames[k]; n != "" {
				k = n
			}
			if err := os.WriteFile("/proc/sys/user/max_"+k+"_namespaces", []byte("0"), 0); err != nil {
				return err
			}
		}
		return nil
	}) {
		return
	}
	l := newLab(t, "")
	l.self = "/proc/self/exe"
	const full = "No space left on device"
	for _, k := range kinds {
		l.run(&isolationCase{isolation: job.Isolation{Namespaces: namespaces(k)}, fails: "unable to isolate: " + k + ": " + full})
		notices := []string{fmt.Sprintf("true namespace %s is left out: %s", k, full)}
		if k == "pid" {
			notices = append(notices, "true namespace mount is left out: "+full)
		}
		l.run(&isolationCase{isolation: job.Isolation{Namespaces: namespaces(k + "?")}, want: [][2]string{{"ns:net", "init's"}}, notices: notices})
	}
	l.run(&isolationCase{isolation: job.Isolation{Private: []string{"tmp"}, Namespaces: namespaces("mount?")}, fails: "unable to isolate: mount: " + full})
	l.procs.privileged = false
	l.run(&isolationCase{isolation: job.Isolation{Private: []string{"network"}}, fails: "unable to isolate: user: " + full})
}

// TestMaskedProc is in a container that hides part of /proc, where the kernel
// lets nobody see another one.
func TestMaskedProc(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	prepareTree(t)
	mustMount(t, "tmpfs", "/proc/sys", 0)
	l := newLab(t, "")
	l.run(&isolationCase{isolation: job.Isolation{Namespaces: namespaces("user", "pid")}, fails: "unable to isolate: pid /proc: Operation not permitted"})
	l.run(&isolationCase{isolation: job.Isolation{Namespaces: namespaces("user", "pid?")}, want: [][2]string{{"pid:", "1"}},
		notices: []string{"true namespace pid /proc is left out: Operation not permitted"}})
}

// TestReadOnlyOneByOne has a kernel without mount_setattr(2).
func TestReadOnlyOneByOne(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	prepareTree(t)
	runtime.LockOSThread()
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_MOUNT_SETATTR, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if _, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program))); errno != 0 {
		t.Skip("no seccomp filter here: " + errno.Error())
	}
	if err := unix.MountSetattr(unix.AT_FDCWD, "/", 0, &unix.MountAttr{}); err != unix.ENOSYS {
		t.Fatalf("the filter lets it pass: %v", err)
	}
	l := newLab(t, "")
	var all []isolationCase
	for _, c := range isolationCases {
		if len(c.isolation.ReadOnly) > 0 {
			all = append(all, c)
		}
	}
	all = append(all, isolationCase{name: "readonly with blanks", isolation: job.Isolation{ReadOnly: []string{"/mnt/a b"}, Bind: bind("/mnt/a b/c d", "/mnt/target")},
		want: [][2]string{{"write:/mnt/target/x", "ok"}, {"'write:/mnt/a b/x'", readOnlyFS}, {"'write:/mnt/a b/c d/x'", readOnlyFS}}})
	l.runAll(t, all)
}
