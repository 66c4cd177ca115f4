package manager

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/env"
	"onset/core/job"
	"onset/platform"
	"onset/platform/freebsd"
)

// peeksRights says that who peeks at a message gets its descriptors.
const peeksRights = false

// tellsSender is 1 where the kernel tells which process sent a message.
var tellsSender = func() int {
	if version, err := unix.SysctlUint32("kern.osreldate"); err == nil && version >= 1300000 {
		return 1
	}
	return 0
}()

func newPoller(t *testing.T) platform.Poller {
	t.Helper()
	poller, err := freebsd.NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(poller.Close)
	return poller
}

const (
	nobody   = 65534
	sendMark = "NOTIFY_TEST_SEND"
)

// TestNotifyStrangers sends as another user, who has a process of the job or not.
func TestNotifyStrangers(t *testing.T) {
	if address := os.Getenv(sendMark); address != "" {
		send(t, address, "READY=1")
		os.Stdin.Read(make([]byte, 1)) // until the pipe is closed
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: needs root to be another user")
	}
	w := newNotifyWorld(t)
	address := w.bound()
	for dir := filepath.Dir(address); dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, own := range []bool{false, true} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestNotifyStrangers$")
		cmd.Env = append(os.Environ(), sendMark+"="+address)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if w.family.pid = os.Getpid(); own {
			w.family.pid = cmd.Process.Pid
			if n := w.hear(); n.Token != 1 || len(n.Lines) != 1 || n.PID != tellsSender*cmd.Process.Pid {
				t.Errorf("told %+v", n)
			}
			w.notifyTaken()
		} else {
			w.untilSaid(errStranger.Error())
		}
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %s", err, out.Bytes())
		}
	}
	w.wantWarnings(map[string]int{errStranger.Error(): 1})
}

func (w *notifyWorld) untilSaid(text string) {
	w.Helper()
	for end := time.Now().Add(3 * time.Minute); len(w.said) == 0 || !strings.Contains(w.said[0].Text, text); {
		if time.Now().After(end) {
			w.Fatal("nothing is said of ", text)
		}
		w.notifyTaken()
		w.k.Poller.Wait(time.Millisecond)
	}
	w.notifyTaken()
}

func TestNotifyAddresses(t *testing.T) {
	w := newNotifyWorld(t)
	if got := w.bound(); got != w.address+".1" {
		t.Errorf("%q", got)
	}
	for name, change := range map[string]func(*job.Spec){
		"a chroot": func(s *job.Spec) { s.Attrs.Chroot = "/r" }, "a session": func(s *job.Spec) { s.Root = "/r" },
	} {
		if got, err := w.spec(change); got != "" || !errors.Is(err, errNoWay) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for token := range uint64(20) {
		if _, err := w.withNotifySocket(token+1, &job.Spec{Env: env.Table{"NOTIFY_SOCKET=" + w.address}}); err != nil {
			t.Fatal(err)
		}
	}
	if len(w.notify) != 20 {
		t.Errorf("%d sockets", len(w.notify))
	}
	for token := range uint64(20) {
		w.releaseNotify(token + 1)
	}
	if list, err := os.ReadDir(filepath.Dir(w.address)); err != nil || len(list) > 0 || len(w.notify) > 0 {
		t.Errorf("left: %v, %v, %d sockets", list, err, len(w.notify))
	}
}

func TestNotifyAddress(t *testing.T) {
	long := "/" + strings.Repeat("x", 70)
	for _, tt := range []struct {
		mode engine.Mode
		dir  string
		want string
	}{
		{engine.System, "/run/user/0", "/var/run/onset/notify"}, {engine.Session, "/run/user/7", "/run/user/7/onset/notify-42"},
		{engine.Session, "", "/tmp/onset-notify-42"}, {engine.Session, long, "/tmp/onset-notify-42"},
	} {
		if got := NotifyAddress(tt.mode, env.Table{"XDG_RUNTIME_DIR=" + tt.dir}, 42); got != tt.want {
			t.Errorf("%v %q: %q", tt.mode, tt.dir, got)
		}
	}
}

// TestSenderOfNewerKernels reads struct sockcred2 of sys/socket.h, which
// FreeBSD has since 13.
func TestSenderOfNewerKernels(t *testing.T) {
	data := make([]byte, 32)
	for i, n := range []uint32{0, 77, 1001, 1002, 5, 6, 1, 6} {
		binary.NativeEndian.PutUint32(data[4*i:], n)
	}
	oob := make([]byte, unix.CmsgSpace(len(data)))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&oob[0]))
	h.Level, h.Type = unix.SOL_SOCKET, scmCreds2
	h.SetLen(unix.CmsgLen(len(data)))
	copy(oob[unix.CmsgLen(0):], data)
	if from, files := takeRights(oob); from != (sender{77, 1002}) || len(files) > 0 {
		t.Errorf("%v, %v", from, files)
	}
}
