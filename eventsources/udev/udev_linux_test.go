package udev

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onset/eventsources"
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
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=10m")
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
	w.runWith(s, w, names...)
	return w
}

// runWith runs the source with an init that has that recorder.
func (w *watched) runWith(s Source, init eventsources.Init, names ...string) {
	w.SetConditions(conditions(names...))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, init) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
}

// await returns what was told until a line begins with a text.
func (w *watched) await(text string) (lines []string) {
	w.t.Helper()
	for end := time.Now().Add(sourcetest.Patience); ; time.Sleep(time.Millisecond) {
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

// settle has a pair of interfaces come and go, and waits until all of it was
// told; udevd tells of the two in any order.
func (w *watched) settle() {
	w.t.Helper()
	command(w.t, "ip", "link", "add", "last", "type", "veth", "peer", "name", "tsal")
	w.await("emit net-device-added KERNEL=last ")
	command(w.t, "ip", "link", "del", "last")
	lines := w.await("emit net-device-removed KERNEL=last ")
	const other = "emit net-device-removed KERNEL=tsal "
	if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, other) }) {
		w.await(other)
	}
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
	session.await("fact net-device KERNEL=lo ")
	session.settle()
	first := runSource(t, Source{}, names...)
	first.await(added)
	if w := first.Facts(); len(w) != 1 {
		t.Errorf("facts %q", w)
	}
	second := runSource(t, Source{}, names...)
	second.await("fact net-device KERNEL=lo ")
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
	// It listens at its socket before it hears the kernel.
	for end := time.Now().Add(sourcetest.Patience); exec.Command("udevadm", "control", "--ping").Run() != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("udevd does not answer")
		}
	}
	w := runSource(t, Source{Coldplug: true}, "net-device-added")
	lines := w.await("emit net-device-added KERNEL=lo ")
	w.contains(lines[len(lines)-1], " SYNTH_UUID=0")
}

// slow is a recorder that takes events while the gate is open.
type slow struct {
	*sourcetest.Recorder
	gate chan struct{}
}

func (s slow) Emit(ctx context.Context, e eventsources.Event) error {
	<-s.gate
	return s.Recorder.Emit(ctx, e)
}

// TestDifferencesAreToldAfterAnOverflow has interfaces come and go while the
// source waits, more than the kernel keeps uevents of.
func TestDifferencesAreToldAfterAnOverflow(t *testing.T) {
	if !apart(t) {
		return
	}
	here.room = 20_000
	w := &watched{Recorder: &sourcetest.Recorder{}, t: t}
	gate := make(chan struct{})
	w.runWith(Source{}, slow{w.Recorder, gate}, "net-device-added", "net-device-removed", "while net-device")
	w.await("fact net-device KERNEL=lo ")
	link := func(verb, name, peer string) {
		command(t, "ip", strings.Fields("link "+verb+" "+name+peer)...)
	}
	link("add", "old", " type veth peer name dlo")
	gate <- struct{}{} // of one
	gate <- struct{}{} // and the other
	link("del", "old", "")
	const pairs = 50
	for i := range pairs {
		link("add", fmt.Sprintf("a%d", i), fmt.Sprintf(" type veth peer name b%d", i))
	}
	close(gate)
	w.await("log uevents came faster")
	w.settle()
	if n := len(w.Facts()); n != 1+2*pairs {
		t.Errorf("%d facts: %q", n, w.Facts())
	}
	count := map[string]int{}
	for _, line := range w.all {
		if words := strings.Fields(line); words[0] == "emit" && words[2] != "KERNEL=last" && words[2] != "KERNEL=tsal" {
			count[words[1]+" "+words[2]]++
		}
	}
	for name, n := range count {
		if n != 1 {
			t.Errorf("%s: %d times", name, n)
		}
	}
	if len(count) != 2+2+2*pairs {
		t.Errorf("%d different events: %v", len(count), count)
	}
}

// TestWithoutRights is the source in the session of a user.
func TestWithoutRights(t *testing.T) {
	if !apart(t) {
		return
	}
	root := exec.Command("sh", "-c", "read go; ip link add a0 type veth peer name b0")
	stdin, err := root.StdinPipe()
	if err == nil {
		err = root.Start()
	}
	if err == nil {
		err = syscall.Setuid(65534)
	}
	if err != nil {
		t.Fatal(err)
	}
	w := runSource(t, Source{User: true}, "net-device-added", "while net-device")
	w.await("fact net-device KERNEL=lo ")
	stdin.Close()
	w.await("emit net-device-added KERNEL=a0 ")
	if err := root.Wait(); err != nil {
		t.Error(err)
	}
}

// hasty is an init whose conditions change once more as soon as the run has
// looked at them.
type hasty struct {
	sourcetest.Recorder
	wake int

	mu            sync.Mutex
	version, seen int
}

func (h *hasty) Conditions() ([]eventsources.Condition, <-chan struct{}) {
	h.look()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.version == 1 {
		h.version++
		h.SetConditions(conditions("net-device"))
	}
	return h.Recorder.Conditions()
}

// look is what a run does that is woken; it returns which change it has seen.
func (h *hasty) look() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n, _ := unix.Read(h.wake, make([]byte, 8)); n == 8 {
		h.seen = h.version
	}
	return h.seen
}

// TestLastChangeIsSeen has a change come after the run has looked and before who
// waits for changes waits again.
func TestLastChangeIsSeen(t *testing.T) {
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(wake)
	h := &hasty{wake: wake, version: 1}
	_, changed := h.Recorder.Conditions()
	h.SetConditions(conditions("block-device"))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	r := &run{init: h, wake: wake}
	go r.await(ctx, changed, ended)
	for end := time.Now().Add(sourcetest.Patience); h.look() < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Error("the run has not seen the last change")
			break
		}
	}
	cancel()
	<-ended
}
