package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onset/eventsources"
)

// Session is the real init of a session, with its own jobs.
type Session struct {
	Address string
	PID     int // of init

	t             testing.TB
	dir, programs string
	told          sync.Map // of initctl that are told
}

// Host runs sources for the session until the test ends.
func (s *Session) Host(sources ...eventsources.Source) {
	host := eventsources.Host{Address: s.Address, Sources: sources, Logf: s.t.Logf}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- host.Run(ctx) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	})
}

// NewSession starts init with job files by name, in which PATH/ is the folder
// Path names. It ends with the test. Without the programs the test is skipped.
func NewSession(t testing.TB, jobs map[string]string) *Session {
	t.Helper()
	s := &Session{t: t, dir: t.TempDir(), programs: build(t)}
	for _, d := range []string{"conf", "log", "run"} {
		if err := os.Mkdir(s.Path(d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range jobs {
		if err := os.WriteFile(s.Path("conf", name), []byte(strings.ReplaceAll(text, "PATH/", s.dir+"/")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	messages, err := os.Create(s.Path("messages"))
	if err != nil {
		t.Fatal(err)
	}
	defer messages.Close()
	cmd := exec.Command(filepath.Join(s.programs, "init"), "--user", "--no-dbus", "--confdir", s.Path("conf"), "--logdir", s.Path("log"))
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "XDG_RUNTIME_DIR=" + s.Path("run")}
	cmd.Stdout, cmd.Stderr = messages, messages
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.PID = cmd.Process.Pid
	t.Cleanup(func() { s.end(cmd) })
	s.Await("init", func() bool {
		files, _ := filepath.Glob(s.Path("run", "upstart", "sessions", "*.session"))
		text, _ := os.ReadFile(strings.Join(files, ""))
		s.Address = strings.TrimSpace(strings.TrimPrefix(string(text), "UPSTART_SESSION="))
		return s.Address != "" && s.Initctl("version") != ""
	})
	return s
}

// build makes init and initctl of this tree, once for all tests of a process.
// ONSET_TEST_PROGRAMS names a folder with them where there is no go, as in a
// machine made for tests.
func build(t testing.TB) (dir string) {
	t.Helper()
	if dir = os.Getenv("ONSET_TEST_PROGRAMS"); dir != "" {
		return dir
	}
	dir, err := programs()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("there is no go here to build init with, and ONSET_TEST_PROGRAMS names no folder with it")
	}
	if err != nil {
		t.Fatalf("cannot build init: %v", err)
	}
	return dir
}

var programs = sync.OnceValues(func() (dir string, err error) {
	dir, err = os.MkdirTemp("", "onset-programs")
	if err != nil {
		return "", err
	}
	// The programs go when this process does, and with it the end of this pipe.
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return "", err
	}
	remover := exec.Command("sh", "-c", `cat; rm -rf "$0"`, dir)
	remover.Stdin = os.NewFile(uintptr(pipe[0]), "pipe")
	remover.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // not to die with this one's group
	if err := remover.Start(); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", dir+"/", "onset/cmd/init", "onset/cmd/initctl")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out)
	}
	return dir, err
})

func (s *Session) end(cmd *exec.Cmd) {
	cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(Patience, func() {
		s.t.Error("init does not end the session")
		cmd.Process.Kill()
	})
	cmd.Wait()
	kill.Stop()
	if s.t.Failed() {
		text, _ := os.ReadFile(s.Path("messages"))
		s.t.Logf("messages of init:\n%s", text)
	}
}

// Path returns a path below the folder of the session.
func (s *Session) Path(parts ...string) string {
	return filepath.Join(append([]string{s.dir}, parts...)...)
}

// Initctl runs a command of initctl and returns what it prints, errors too, which
// are told once each.
func (s *Session) Initctl(args ...string) string {
	cmd := exec.Command(filepath.Join(s.programs, "initctl"), args...)
	cmd.Env = append(os.Environ(), "UPSTART_SESSION="+s.Address)
	out, err := cmd.CombinedOutput()
	if err != nil {
		text := fmt.Sprintf("initctl %q: %v: %s", args, err, out)
		if _, again := s.told.LoadOrStore(text, nil); !again {
			s.t.Log(text)
		}
	}
	return string(out)
}

// Log returns what an instance of a job has printed; its name has _ for /.
func (s *Session) Log(name string) string {
	text, _ := os.ReadFile(s.Path("log", name+".log"))
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

// Await waits until something is so.
func (s *Session) Await(what string, so func() bool) {
	s.t.Helper()
	for end := time.Now().Add(Patience); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("waited in vain for %s; jobs:\n%sfacts:\n%s", what, s.Initctl("list"), s.Initctl("facts"))
		}
	}
}
