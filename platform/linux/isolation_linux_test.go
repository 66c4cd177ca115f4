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

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/env"
	"onset/core/job"
	"onset/platform"
	"onset/platform/posix"
)

// probeArg as the first argument makes the test binary a job that looks at
// what is around it.
const probeArg = "onset-probe"

func init() {
	if len(os.Args) > 1 && os.Args[1] == probeArg {
		runtime.LockOSThread()
	}
}

// probeMain answers the questions in its arguments on descriptor 3, a line
// each.
func probeMain() {
	if len(os.Args) < 2 || os.Args[1] != probeArg {
		return
	}
	answers := os.NewFile(3, "answers")
	for _, question := range os.Args[2:] {
		verb, arg, _ := strings.Cut(question, ":")
		fmt.Fprintf(answers, "%s\n", strings.ReplaceAll(probes[verb](arg), "\n", " "))
	}
	os.Exit(0)
}

// probes answer questions about an argument.
var probes = map[string]func(string) string{
	"ns":     func(kind string) string { return textOr(os.Readlink("/proc/self/ns/" + kind)) },
	"pid":    func(string) string { return fmt.Sprint(os.Getpid()) },
	"ids":    func(string) string { return fmt.Sprint(os.Getuid(), os.Getgid()) },
	"cwd":    func(string) string { return textOr(os.Getwd()) },
	"status": func(name string) string { return statusWord(os.Getpid(), name) },
	"read": func(path string) string {
		text, err := os.ReadFile(path)
		return textOr(strings.TrimSpace(string(text)), err)
	},
	"hostname": hostname,
	"write": func(path string) string {
		return textOr("ok", os.WriteFile(path, []byte("x"), 0o644))
	},
	"chmod":  func(path string) string { return textOr("ok", os.Chmod(path, 0o600)) },
	"umount": func(path string) string { return textOr("ok", unix.Unmount(path, 0)) },
	"mode": func(path string) string {
		var st unix.Stat_t
		err := unix.Stat(path, &st)
		return textOr(fmt.Sprintf("%o", st.Mode), err)
	},
	"list": func(path string) string {
		entries, err := os.ReadDir(path)
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return textOr(strings.Join(names, " "), err)
	},
	"kind": func(path string) string {
		var st unix.Statfs_t
		err := unix.Statfs(path, &st)
		return textOr(map[int64]string{unix.TMPFS_MAGIC: "tmpfs", unix.PROC_SUPER_MAGIC: "proc", unix.DEVPTS_SUPER_MAGIC: "devpts"}[int64(st.Type)], err)
	},
	"processes": func(string) string { return fmt.Sprint(len(allProcesses())) },
	"mounts": func(at string) string {
		n := 0
		text, err := os.ReadFile("/proc/self/mountinfo")
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); f[4] == at {
				n++
			}
		}
		return textOr(fmt.Sprint(n), err)
	},
	"propagation": func(at string) string {
		text, err := os.ReadFile("/proc/self/mountinfo")
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); f[4] == at {
				word, _, _ := strings.Cut(f[6], ":")
				return word
			}
		}
		return textOr("no mount", err)
	},
	"interfaces": func(string) string {
		text, err := os.ReadFile("/proc/self/net/dev")
		var names []string
		for line := range strings.Lines(string(text)) {
			if name, _, ok := strings.Cut(line, ":"); ok {
				names = append(names, strings.TrimSpace(name))
			}
		}
		return textOr(strings.Join(names, " "), err)
	},
	"local": func(string) string { // whether the loopback interface works
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err == nil {
			err = unix.Connect(fd, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 1}})
		}
		return textOr("", err)
	},
	"mount": func(at string) string { return textOr("ok", unix.Mount("none", at, "tmpfs", 0, "")) },
	"wait": func(string) string { // for descriptor 4
		var b [1]byte
		_, err := unix.Read(4, b[:])
		return textOr("over", err)
	},
	"sigwait": func(string) string { return waitForSignal(unix.SIGTERM) },
	"segment": func(string) string { // of shared memory
		_, err := unix.SysvShmGet(segmentKey, 0, 0)
		return textOr("found", err)
	},
}

const segmentKey = 0x6f6e7365

func hostname(to string) string {
	if err := unix.Sethostname([]byte(to)); err != nil {
		return err.Error()
	}
	return textOr(os.Hostname())
}

func textOr(text string, err error) string {
	switch e := err.(type) {
	case nil:
		return text
	case *os.PathError:
		return e.Err.Error()
	}
	return err.Error()
}

// lab starts jobs on a back end of its own.
type lab struct {
	testing.TB
	poller  *Poller
	procs   *Processes
	self    string // the test binary
	token   uint64
	notices []string
	told    []engine.Msg
}

func newLab(t testing.TB, groups string) *lab {
	runtime.LockOSThread()
	l := &lab{TB: t, self: "/mnt/probe"}
	var err error
	if l.poller, err = NewPoller(); err == nil {
		l.procs, err = NewProcesses(l.poller, Options{Umask: 0o022, CgroupRoot: groups, Warn: func(s string) { t.Log(s) },
			Notice: func(token uint64, s string) { l.notices = append(l.notices, fmt.Sprint(token == l.token, " ", s)) }})
	}
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *lab) spec(text string, i *job.Isolation) *job.Spec {
	return &job.Spec{Job: "test", Slot: job.Main, Process: job.Process{Text: text},
		Env:   env.Table{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
		Attrs: job.Attrs{Console: job.ConsoleNone, Umask: -1, Isolation: i}}
}

func (l *lab) turn() {
	if err := l.poller.Wait(2 * time.Millisecond); err != nil {
		l.Fatal(err)
	}
	l.procs.Collect(func(m engine.Msg) { l.told = append(l.told, m) })
}

// start starts a process and returns it, or why it could not run.
func (l *lab) start(s *job.Spec, files ...int) (pid int, reason string) {
	l.Helper()
	l.token++
	started, err := l.procs.Spawn(l.token, s, platform.Streams{Log: -1, Files: files})
	if err != nil {
		return 0, err.Error()
	}
	for end := time.Now().Add(3 * time.Minute); ; l.turn() {
		for _, m := range l.told {
			if f, ok := m.(engine.ExecFailed); ok && f.PID == started.PID {
				return 0, f.Reason
			}
			if m == (engine.Executed{PID: started.PID}) {
				return started.PID, ""
			}
		}
		if started.Executed {
			return started.PID, ""
		}
		if time.Now().After(end) {
			l.Fatalf("neither executed nor failed: %v", l.told)
		}
	}
}

// ended waits for the end of a process.
func (l *lab) ended(pid int) job.Status {
	l.Helper()
	for end := time.Now().Add(3 * time.Minute); ; l.turn() {
		for _, m := range l.told {
			if e, ok := m.(engine.Exited); ok && e.PID == pid {
				return e.Status
			}
		}
		if time.Now().After(end) {
			l.Fatalf("it does not end: %v", l.told)
		}
	}
}

// ask has a job answer questions.
func (l *lab) ask(s *job.Spec, questions ...string) (answers []string, reason string) {
	l.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		l.Fatal(err)
	}
	defer unix.Close(fds[0])
	s.Process.Text = strings.Join(append([]string{s.Process.Text, probeArg}, questions...), " ")
	pid, reason := l.start(s, fds[1])
	unix.Close(fds[1])
	if reason != "" {
		return nil, reason
	}
	if status := l.ended(pid); status != 0 {
		l.Errorf("the probe ended with %d", status)
	}
	var b [8192]byte
	n, _ := unix.Read(fds[0], b[:])
	return strings.Split(strings.TrimSuffix(string(b[:max(n, 0)]), "\n"), "\n"), ""
}

// isolationCase is a job, the questions it is asked and the answers, with the
// words "own" for what is not that of this process, and "init's" for what is.
type isolationCase struct {
	name      string
	isolation job.Isolation
	change    func(l *lab, s *job.Spec)
	want      [][2]string
	fails     string
	notices   []string
}

func namespaces(kinds ...string) (list []job.Namespace) {
	for _, k := range kinds {
		kind, path, _ := strings.Cut(k, "@")
		kind, optional := strings.CutSuffix(kind, "?")
		list = append(list, job.Namespace{Kind: kind, Path: path, Optional: optional})
	}
	return list
}

func (l *lab) run(c *isolationCase) {
	s := l.spec(l.self, &c.isolation)
	if c.change != nil {
		c.change(l, s)
	}
	var questions []string
	for _, w := range c.want {
		questions = append(questions, w[0])
	}
	l.notices = nil
	answers, reason := l.ask(s, questions...)
	if reason != c.fails {
		l.Fatalf("the reason is %q, want %q", reason, c.fails)
	}
	if !slices.Equal(l.notices, c.notices) {
		l.Errorf("notices %q, want %q", l.notices, c.notices)
	}
	if reason != "" {
		return
	}
	if len(answers) != len(questions) {
		l.Fatalf("answers %q to %q", answers, questions)
	}
	for i, w := range c.want {
		verb, arg, _ := strings.Cut(w[0], ":")
		switch {
		case w[1] == "own" && answers[i] == probes[verb](arg), w[1] == "init's" && answers[i] != probes[verb](arg):
			l.Errorf("%s is %s, and not %s", w[0], answers[i], w[1])
		case w[1] != "own" && w[1] != "init's" && answers[i] != w[1]:
			l.Errorf("%s is %q, want %q", w[0], answers[i], w[1])
		}
	}
}

func (l *lab) runAll(t *testing.T, cases []isolationCase) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			l.TB = t
			l.run(&c)
		})
	}
}

func TestIsolation(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	prepareTree(t)
	newLab(t, "").runAll(t, isolationCases)
}

// TestIsolationOfUser is what the init of a session can do.
func TestIsolationOfUser(t *testing.T) {
	if os.Getenv("ONSET_USER_RUN") != "" {
		newLab(t, "").runAll(t, userCases)
		if err := posix.AdoptOrphans(); err != nil {
			t.Fatal(err)
		}
		findStage(t, "")
		followDaemon(t, "")
		return
	}
	if !inNamespace(t) {
		return
	}
	prepareTree(t)
	runAsUser(t)
}

// runAsUser runs the test again as an ordinary user, from the copy of the
// program that everybody may execute.
func runAsUser(t *testing.T) {
	t.Helper()
	run := exec.Command("/mnt/probe", "-test.run=^"+t.Name()+"$", "-test.v="+verbose(), "-test.timeout=2m")
	run.Env = []string{"ONSET_USER_RUN=1", "PATH=" + os.Getenv("PATH")}
	run.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4242, Gid: 4343}}
	run.Dir = "/"
	out, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("as a user: %v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// prepareTree makes what the cases play with, on file systems of its own.
func prepareTree(t *testing.T) {
	mustMount(t, "tmpfs", "/tmp", 0)
	mustMount(t, "tmpfs", "/mnt", 0)
	for _, dir := range []string{"/mnt/data/sub", "/mnt/target", "/mnt/secret", "/mnt/a b/c d", "/mnt/jail/proc", "/mnt/jail/dev",
		"/mnt/jail/tmp", "/mnt/jail/data", "/mnt/jail/bin", "/mnt/session/jail/bin", "/mnt/session/jail/in", "/mnt/session/out"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mustMount(t, "tmpfs", "/mnt/data/sub", 0)
	mustMount(t, "tmpfs", "/mnt/a b/c d", 0)
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{"/mnt/data/file": "data", "/mnt/secret/file": "secret", "/mnt/target/file": "covered",
		"/mnt/file": "plain", "/mnt/session/out/file": "session's", "/mnt/jail/data/file": "jail's", "/tmp/machine": "machine's",
		"/mnt/probe": string(self), "/mnt/jail/bin/probe": string(self), "/mnt/session/jail/bin/probe": string(self)} {
		if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	os.Symlink("/data", "/mnt/jail/link")
	segment, err := unix.SysvShmGet(segmentKey, 4096, unix.IPC_CREAT|0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.SysvShmCtl(segment, unix.IPC_RMID, nil) })
	for _, dir := range []string{"/mnt/data", "/mnt/data/sub", "/mnt/target"} {
		os.Chmod(dir, 0o777)
	}
}
