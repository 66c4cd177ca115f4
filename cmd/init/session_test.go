//go:build linux || freebsd

package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"onset/platform/address"
)

// session is a session init of its own, run as it is installed.
type session struct {
	t       *testing.T
	dir     string
	cmd     *exec.Cmd
	address string
}

var nobody = syscall.Credential{Uid: 65534, Gid: 65534}

func startSession(t *testing.T, jobs map[string]string) *session {
	return startSessionOn(t, "", jobs)
}

// startSessionOn starts a session with the address of its message bus; empty
// is none.
func startSessionOn(t *testing.T, bus string, jobs map[string]string) *session {
	return startSessionAs(t, t.TempDir(), bus, jobs, &syscall.SysProcAttr{})
}

// startSessionAs has init run with attributes, as the last of a command, in a
// folder that is DIR/ in the job files.
func startSessionAs(t *testing.T, dir, bus string, jobs map[string]string, attr *syscall.SysProcAttr, before ...string) *session {
	t.Helper()
	s := &session{t: t, dir: dir}
	for _, d := range []string{"conf", "log", "run"} {
		err := os.Mkdir(s.path(d), 0o700)
		if err == nil && asOther(attr) {
			err = os.Chown(s.path(d), int(nobody.Uid), int(nobody.Gid))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range jobs {
		if err := os.WriteFile(s.path("conf", name), []byte(strings.ReplaceAll(text, "DIR/", dir+"/")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	line := append(before, program("init"), "--user", "--confdir", s.path("conf"), "--logdir", s.path("log"))
	s.cmd = exec.Command(line[0], line[1:]...)
	s.cmd.SysProcAttr = attr
	s.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "XDG_RUNTIME_DIR=" + s.path("run")}
	if bus == "" {
		s.cmd.Args = append(s.cmd.Args, "--no-dbus")
	} else {
		s.cmd.Env = append(s.cmd.Env, "DBUS_SESSION_BUS_ADDRESS="+bus)
	}
	messages, err := os.Create(s.path("messages"))
	if err != nil {
		t.Fatal(err)
	}
	defer messages.Close()
	s.cmd.Stdout, s.cmd.Stderr = messages, messages
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.end)
	s.await("a session file", func() bool {
		files, _ := filepath.Glob(s.path("run", "upstart", "sessions", "*.session"))
		text, _ := os.ReadFile(strings.Join(files, ""))
		s.address = strings.TrimSpace(strings.TrimPrefix(string(text), "UPSTART_SESSION="))
		return s.address != "" && s.tryRun("version") == nil
	})
	return s
}

// end ends the session, which ends its jobs.
func (s *session) end() {
	s.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(patience, func() {
		s.t.Error("init does not end the session")
		s.cmd.Process.Kill()
	})
	s.cmd.Wait()
	kill.Stop()
	if s.t.Failed() {
		s.t.Logf("messages of init:\n%s", s.messages())
	}
}

// messages are init's own so far.
func (s *session) messages() string {
	text, _ := os.ReadFile(s.path("messages"))
	return string(text)
}

func (s *session) path(parts ...string) string {
	return filepath.Join(append([]string{s.dir}, parts...)...)
}

func (s *session) await(what string, true func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); !true(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (s *session) initctl(args ...string) *exec.Cmd {
	cmd := exec.Command(program("initctl"), args...)
	if apart(s.cmd.SysProcAttr) {
		inside := []string{"-t", strconv.Itoa(s.cmd.Process.Pid), "-n", program("initctl")}
		cmd = exec.Command("nsenter", append(inside, args...)...)
	}
	cmd.Env = []string{"UPSTART_SESSION=" + s.address}
	return cmd
}

func (s *session) tryRun(args ...string) error { return s.initctl(args...).Run() }

// run runs initctl and returns what it printed.
func (s *session) run(args ...string) string {
	s.t.Helper()
	out, err := s.initctl(args...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("initctl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (s *session) log(job string) string {
	text, _ := os.ReadFile(s.path("log", job+".log"))
	return string(text)
}

func TestJobsFollowEachOtherAndAreLogged(t *testing.T) {
	s := startSession(t, map[string]string{
		"base.conf": "exec sleep 1000\n",
		"top.conf":  "while base\nscript\necho because of $ONSET_FACTS\nexec sleep 1000\nend script\n",
	})
	s.run("start", "base")
	s.await("the log", func() bool { return s.log("top") == "because of base\r\n" })
	if out := s.run("status", "top"); !strings.HasPrefix(out, "top start/running, process ") {
		t.Error(out)
	}
	s.run("stop", "base")
	if out := s.run("list"); out != "base stop/waiting\ntop stop/waiting\n" {
		t.Error(out)
	}
	if out := s.run("why", "top"); !strings.Contains(out, "while base became false") || !strings.Contains(out, "  stop (uid ") {
		t.Error(out)
	}
}

func TestReExecKeepsJobsLogsAndWaitingClients(t *testing.T) {
	s := startSession(t, map[string]string{
		"talk.conf": "script\ntrap 'echo two; exit 0' USR1\necho one\nwhile :; do sleep 0.01 || :; done\nend script\nkill signal USR1\n",
		"slow.conf": "pre-start script\nwhile [ ! -e $GO ]; do sleep 0.01; done\nend script\nexec sleep 1000\n",
	})
	before := s.run("start", "talk")
	waiting := s.initctl("start", "slow", "GO="+s.path("go"))
	var out strings.Builder
	waiting.Stdout = &out
	if err := waiting.Start(); err != nil {
		t.Fatal(err)
	}
	s.await("pre-start", func() bool { return strings.Contains(s.run("status", "slow"), "start/pre-start, process") })
	s.reexec()
	if after := s.run("status", "talk"); after != before {
		t.Errorf("before: %s after: %s", before, after)
	}
	os.WriteFile(s.path("go"), nil, 0o600)
	if err := waiting.Wait(); err != nil || !strings.HasPrefix(out.String(), "slow start/running, process ") {
		t.Errorf("%v: %s", err, out.String())
	}
	s.run("stop", "talk")
	s.await("the last line", func() bool { return strings.HasSuffix(s.log("talk"), "two\r\n") })
	if log := s.log("talk"); !strings.HasPrefix(log, "one\r\n") {
		t.Errorf("%q", log)
	}
}

// TestOrdinaryJobsTakeTheFastPath reads how processes were started from what
// init says to those who debug.
func TestOrdinaryJobsTakeTheFastPath(t *testing.T) {
	s := startSession(t, map[string]string{
		"service.conf": "env A=b\nexport A\nrespawn\nkill timeout 1\npre-start exec true\nexec sleep 1000\n",
		"shell.conf":   "console none\npost-start script\ntrue\nend script\nscript\nexec sleep 1000\nend script\n",
		"forking.conf": "expect fork\nscript\nsleep 1000 &\nend script\n",
		"placed.conf":  "chdir /\ntask\nexec true\n",
		"limited.conf": "limit nofile 10 10\ntask\nexec true\n",
	})
	s.run("log-priority", "debug")
	for _, tt := range []struct {
		job          string
		fast, staged int // so far
	}{{"service", 2, 0}, {"shell", 4, 0}, {"placed", 5, 0}, {"limited", 5, 1}, {"forking", 5, 2}} {
		s.run("start", tt.job)
		want := fmt.Sprintf("Processes started: %d by the fast path, %d by the exec stage\n", tt.fast, tt.staged)
		if got := s.messages(); !strings.Contains(got, want) || strings.LastIndex(got, "Processes started:") > strings.LastIndex(got, want) {
			t.Errorf("%s: not, or not at last: %s", tt.job, want)
		}
	}
}

// reexec asks for a new image and waits for it.
func (s *session) reexec() {
	s.t.Helper()
	conn, err := dbus.Dial(s.address)
	if err == nil {
		defer conn.Close()
		err = conn.Auth(nil)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	conn.Object("", "/com/ubuntu/Upstart").Call("com.ubuntu.Upstart0_6.Restart", dbus.FlagNoReplyExpected)
	s.await("a new image", func() bool {
		return slices.Contains(arguments(s.cmd.Process.Pid), "--restart") && s.tryRun("version") == nil
	})
}

// TestInitIntroducesItself wants the texts of UPSTART Appendix B that a start has.
func TestInitIntroducesItself(t *testing.T) {
	s := startSessionAs(t, t.TempDir(), "", nil, &syscall.SysProcAttr{}, "sh", "-c",
		`exec "$@" --no-log --no-startup-event --append-confdir="$1/more" --debug`, "sh")
	s.run("version")
	want := []string{
		fmt.Sprintf("Running with UID %d as PID %d (PPID %d)", os.Getuid(), s.cmd.Process.Pid, os.Getpid()),
		"Using configuration directory " + s.path("conf"),
		"Using configuration directory " + program("init") + "/more",
		"Job logging disabled",
		"Startup event disabled",
		"Not connecting to session bus",
		"Loading configuration from " + s.path("conf"),
		"Connection from private client",
	}
	at := 0
	for line := range strings.Lines(s.messages()) {
		if at < len(want) && line == want[at]+"\n" {
			at++
		}
	}
	if at < len(want) {
		t.Errorf("not in its place: %s", want[at])
	}
}

// TestQuietInitWarnsOfNothing has somebody speak no D-Bus to one that tells errors only.
func TestQuietInitWarnsOfNothing(t *testing.T) {
	for option, want := range map[string]bool{"--quiet": false, "--no-startup-event": true} {
		s := startSessionAs(t, t.TempDir(), "", nil, &syscall.SysProcAttr{}, "sh", "-c", `exec "$@" `+option, "sh")
		name, ok := address.Socket(s.address)
		if !ok {
			t.Fatal(s.address)
		}
		c, err := net.Dial("unix", name)
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte("GET / HTTP/1.0\r\n"))
		io.Copy(io.Discard, c) // until it hangs up
		c.Close()
		s.run("version") // what was said is written
		if got := strings.Contains(s.messages(), "handshake does not begin with NUL"); got != want {
			t.Errorf("%s: the warning is there: %v", option, got)
		}
	}
}
