//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// becomesReady starts a job, wants it not to be ready before a file is there
// on which its process waits, whatever disturb does meanwhile, and ready afterwards.
func (s *session) becomesReady(job, file string, disturb func()) {
	s.t.Helper()
	start := s.initctl("start", job)
	if err := start.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.await(job+" has said what it says first", func() bool { return s.log(job) != "" })
	disturb()
	if out := s.run("status", job); !strings.HasPrefix(out, job+" start/spawned, process ") {
		s.t.Errorf("%s is not to be ready yet: %s", job, out)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		s.t.Fatal(err)
	}
	late := time.AfterFunc(patience, func() { start.Process.Kill() })
	defer late.Stop()
	if err := start.Wait(); err != nil {
		s.t.Errorf("start %s: %v; %s", job, err, s.run("status", job))
	}
	if out := s.run("status", job); !strings.HasPrefix(out, job+" start/running, process ") {
		s.t.Errorf("%s is to be ready: %s", job, out)
	}
}

// freePort returns a TCP port that nobody listens at, nor will: kernels give
// it to nobody who asks for any, and those above are for eventsources/socket.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		port := fmt.Sprint(20000 + rand.IntN(6000))
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("there is no free port")
	return ""
}

// readyJobs say nothing that means ready before the file GO is there.
func readyJobs(t *testing.T, dir string) map[string]string {
	port, name := freePort(t), strings.ReplaceAll(dir, "/", ".")
	jobs := map[string]string{
		"fd": "expect fd 4\nscript\n\techo not yet >&2\n\tprintf almost >&4\n\twhile [ ! -e GO ]; do sleep 0.01; done\n" +
			"\techo >&4\n\texec sleep 1000\nend script\n",
		"notify": "expect notify\nexec " + client("write /dev/stderr up notify STATUS=warming+X=1 await GO notify READY=1 sleep"),
		"child":  "expect notify\nexec " + client("write /dev/stderr up child notify,STATUS=hm,await,GO,notify,READY=1,sleep"),
		"listen": "expect listen\nexec " + client("write /dev/stderr up await GO listen unix @a"+name+" sleep"),
		"at": "expect listen 127.0.0.1:" + port + "\nexec " +
			client("listen unix @b"+name+" write /dev/stderr up await GO listen tcp 127.0.0.1:"+port+" sleep"),
		"deep": "expect listen @c" + name + "\nexec " +
			client("listen unix @d"+name+" write /dev/stderr up child child,await,GO,listen,unix,@c"+name+",sleep"),
	}
	for job, text := range jobs {
		jobs[job] = strings.ReplaceAll(text, "GO", dir+"/go-"+job)
	}
	jobs["deep"] = strings.Replace(jobs["deep"], "child child,await", "child await", 1)
	return jobs
}

func conf(jobs map[string]string) map[string]string {
	files := map[string]string{}
	for name, text := range jobs {
		files[name+".conf"] = text
	}
	return files
}

func TestReadyBySign(t *testing.T) {
	for name, disturb := range map[string]func(*session){
		"undisturbed": func(*session) {}, "re-exec": (*session).reexec,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			jobs := readyJobs(t, dir)
			s := startSession(t, conf(jobs))
			for job := range jobs {
				s.becomesReady(job, dir+"/go-"+job, func() { disturb(s) })
			}
		})
	}
}

// TestReadyByStranger has a process that is of no job claim that one is ready.
func TestReadyByStranger(t *testing.T) {
	dir := t.TempDir()
	s := startSession(t, conf(readyJobs(t, dir)))
	s.becomesReady("notify", dir+"/go-notify", func() {
		t.Setenv("NOTIFY_SOCKET", s.path("run", "onset", fmt.Sprint("notify-", s.cmd.Process.Pid)))
		for _, text := range []string{"READY=1", "", "READY=1\x00", strings.Repeat("x", 17<<10), "\xff\n\n=\n"} {
			if err := sendNotice(text); err != nil {
				t.Fatal(err)
			}
		}
		if err := barrier(); err != nil {
			t.Error(err)
		}
	})
	for _, want := range []string{"it is of no job", "it is longer than 16384 bytes", "it is no text"} {
		if got := strings.Count(s.messages(), want); got != 1 {
			t.Errorf("%q was said %d times", want, got)
		}
	}
}

// TestNotifyTool uses what scripts use.
func TestNotifyTool(t *testing.T) {
	if _, err := exec.LookPath("systemd-notify"); err != nil {
		t.Skip("there is no systemd-notify here")
	}
	s := startSession(t, map[string]string{
		"tool.conf": "expect notify\nscript\n\tsystemd-notify STATUS=warming\n\tsystemd-notify --ready --status='all is well'\n" +
			"\texec sleep 1000\nend script\n",
	})
	s.run("start", "tool")
	if out := s.run("status", "tool"); !strings.Contains(out, "all is well") {
		t.Errorf("the text is not shown: %s", out)
	}
}

// TestStoredFiles has a service store files, which come back with its next
// process, also by the next image of init.
func TestStoredFiles(t *testing.T) {
	s := startSession(t, map[string]string{
		"keep.conf": "expect notify\nrespawn\nkill signal KILL\nscript\n\tif [ -z \"$LISTEN_FDS\" ]; then\n\t\texec " +
			client("store first one store second two notify READY=1 sleep") + "\n\tfi\n" +
			"\techo $LISTEN_FDS $LISTEN_FDNAMES $([ $LISTEN_PID = $$ ] && echo own) $(cat /proc/self/fd/3) $(cat /proc/self/fd/4)\n" +
			"\texec " + client("notify READY=1 sleep") + "\nend script\n",
	})
	s.run("start", "keep")
	for n := range 3 {
		if n == 1 {
			s.reexec()
		}
		var pid int
		fmt.Sscanf(s.run("status", "keep"), "keep start/running, process %d", &pid)
		if pid == 0 {
			t.Fatal(s.run("status", "keep"))
		}
		syscall.Kill(pid, syscall.SIGKILL)
		s.await("the next process", func() bool { return strings.Count(s.log("keep"), "\n") == n+1 })
		s.await("its readiness", func() bool { return strings.Contains(s.run("status", "keep"), "start/running") })
	}
	if want := strings.Repeat("2 first:second own one two\r\n", 3); s.log("keep") != want {
		t.Errorf("got %q", s.log("keep"))
	}
}

func TestReadyByName(t *testing.T) {
	daemon, err := exec.LookPath("dbus-daemon")
	if err != nil {
		t.Skip("there is no dbus-daemon here")
	}
	dir := t.TempDir()
	address := "unix:path=" + filepath.Join(dir, "bus")
	s := startSessionOn(t, address, map[string]string{"named.conf": "expect dbus org.example.Onset\nexec sleep 1000\n"})
	start := s.initctl("start", "named")
	if err := start.Start(); err != nil {
		t.Fatal(err)
	}
	s.await("spawned", func() bool { return strings.Contains(s.run("status", "named"), "start/spawned, process") })
	s.reexec()
	bus := exec.Command(daemon, "--session", "--address="+address, "--nofork", "--nopidfile")
	if err := bus.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bus.Process.Kill(); bus.Wait() })
	var conn *dbus.Conn
	s.await("the bus", func() bool {
		var err error
		conn, err = dbus.Connect(address)
		return err == nil
	})
	defer conn.Close()
	s.await("init on the bus", func() bool {
		var has bool
		return conn.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, "com.ubuntu.Upstart").Store(&has) == nil && has
	})
	if _, err := conn.RequestName("org.example.Other", dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	if out := s.run("status", "named"); !strings.Contains(out, "start/spawned, process") {
		t.Errorf("it is not to be ready yet: %s", out)
	}
	if _, err := conn.RequestName("org.example.Onset", dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	if err := start.Wait(); err != nil {
		t.Error(err)
	}
	s.run("restart", "named") // the name has an owner already
}
