package udev

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"onset/eventsources/sourcetest"
)

// apartMark in the environment says that a test runs in namespaces of its own.
const apartMark = "ONSET_TEST_APART"

// apart runs a test in a process of its own, with its own network, processes,
// /sys and /run. It reports whether this is that process.
func apart(t *testing.T) bool {
	t.Helper()
	if os.Getenv(apartMark) != "" {
		for _, m := range [][3]string{{"", "/", ""}, {"proc", "/proc", "proc"}, {"sysfs", "/sys", "sysfs"}, {"tmpfs", "/run", "tmpfs"}} {
			flags := uintptr(0)
			if m[0] == "" {
				flags = syscall.MS_REC | syscall.MS_PRIVATE
			}
			if err := syscall.Mount(m[0], m[1], m[2], flags, ""); err != nil {
				t.Fatalf("cannot mount %s: %v", m[1], err)
			}
		}
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root gets a network of its own")
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), apartMark+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil:
		t.Errorf("%v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("%s", out)
	default:
		t.Logf("%s", out)
	}
	return false
}

// watched is a running source and what it tells.
type watched struct {
	*sourcetest.Recorder
	t    *testing.T
	told []string // and not awaited yet
	all  []string
}

func runSource(t *testing.T, s Source, names ...string) *watched {
	t.Helper()
	w := &watched{Recorder: &sourcetest.Recorder{}, t: t}
	w.SetConditions(conditions(names...))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, w) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return w
}

// await returns what was told until a line begins with a text.
func (w *watched) await(text string) (lines []string) {
	w.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		lines := w.Take()
		w.all, w.told = append(w.all, lines...), append(w.told, lines...)
		if i := slices.IndexFunc(w.told, func(l string) bool { return strings.HasPrefix(l, text) }); i >= 0 {
			lines, w.told = w.told[:i+1:i+1], w.told[i+1:]
			return lines
		}
		if time.Now().After(end) {
			w.t.Fatalf("waited in vain for %q in\n%s\nfacts\n%s", text, strings.Join(w.told, "\n"), strings.Join(w.Facts(), "\n"))
		}
	}
}

// settle has an interface come and go, and waits until both were told.
func (w *watched) settle() {
	command(w.t, "ip", "link", "add", "last", "type", "veth", "peer", "name", "tsal")
	w.await("emit net-device-added KERNEL=last ")
	command(w.t, "ip", "link", "del", "last")
	w.await("emit net-device-removed KERNEL=last ")
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func TestInterfacesComeAndGo(t *testing.T) {
	if !apart(t) {
		return
	}
	w := runSource(t, Source{}, "net-device-added", "net-device-removed", "net-device-move", "while net-device")
	w.await("fact net-device KERNEL=lo DEVPATH=/devices/virtual/net/lo SUBSYSTEM=net IFINDEX=1 INTERFACE=lo")
	command(t, "ip", "link", "add", "a0", "type", "veth", "peer", "name", "b0")
	w.await("fact net-device KERNEL=a0 DEVPATH=/devices/virtual/net/a0 SUBSYSTEM=net ")
	line := w.await("emit net-device-added KERNEL=a0 DEVPATH=/devices/virtual/net/a0 SUBSYSTEM=net ACTION=add ")
	t.Log(line)
	command(t, "ip", "link", "set", "a0", "name", "c0")
	w.await("fact net-device KERNEL=c0 ")
	w.await("no fact net-device KERNEL=a0 ")
	w.await("emit net-device-move KERNEL=c0 ")
	command(t, "ip", "link", "del", "c0")
	w.await("no fact net-device KERNEL=c0 ")
	w.await("emit net-device-removed KERNEL=c0 ")
	for _, f := range w.Facts() {
		t.Log(f)
	}
}

func TestWhatWasThereIsToldOnceABoot(t *testing.T) {
	if !apart(t) {
		return
	}
	here.tools = nil
	const added = "emit net-device-added KERNEL=lo DEVPATH=/devices/virtual/net/lo SUBSYSTEM=net ACTION=add IFINDEX=1 INTERFACE=lo"
	names := []string{"net-device-added", "net-device-removed", "while net-device"}
	session := runSource(t, Source{User: true}, names...)
	session.settle()
	first := runSource(t, Source{}, names...)
	first.await(added)
	if w := first.Facts(); len(w) != 1 {
		t.Errorf("facts %q", w)
	}
	second := runSource(t, Source{}, names...)
	second.settle()
	asked := runSource(t, Source{Coldplug: true}, names...)
	asked.await(added)
	for _, w := range []*watched{session, second} {
		if slices.Contains(w.all, added) {
			t.Errorf("told %q", w.all)
		}
	}
}

func TestColdplugByUdevd(t *testing.T) {
	if !apart(t) {
		return
	}
	startUdevd(t)
	w := runSource(t, Source{Coldplug: true}, "net-device-added")
	lines := w.await("emit net-device-added KERNEL=lo ")
	w.contains(lines[len(lines)-1], " SYNTH_UUID=0")
}
