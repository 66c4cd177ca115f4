package power

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onset/eventsources"
	"onset/eventsources/sourcetest"
)

// dirMark in the environment makes the test binary onset-sources with this
// source, on the machine of files in that folder.
const dirMark = "ONSET_TEST_MACHINE"

func TestMain(m *testing.M) {
	dir := os.Getenv(dirMark)
	if dir == "" {
		os.Exit(m.Run())
	}
	host := eventsources.Host{Address: os.Getenv("UPSTART_SESSION"), Sources: []eventsources.Source{onFiles{at: machine{dir: dir}.places()}},
		Logf: func(format string, args ...any) { fmt.Printf(format+"\n", args...) }}
	fmt.Println(host.Run(context.Background()))
}

var mainProcess = regexp.MustCompile(`start/running, process (\d+)`)

// TestKilled kills the source between suspending and resumed, while jobs get
// ready and while the machine sleeps: the suspend goes on, and its end is told
// once.
func TestKilled(t *testing.T) {
	bus, m := sourcetest.NewBus(t), newMachine(t)
	l := newLogin(t, bus, time.Minute, false)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := sourcetest.NewSession(t, map[string]string{
		"sources.conf": "start on go\nrespawn\nrespawn limit unlimited\nenv " + dirMark + "=" + m.dir +
			"\nenv DBUS_SYSTEM_BUS_ADDRESS=" + bus.Address + "\nexec " + self + "\n",
		"ready.conf": "start on suspending\ntask\nscript\necho ready\nuntil [ -e PATH/go ]; do sleep 0.01; done\nend script\n",
		"awake.conf": "start on resumed\ntask\nexec echo awake\n",
		"mains.conf": "while ac-power\nexec sleep 1000000\n",
	})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the source:\n%s", s.Log("sources"))
		}
	})
	s.Initctl("emit", "go")
	kill := func() {
		t.Helper()
		status := s.Initctl("status", "sources")
		found := mainProcess.FindStringSubmatch(status)
		if found == nil {
			t.Fatalf("%q", status)
		}
		pid, _ := strconv.Atoi(found[1])
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		s.Await("the next process", func() bool {
			next := s.Initctl("status", "sources")
			return next != status && mainProcess.MatchString(next)
		})
	}
	inhibitor := l.inhibitor()
	var mains string
	s.Await("the fact", func() bool {
		mains = s.Initctl("status", "mains")
		return mainProcess.MatchString(mains)
	})
	l.prepare(true)
	s.Await("the job before", func() bool { return s.Log("ready") == "ready\n" })
	kill()
	released(t, inhibitor)
	released(t, l.inhibitor()) // the next one lets the suspend go on at once
	kill()
	released(t, l.inhibitor())
	l.prepare(false)
	s.Await("the job after", func() bool { return s.Log("awake") == "awake\n" })
	if err := os.WriteFile(s.Path("go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l.inhibitor() // of the next suspend
	if got := s.Log("ready"); got != "ready\n" || s.Initctl("status", "mains") != mains {
		t.Errorf("told again: %q; %s was %s", got, s.Initctl("status", "mains"), mains)
	}
}

// overflown returns a socket that more notifications came to than it has room
// for, and their kind of message.
func overflown(t *testing.T) (s *socket, family uint16) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root may send what the kernel sends")
	}
	s, family, err := openNotifications(t.Context())
	if err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	fault := s.conn.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 2048) })
	if err = errors.Join(err, fault); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		sendNotice(t, family)
	}
	return s, family
}

// TestOverflow wants mains to be looked at, whatever the lost ones were about.
func TestOverflow(t *testing.T) {
	s, family := overflown(t)
	init := &sourcetest.Recorder{}
	r := &run{init: init, heard: make(chan news)}
	m := newMachine(t)
	m.supply("AC", "type=Mains", "online=0")
	tr := m.teller(init)
	if err := tr.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.supply("AC", "online=1")
	go r.hearKernel(t.Context(), s, family)
	if err := (<-r.heard)(t.Context(), tr); err != nil {
		t.Fatal(err)
	}
	equal(t, init.Take(), "log notifications of ACPI were lost: there were too many", "fact ac-power", "emit ac-online")
}

// TestLossIsToldLast wants nothing to wait after a look for what was lost, since
// the kernel leaves out what is new until nothing does.
func TestLossIsToldLast(t *testing.T) {
	s, _ := overflown(t)
	if _, err := s.receive(); err != errLost {
		t.Fatal(err)
	}
	s.conn.Control(func(fd uintptr) {
		if n, _, err := unix.Recvfrom(int(fd), s.buffer, 0); err != unix.EAGAIN {
			t.Errorf("%d bytes were left, %v", n, err)
		}
	})
}
