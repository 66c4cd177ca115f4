package socket

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"onset/eventsources"
)

func TestAbstractNames(t *testing.T) {
	name := "@onset-test-" + strconv.Itoa(os.Getpid())
	f, _ := start(t, New(), "/j: PROTO=unix PATH="+name)
	f.await("fact socket PROTO=unix SOCKET_PATH=" + name + " PATH=" + name)
	f.dial("unix", name) // of this length and no other
	f.await("wait socket PROTO=unix SOCKET_PATH=" + name)
}

// TestModeBeforeMode wants nobody to be able to connect before a file has its
// mode.
func TestModeBeforeMode(t *testing.T) {
	old := unix.Umask(0)
	defer unix.Umask(old)
	path := filepath.Join(t.TempDir(), "s")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := bindClosed(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// TestNetlink has a change of addresses start a job.
func TestNetlink(t *testing.T) {
	f, _ := start(t, New(), "/j: PROTO=netlink FAMILY=route GROUP=5") // RTNLGRP_IPV4_IFADDR
	f.await("fact socket PROTO=netlink FAMILY=route GROUP=5 +file")
	if os.Getuid() != 0 {
		t.Skip("only root may change addresses")
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for _, address := range []string{"127.0.0.9", "0.0.0.0"} {
		r, err := unix.NewIfreq("lo:9")
		if err == nil {
			err = r.SetInet4Addr(net.ParseIP(address).To4())
		}
		if err == nil {
			err = unix.IoctlIfreq(fd, unix.SIOCSIFADDR, r)
		}
		if err != nil {
			t.Skipf("addresses cannot be changed here: %v", err)
		}
	}
	f.await("wait socket PROTO=netlink FAMILY=route GROUP=5")
}

// TestVsock connects to this machine itself.
func TestVsock(t *testing.T) {
	const port = 770077
	to, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Skipf("this kernel has no vsock: %v", err)
	}
	defer unix.Close(to)
	f, _ := start(t, New(), "/j: PROTO=vsock ACCEPT=yes PORT="+strconv.Itoa(port))
	if lines := f.await("socket PROTO=vsock"); !strings.HasPrefix(lines[len(lines)-1], "fact") {
		t.Fatalf("%q", lines)
	}
	if err := unix.Connect(to, &unix.SockaddrVM{CID: unix.VMADDR_CID_LOCAL, Port: port}); err != nil {
		t.Skipf("this kernel has no vsock to itself: %v", err)
	}
	f.await("REMOTE_CID=1 REMOTE_PORT=")
}

// TestNoDescriptors leaves the source none for a connection, and then for a
// socket.
func TestNoDescriptors(t *testing.T) {
	dir := t.TempDir()
	one := "/one: PROTO=unix ACCEPT=yes PATH=" + dir + "/one"
	f, _ := start(t, New(), one)
	f.await("fact socket")
	conn := f.dial("unix", dir+"/one")
	conn.Close()
	f.await("CONNECTION=")
	f.Signal(eventsources.Signal{Kind: eventsources.InstanceAdded, Path: "/one"})

	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	to, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(to)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	if err := unix.Connect(to, &unix.SockaddrUnix{Name: dir + "/one"}); err != nil {
		t.Fatal(err)
	}
	f.await("log socket " + dir + "/one of /one: cannot accept a connection: too many open files")
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if lines := f.await("CONNECTION="); strings.Contains(strings.Join(lines, "\n"), "cannot accept") {
		t.Errorf("told twice: %q", lines)
	}

	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1100, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	var filled []int
	for {
		fd, err := unix.FcntlInt(uintptr(to), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			break
		}
		filled = append(filled, fd)
	}
	f.ask(one, "/two: PROTO=unix PATH="+dir+"/two")
	f.await("log Failed to create socket in /two: " + dir + "/two: too many open files")
	for _, fd := range filled {
		unix.Close(fd)
	}
	if lines := f.await("fact socket"); strings.Contains(strings.Join(lines, "\n"), "Failed") {
		t.Errorf("told twice: %q", lines)
	}
}

// quick is a fake for facts that are many.
type quick struct {
	*fake
	holds map[string]bool
}

func (q *quick) Hold(facts []eventsources.Fact) error {
	now := map[string]bool{}
	for _, f := range facts {
		text := "fact " + f.Name + " " + strings.Join(f.Env, " ")
		if now[text] = true; !q.holds[text] {
			q.Logf("%s", text)
		}
	}
	for text := range q.holds {
		if !now[text] {
			q.Logf("no %s", text)
		}
	}
	q.holds = now
	return nil
}

// TestManyOperands has as many sockets as there may be, or 10,000, makes them
// all the kernel's, wakes some, and changes one.
func TestManyOperands(t *testing.T) {
	n := 10_000
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() != 0 && limit.Max < 12_000 {
		n = int(limit.Max) - 2000
	}
	dir := t.TempDir()
	operands := make([]string, n)
	for i := range operands {
		operands[i] = fmt.Sprintf("/jobs/j%d: PROTO=unix PATH=%s/%d", i, dir, i)
	}
	before := memory(t)
	f := &fake{t: t}
	begin(t, New(), &quick{fake: f}, operands...)
	told := 0
	f.until("the facts", func() bool {
		for _, line := range f.Take() {
			if told++; !strings.HasPrefix(line, "log fact socket PROTO=unix") {
				t.Fatal(line)
			}
		}
		return told == n
	}, &operands)
	t.Logf("%d sockets: %d KiB", n, memory(t)-before)
	for i := range 100 {
		i *= n / 100
		f.dial("unix", fmt.Sprintf("%s/%d", dir, i))
		f.await(fmt.Sprintf("wait socket PROTO=unix SOCKET_PATH=%s/%d PATH=", dir, i))
		for _, kind := range []eventsources.SignalKind{eventsources.InstanceAdded, eventsources.InstanceRemoved} {
			f.Signal(eventsources.Signal{Kind: kind, Path: fmt.Sprintf("/jobs/j%d", i)})
		}
		f.await(fmt.Sprintf("wait socket PROTO=unix SOCKET_PATH=%s/%d PATH=", dir, i))
	}
	f.ask(append(operands[1:], "/jobs/new: PROTO=unix PATH="+dir+"/new")...)
	var lines []string
	f.until("the new socket", func() bool {
		for _, line := range f.Take() {
			if !strings.HasPrefix(line, "wait ") {
				lines = append(lines, line)
			}
		}
		return len(lines) == 2
	}, &lines)
	if !strings.HasPrefix(lines[0], "log no fact socket PROTO=unix SOCKET_PATH="+dir+"/0 ") || !strings.HasPrefix(lines[1], "log fact socket PROTO=unix SOCKET_PATH="+dir+"/new ") {
		t.Errorf("told %q", lines)
	}
}

// memory returns what is in use, in KiB.
func memory(t *testing.T) uint64 {
	t.Helper()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return (m.HeapInuse + m.StackInuse) / 1024
}
