package power

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"onset/eventsources"
	"onset/eventsources/sourcetest"
)

// loginScript is elogind in a mount namespace where nothing is the machine's
// that it writes to. It waits for longer than a busy machine takes.
const loginScript = `mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /sys/power || exit 1
echo freeze mem disk >/sys/power/state
echo '[deep]' >/sys/power/mem_sleep
mkdir -p /run/elogind/logind.conf.d
printf '[Login]\nInhibitDelayMaxSec=300\n' >/run/elogind/logind.conf.d/patient.conf
exec "$@"`

// startElogind starts Debian's elogind on a bus, and returns the file that it
// puts the machine to sleep by.
func startElogind(t *testing.T, bus *sourcetest.Bus) (state string) {
	t.Helper()
	root, err := filepath.Abs("../../bin/elogind/root")
	if err != nil {
		t.Fatal(err)
	}
	lib := root + "/lib/elogind"
	if _, err := os.Stat(lib + "/elogind"); err != nil {
		t.Skipf("SKIPPED: there is no elogind: sh ci/elogind.sh bin/elogind (%v)", err)
	}
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root can run elogind")
	}
	cmd := exec.Command("unshare", "-m", "sh", "-c", loginScript, "sh", lib+"/elogind")
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+lib, "DBUS_SYSTEM_BUS_ADDRESS="+bus.Address)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { cmd.Process.Kill(); <-ended })
	conn := bus.Connect()
	for end := time.Now().Add(sourcetest.Patience); ; time.Sleep(5 * time.Millisecond) {
		if there := false; conn.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, login).Store(&there) == nil && there {
			return fmt.Sprintf("/proc/%d/root/sys/power/state", cmd.Process.Pid)
		}
		select {
		case err := <-ended:
			ended <- err
			t.Skipf("SKIPPED: elogind does not run here: %v", err)
		default:
		}
		if time.Now().After(end) {
			t.Fatal("elogind does not come to the bus")
		}
	}
}

// TestElogind suspends by initctl and Debian's elogind, on a real init.
func TestElogind(t *testing.T) {
	bus := sourcetest.NewBus(t)
	state := startElogind(t, bus)
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.Address)
	s := sourcetest.NewSession(t, map[string]string{
		"ready.conf": "start on suspending METHOD=suspend\ntask\nscript\necho ready\nuntil [ -e PATH/go ]; do sleep 0.01; done\nend script\n",
		"awake.conf": "start on resumed\ntask\nexec echo awake\n",
	})
	ctx, cancel := context.WithCancel(t.Context())
	host := eventsources.Host{Address: s.Address, Sources: []eventsources.Source{onFiles{Source{SuspendTimeout: sourcetest.Patience}, newMachine(t).places()}}, Logf: t.Logf}
	done := make(chan error, 1)
	go func() { done <- host.Run(ctx) }()
	defer func() { cancel(); <-done }()
	read := func() string { b, _ := os.ReadFile(state); return strings.TrimSpace(string(b)) }
	logind := bus.Connect().Object(login, loginPath)
	s.Await("the inhibitor", func() bool {
		v, err := logind.GetProperty(manager + ".DelayInhibited")
		return err == nil && v == dbus.MakeVariant("sleep")
	})
	if out := s.Initctl("suspend"); out != "" {
		t.Fatalf("suspend: %s", out)
	}
	s.Await("the job before", func() bool { return s.Log("ready") == "ready\n" })
	if got := read(); got != "freeze mem disk" {
		t.Errorf("elogind did not wait: %q", got)
	}
	if out := s.Initctl("suspend"); !strings.Contains(out, "already") {
		t.Errorf("a second suspend: %q", out)
	}
	if err := os.WriteFile(s.Path("go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.Await("the sleep", func() bool { return read() == "mem" })
	s.Await("the job after", func() bool { return s.Log("awake") == "awake\n" })
}

// TestRealAcpid has Debian's acpid pass on what a test sends in the place of
// the kernel.
func TestRealAcpid(t *testing.T) {
	path, err := exec.LookPath("acpid")
	if err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root may send what the kernel sends")
	}
	_, family, err := openNotifications(t.Context())
	if err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	dir := t.TempDir()
	cmd := exec.Command(path, "-f", "-n", "-s", dir+"/acpid", "-c", dir, "-p", dir+"/pid")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	conn := dialUnix(t, dir+"/acpid")
	init := &sourcetest.Recorder{}
	r := &run{init: init, heard: make(chan news)}
	go r.readAcpid(t.Context(), conn)
	var tell news
	for tell == nil { // acpid may not have taken the connection yet
		sendNotice(t, family)
		select {
		case tell = <-r.heard:
		case <-time.After(100 * time.Millisecond):
		}
	}
	if err := tell(t.Context(), newMachine(t).teller(init)); err != nil {
		t.Fatal(err)
	}
	equal(t, init.Take(), "emit acpi CLASS=button/power DEVICE=LNXPWRBN:00 NOTIFY=00000080 DATA=00000007", "emit power-button")
}

func dialUnix(t *testing.T, path string) net.Conn {
	t.Helper()
	for end := time.Now().Add(sourcetest.Patience); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("unix", path)
		if err == nil {
			return conn
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// sendNotice sends a notification of the power button to all who listen.
func sendNotice(t *testing.T, family uint16) {
	t.Helper()
	s, err := openSocket(t.Context(), unix.NETLINK_GENERIC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer s.file.Close()
	if _, err := s.file.Write(askFamily(acpiFamily)); err != nil {
		t.Fatal(err)
	}
	answer, err := s.receive()
	if err != nil {
		t.Fatal(err)
	}
	_, group := parseFamily(answer, acpiGroup)
	m := notice("button/power", "LNXPWRBN:00", 0x80, 7)
	binary.NativeEndian.PutUint16(m[4:], family)
	var fault error
	err = s.conn.Control(func(fd uintptr) {
		fault = unix.Sendto(int(fd), m, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (group - 1)})
	})
	if err = errors.Join(err, fault); err != nil {
		t.Fatal(err)
	}
}
