package linux

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"onset/core/env"
	"onset/core/job"
	"onset/platform"
	"onset/platform/posix"
)

// listenArg as the first argument makes the test binary a process that listens.
const listenArg = "onset-listen"

// listenMain does what its arguments say: "unix:PATH" and "tcp:ADDRESS" listen
// there, "raw:FD" calls listen on a descriptor, "old:PATH" listens by
// socketcall, "hide" hides the process from its own user. What came of it
// goes to descriptor 3, a line each.
func listenMain() {
	if len(os.Args) < 2 || os.Args[1] != listenArg {
		return
	}
	answers := os.NewFile(3, "answers")
	for _, order := range os.Args[2:] {
		verb, arg, _ := strings.Cut(order, ":")
		fmt.Fprintf(answers, "%s %v\n", verb, listenOrder(verb, arg))
	}
	time.Sleep(time.Hour)
}

func listenOrder(verb, arg string) error {
	switch verb {
	case "unix":
		return listenAt(&unix.SockaddrUnix{Name: arg}, unix.AF_UNIX, unix.Listen)
	case "old":
		return listenAt(&unix.SockaddrUnix{Name: arg}, unix.AF_UNIX, socketcallListen)
	case "tcp":
		at := netip.MustParseAddrPort(arg)
		return listenAt(&unix.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())}, unix.AF_INET, unix.Listen)
	case "raw":
		fd, _ := strconv.Atoi(arg)
		return unix.Listen(fd, 1)
	case "hide":
		return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	}
	return unix.ENOSYS
}

func listenAt(to unix.Sockaddr, family int, listen func(fd, backlog int) error) error {
	fd, err := unix.Socket(family, unix.SOCK_STREAM, 0)
	if err == nil {
		err = unix.Bind(fd, to)
	}
	if err == nil {
		err = listen(fd, 5)
	}
	return err
}

// ear is a manager that hears of one process; the next manager has the same
// memory and socket.
type ear struct {
	*testing.T
	poller  *Poller
	listens platform.Listens
	memory  []byte
	socket  int
	told    string // "L" listening, "U" unwatched, "R" a remark
	remarks []string
}

func (e *ear) Listening(uint64)          { e.told += "L" }
func (e *ear) Unwatched(uint64)          { e.told += "U" }
func (e *ear) Remark(_ uint64, t string) { e.told, e.remarks = e.told+"R", append(e.remarks, t) }

// listener is the process, spawned with the ear open.
type listener struct {
	*ear
	answers int
	pid     int
	text    string
}

func newEar(t *testing.T, memory []byte, socket int, address string) *ear {
	t.Helper()
	poller, err := NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	e := &ear{T: t, poller: poller, memory: memory, socket: socket}
	e.listens = NewListens(poller, memory, e)
	if err := e.listens.Watch(1, address, socket); err != nil {
		t.Fatal(err)
	}
	return e
}

// crash leaves everything as a manager does that is killed, and returns the next.
func (l *listener) crash(address string) {
	l.Helper()
	for _, w := range l.listens.(*Listens).watches {
		unix.Close(w.filter)
	}
	l.poller.Close()
	l.ear = newEar(l.T, l.memory, l.socket, address)
}

func startListener(t *testing.T, address string, orders ...string) *listener {
	t.Helper()
	runtime.LockOSThread()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{ear: newEar(t, make([]byte, ListenMemory), pair[0], address)}
	procs, err := NewProcesses(l.poller, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var answers [2]int
	if err := unix.Pipe2(answers[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	unix.SetNonblock(answers[0], true)
	self, _ := os.Executable()
	spec := &job.Spec{
		Job: "test", Process: job.Process{Text: self + " " + listenArg + " " + strings.Join(orders, " ")},
		Env: env.Table{"PATH=/bin"}, Expect: job.Expect{Kind: job.ExpectListen},
		Attrs: job.Attrs{Console: job.ConsoleNone, Umask: -1},
	}
	started, err := procs.Spawn(1, spec, platform.Streams{Log: -1, Files: []int{answers[1]}, Sign: pair[1]})
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(pair[1])
	unix.Close(answers[1])
	l.pid, l.answers = started.PID, answers[0]
	t.Cleanup(func() {
		unix.Kill(l.pid, unix.SIGKILL)
		unix.Wait4(l.pid, nil, 0, nil)
	})
	return l
}

// until turns until something is so; every turn ends with Taken if it is to.
func (l *listener) until(what string, taken bool, is func() bool) {
	l.Helper()
	for end := time.Now().Add(3 * time.Minute); !is(); {
		if time.Now().After(end) {
			l.Fatalf("not so in time: %s; told %q %q, answered %q", what, l.told, l.remarks, l.text)
		}
		if err := l.poller.Wait(2 * time.Millisecond); err != nil {
			l.Fatal(err)
		}
		if taken {
			l.listens.Taken()
		}
		l.hear()
	}
}

// hear reads what the process answered so far.
func (l *listener) hear() {
	var b [1024]byte
	if n, err := unix.Read(l.answers, b[:]); err == nil {
		l.text += string(b[:n])
	}
}

func (l *listener) answer(want string) {
	l.Helper()
	l.until("the answer "+want, true, func() bool { return l.text == want })
}

func accepts(path string) bool {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return unix.Connect(fd, &unix.SockaddrUnix{Name: path}) == nil
}

func TestListenTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l := startListener(t, "", "unix:"+path, "unix:"+path+"2")
	l.until("it is told", false, func() bool { return l.told != "" })
	if l.told != "L" || !accepts(path) || l.text != "" {
		t.Errorf("told %q, it listens: %t, and goes on: %q", l.told, accepts(path), l.text)
	}
	l.answer("unix <nil>\nunix <nil>\n")
	if l.told != "L" || !accepts(path+"2") {
		t.Errorf("told %q", l.told)
	}
	unix.Kill(l.pid, unix.SIGKILL)
	l.until("the end", true, func() bool { return l.told == "LU" })
}

// TestListenOverCrashes kills managers at each point of a call.
func TestListenOverCrashes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l := startListener(t, path, "unix:"+path)
	l.crash(path) // nothing was heard yet
	l.until("it is told", false, func() bool { return l.told == "L" })
	l.crash(path) // the call was done and is not answered
	if l.told != "L" {
		t.Errorf("the next manager is told %q", l.told)
	}
	l.crash(path)
	l.answer("unix <nil>\n")
	l.crash(path) // all was said
	if l.told != "" || !accepts(path) {
		t.Errorf("told %q", l.told)
	}
	unix.Kill(l.pid, unix.SIGKILL)
	l.until("the end", true, func() bool { return l.told == "U" })
}

// TestListenWithoutDescriptors has none free when the filter comes.
func TestListenWithoutDescriptors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l := startListener(t, "", "unix:"+path)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	hears := l.listens.(*Listens)
	l.until("the filter is found and cannot be had", true, func() bool { return len(hears.starved) > 0 })
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	l.answer("unix <nil>\n")
	if l.told != "L" {
		t.Errorf("told %q", l.told)
	}
}

// TestListenTakenAndNotDone is a manager that is killed in the system call by
// which it takes the call.
func TestListenTakenAndNotDone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l := startListener(t, "", "unix:"+path)
	hears := l.listens.(*Listens)
	l.until("the filter", false, func() bool { return hears.watches[1].filter >= 0 })
	*hears.taken = takenCall{Token: 1}
	if err := notifyControl(hears.watches[1].filter, notifyReceive, unsafe.Pointer(hears.taken)); err != 0 && l.told == "" {
		t.Fatal(err)
	}
	l.crash("")
	l.answer("unix <nil>\n")
	if l.told != "L" {
		t.Errorf("told %q", l.told)
	}
}

func TestListenAtAnotherAddress(t *testing.T) {
	dir := t.TempDir()
	l := startListener(t, dir+"/b", "unix:"+dir+"/a", "unix:"+dir+"/b")
	l.until("the second listens", true, func() bool { return l.told != "" })
	if l.hear(); l.told != "L" || l.text != "unix <nil>\n" && l.text != "unix <nil>\nunix <nil>\n" {
		t.Errorf("told %q after %q", l.told, l.text)
	}
	l.answer("unix <nil>\nunix <nil>\n")
}

// TestListenFails wants the errors that a process gets without a filter.
func TestListenFails(t *testing.T) {
	l := startListener(t, "", "raw:-1", "raw:500", "raw:3", "old:"+filepath.Join(t.TempDir(), "s"))
	old := "<nil>"
	if runtime.GOARCH != "amd64" {
		old = unix.ENOSYS.Error()
	}
	l.answer(fmt.Sprintf("raw %v\nraw %v\nraw %v\nold %s\n", unix.EBADF, unix.EBADF, unix.ENOTSOCK, old))
	if runtime.GOARCH == "amd64" && l.told != "L" {
		t.Errorf("told %q", l.told)
	}
}

// asNobody runs the test again as a user without privileges, and reports
// whether this is that run.
func asNobody(t *testing.T) bool {
	t.Helper()
	const mark = "ONSET_TEST_NOBODY"
	if os.Getenv(mark) != "" {
		return true
	}
	if os.Getuid() != 0 {
		return true
	}
	dir, err := os.MkdirTemp("/var/tmp", "onset-listen") // where that user gets at the program
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	os.Chmod(dir, 0o755)
	self, _ := os.Executable()
	if out, err := exec.Command("cp", self, dir+"/test").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.Command(dir+"/test", "-test.run=^"+t.Name()+"$", "-test.v="+verbose())
	cmd.Dir, cmd.Env = "/", []string{mark + "=1", "TMPDIR=/tmp", "PATH=/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
	t.Logf("%s", out)
	return false
}

// TestListenUnprivileged is the init of a user: the price is told, and a
// process that hides goes on.
func TestListenUnprivileged(t *testing.T) {
	if !asNobody(t) {
		return
	}
	path := filepath.Join(t.TempDir(), "s")
	l := startListener(t, path, "unix:"+path)
	l.answer("unix <nil>\n")
	if l.told != "RL" || !strings.Contains(l.remarks[0], "no new privileges") {
		t.Errorf("told %q %q", l.told, l.remarks)
	}
	if statusWord(l.pid, "NoNewPrivs") != "1" {
		t.Error("it may still get privileges")
	}
	l = startListener(t, path+"2", "hide", "unix:"+path+"3", "unix:"+path+"2")
	l.answer("hide <nil>\nunix <nil>\nunix <nil>\n")
	if l.told != "RRL" || !strings.Contains(l.remarks[1], "may not look where") {
		t.Errorf("told %q %q", l.told, l.remarks)
	}
}

// TestListenRefused has a filter of this kind in place already, which is all
// that the kernel takes.
func TestListenRefused(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can have the filter without losing privileges")
	}
	const mark = "ONSET_TEST_FILTERED"
	if os.Getenv(mark) == "" {
		cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v="+verbose())
		cmd.Env = append(os.Environ(), mark+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	runtime.LockOSThread()
	allow := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}
	prog := unix.SockFprog{Len: 1, Filter: &allow}
	if _, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER,
		uintptr(unsafe.Pointer(&prog))); errno != 0 {
		t.Fatal(errno)
	}
	path := filepath.Join(t.TempDir(), "s")
	l := startListener(t, path, "unix:"+path)
	l.answer("unix <nil>\n")
	if l.told != "RLU" || !strings.Contains(l.remarks[0], posix.Strerror(unix.EBUSY)) {
		t.Errorf("told %q %q", l.told, l.remarks)
	}
}
