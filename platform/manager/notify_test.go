package manager

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/env"
	"onset/core/job"
	"onset/platform"
	"onset/platform/posix"
)

// family is a back end whose only process of a spawn, of token 1, is the test.
type family struct {
	platform.Processes
	strange bool // the test is no process of it
	pid     int  // another process of it
}

func (f *family) TokenOf(pid int) uint64 {
	if pid != os.Getpid() || f.strange {
		return 0
	}
	return 1
}

func (f *family) Tree(token uint64, _ int) []platform.Process {
	if token != 1 || f.pid == 0 {
		return nil
	}
	return []platform.Process{{PID: f.pid}}
}

// notifyWorld is a manager with a socket of sd_notify, and a job that may
// write to it.
type notifyWorld struct {
	*testing.T
	*Manager
	family *family
	turns  int
}

func newNotifyWorld(t *testing.T) *notifyWorld {
	t.Helper()
	poller := newPoller(t)
	path := filepath.Join(t.TempDir(), "run", "notify")
	w := &notifyWorld{T: t, family: &family{}}
	w.Manager = &Manager{
		k: Kernel{Poller: poller, Processes: w.family}, engine: engine.New(engine.Options{NotifySocket: path, StartupEvent: "up"}), address: path,
		files: map[int]bool{}, remarks: map[string]bool{}, said: make([]engine.Log, 0, 256),
	}
	w.step(engine.Loaded{Sources: []engine.Source{{Path: "/c", Files: []engine.File{
		{Path: "/c/job.conf", Text: "start on up\nexpect notify\nexec it\n"}}}}})
	w.step(engine.Spawned{Token: 1, PID: os.Getpid()})
	w.step(engine.Executed{PID: os.Getpid()})
	return w
}

func (w *notifyWorld) step(m engine.Msg) { w.engine.Step(engine.Input{Msg: m}) }

// crash makes a manager that has what the keeper has of another: the sockets.
func (w *notifyWorld) crash() *notifyWorld {
	w.Helper()
	next := newNotifyWorld(w.T)
	next.engine, next.address = w.engine, w.address
	var sockets []*notifySocket
	for _, s := range w.notify {
		fd, err := unix.Dup(s.FD)
		stored, ok := storedNotifySocket(s.name(), fd)
		if err != nil || !ok {
			w.Fatal(s.name(), err)
		}
		sockets = append(sockets, stored)
	}
	next.adoptNotify(sockets)
	return next
}

// spec returns the address that a process of the job gets.
func (w *notifyWorld) spec(change func(*job.Spec)) (address string, err error) {
	s := &job.Spec{Env: env.Table{"NOTIFY_SOCKET=" + w.address}}
	if change != nil {
		change(s)
	}
	if s, err = w.withNotifySocket(1, s); err == nil {
		address, _ = s.Env.Lookup("NOTIFY_SOCKET")
	}
	return address, err
}

func (w *notifyWorld) bound() string {
	w.Helper()
	address, err := w.spec(nil)
	if err != nil {
		w.Fatal(err)
	}
	return address
}

func send(t *testing.T, address, text string, files ...int) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	var oob []byte
	if len(files) > 0 {
		oob = unix.UnixRights(files...)
	}
	for end := time.Now().Add(3 * time.Minute); ; time.Sleep(time.Millisecond) {
		err := unix.Sendmsg(fd, []byte(text), oob, &unix.SockaddrUnix{Name: address}, 0)
		switch {
		case err == nil:
			return
		case err != unix.ENOBUFS || time.Now().After(end): // FreeBSD does not wait for room
			t.Errorf("%s: %v", address, err)
			return
		}
	}
}

// hear returns the next message, which is peeked at and not taken.
func (w *notifyWorld) hear() engine.Notified {
	w.Helper()
	for end := time.Now().Add(3 * time.Minute); len(w.inbox) == 0; w.turns++ {
		if time.Now().After(end) {
			w.Fatal("nothing is told")
		}
		w.notifyTaken()
		if err := w.k.Poller.Wait(time.Millisecond); err != nil {
			w.Fatal(err)
		}
	}
	if len(w.inbox) > 1 {
		w.Errorf("%d messages in one turn", len(w.inbox))
	}
	n := w.inbox[0].(engine.Notified)
	w.inbox = nil
	return n
}

func (w *notifyWorld) wantLines(want ...string) []int {
	w.Helper()
	n := w.hear()
	if n.Token != 1 || n.PID != tellsSender*os.Getpid() || !reflect.DeepEqual(n.Lines, want) {
		w.Errorf("told %+v, want %q", n, want)
	}
	return n.Files
}

func TestNotifyMessages(t *testing.T) {
	w := newNotifyWorld(t)
	address := w.bound()
	for _, text := range []string{"", "\n\n", "READY=1\x00", "no sense", "READY=1\nSTATUS=a=b\n\n\xff=1"} {
		send(t, address, text)
	}
	var none []string
	for _, want := range [][]string{{}, {}, {}, {"READY=1", "STATUS=a=b", "\xff=1"}} { // empty, newlines, no sense, the last
		if n := w.hear(); !reflect.DeepEqual(append(none, n.Lines...), append(none, want...)) {
			t.Errorf("told %q, want %q", n.Lines, want)
		}
	}
	send(t, address, fmt.Sprintf("MAINPID=%d\nMAINPID=1\nMAINPID=x\nREADY=1", os.Getpid()))
	w.wantLines(fmt.Sprintf("MAINPID=%d", os.Getpid()), "READY=1")
	w.wantWarnings(map[string]int{errBinary.Error(): 1, "that is no process of the job": 1})
}

func (w *notifyWorld) wantWarnings(want map[string]int) {
	w.Helper()
	warnings := map[string]int{}
	for _, l := range w.said {
		warnings[l.Text[strings.LastIndex(l.Text, ": ")+2:]]++
	}
	if !reflect.DeepEqual(warnings, want) {
		w.Errorf("warnings: %v", warnings)
	}
}

// spinUntilEmpty turns until nothing waits in any socket.
func (w *notifyWorld) spinUntilEmpty() {
	w.Helper()
	empty := func() bool {
		w.notifyTaken()
		for _, s := range w.notify {
			if _, _, err := unix.Recvfrom(s.FD, make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT); err == nil {
				return false
			}
		}
		return true
	}
	for end := time.Now().Add(3 * time.Minute); !empty(); {
		if time.Now().After(end) {
			w.Fatal("something is in a socket for ever")
		}
		w.k.Poller.Wait(time.Millisecond)
	}
	if len(w.inbox) > 0 {
		w.Errorf("told %v", w.inbox)
	}
}

// TestNotifyOverCrashes peeks at messages and dies before and after the
// journal has them.
func TestNotifyOverCrashes(t *testing.T) {
	w := newNotifyWorld(t)
	address := w.bound()
	fd, err := posix.Memory("stored", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	send(t, address, "FDSTORE=1\nFDNAME=a", fd, fd)
	send(t, address, "READY=1")
	first := w.wantLines("FDSTORE=1", "FDNAME=a")
	if len(first) != 2 || !w.files[first[0]] || !w.files[first[1]] {
		t.Fatalf("files %v", first)
	}
	files := first
	if peeksRights {
		w = w.crash() // nothing of that was noted
		if files = w.wantLines("FDSTORE=1", "FDNAME=a"); len(files) != 2 || files[0] == first[0] {
			t.Fatalf("files %v", files)
		}
	}
	w.step(engine.Notified{Token: 1, PID: os.Getpid(), Lines: []string{"FDSTORE=1", "FDNAME=a"}, Files: files})
	if peeksRights {
		w = w.crash() // noted, and not taken
		if again := w.wantLines("FDSTORE=1", "FDNAME=a"); len(again) != 2 || again[0] != files[0] || len(w.files) != 0 {
			t.Errorf("files %v, then %v", files, again)
		}
	}
	w.notifyTaken()
	w = w.crash() // taken
	w.wantLines("READY=1")
	w.notifyTaken()
	if w.crash().spinUntilEmpty(); w.bound() != address {
		t.Error("it has another address")
	}
}

func TestNotifyFiles(t *testing.T) {
	w := newNotifyWorld(t)
	address := w.bound()
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[0])
	many := make([]int, maxRights)
	for i := range many {
		many[i] = pipe[1]
	}
	send(t, address, "FDSTORE=1", many...)
	files := w.wantLines("FDSTORE=1")
	if len(files) != maxRights || len(w.files) != maxRights {
		t.Errorf("%d files, %d kept", len(files), len(w.files))
	}
	for _, fd := range files {
		w.dropFile(fd)
	}
	send(t, address, "BARRIER=1", many...)
	unix.Close(pipe[1])
	if files = w.wantLines("BARRIER=1"); len(files) != 0 {
		t.Errorf("files %v", files)
	}
	var b [1]byte
	if _, err := unix.Read(pipe[0], b[:]); err != unix.EAGAIN {
		t.Errorf("the barrier is lifted before the journal has it: %v", err)
	}
	w.notifyTaken()
	if n, err := unix.Read(pipe[0], b[:]); n != 0 || err != nil {
		t.Errorf("the barrier is not lifted: %v", err)
	}
}

// TestNotifyFlood has more than the socket holds come in, one message a turn.
func TestNotifyFlood(t *testing.T) {
	w := newNotifyWorld(t)
	address := w.bound()
	const messages = 3000
	go func() {
		for i := range messages {
			send(t, address, fmt.Sprint("N=", i))
		}
	}()
	for i := range messages {
		w.wantLines(fmt.Sprint("N=", i))
	}
	if len(w.said) > 0 {
		t.Errorf("said %v", w.said)
	}
}

func TestNotifySocketIsHidden(t *testing.T) {
	w := newNotifyWorld(t)
	path := w.bound()
	if w.bound(); len(w.notify) != 1 {
		t.Error("it is bound twice")
	}
	if err := os.Rename(path, path+".hidden"); err != nil {
		t.Fatal(err)
	}
	w.bound()
	send(t, path, "AT=new")
	w.wantLines("AT=new")
	w.notifyTaken()
	send(t, path+".hidden", "AT=old") // by a process that sees the first still
	w.wantLines("AT=old")
	if got, _ := w.spec(func(s *job.Spec) { s.Env = env.Table{"NOTIFY_SOCKET=/other"} }); got != "/other" {
		t.Errorf("somebody else's socket became %q", got)
	}
	w.removeNotify()
	if _, err := os.Lstat(path); err == nil {
		t.Error("its file is left behind")
	}
}
