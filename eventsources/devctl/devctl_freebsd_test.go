package devctl

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"onset/eventsources/sourcetest"
)

// needDevctl skips a test where another program reads the records, as none does
// in a machine made for tests; needRecords is content with devd.
func needDevctl(t *testing.T) {
	t.Helper()
	if err := tryDevctl(t); err != nil {
		t.Skipf("devctl is not to be had: %v", err)
	}
}

func needRecords(t *testing.T) {
	t.Helper()
	if fd, err := dialDevd(); err == nil {
		unix.Close(fd)
		return
	}
	needDevctl(t)
}

func tryDevctl(t *testing.T) error {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root may read devctl")
	}
	fd, err := unix.Open(devctlPath, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

// cloneInterface makes or destroys a network interface of the loopback kind.
func cloneInterface(t *testing.T, request uintptr, name string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	var ifreq [32]byte
	copy(ifreq[:15], name)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(&ifreq))); errno != 0 {
		t.Fatalf("%s: %v", name, errno)
	}
}

const (
	createInterface  = unix.SIOCIFCREATE
	destroyInterface = unix.SIOCIFDESTROY
)

func runSource(t *testing.T) *sourcetest.Recorder {
	init := &sourcetest.Recorder{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Source{}.Run(ctx, init) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return init
}

// await collects lines until one contains a text, and returns them.
func await(t *testing.T, init *sourcetest.Recorder, text string) (lines []string) {
	t.Helper()
	for end := time.Now().Add(sourcetest.Patience); ; time.Sleep(time.Millisecond) {
		lines = append(lines, init.Take()...)
		if slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, text) }) {
			return lines
		}
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %q in\n%s", text, strings.Join(lines, "\n"))
		}
	}
}

func TestScanOfThisMachine(t *testing.T) {
	s, err := scan()
	if err != nil {
		t.Fatal(err)
	}
	tr, _, _ := newFake()
	text := ""
	for _, d := range tr.list(s) {
		text += strings.Join(append([]string{d.fact().Name}, d.env("")...), " ") + "\n"
	}
	t.Log("\n" + text)
	for _, want := range []string{"platform-device KERNEL=nexus0 DEVPATH=/root0/nexus0 ", "net-device KERNEL=lo0 ", "cdev-device KERNEL=null ", "block-device "} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
}

func TestInterfacesComeAndGo(t *testing.T) {
	needRecords(t)
	init := runSource(t)
	await(t, init, "fact net-device KERNEL=lo0")
	cloneInterface(t, createInterface, "lo7")
	await(t, init, "emit net-device-added KERNEL=lo7")
	if !slices.Contains(init.Facts(), "net-device KERNEL=lo7 DEVPATH=/net/lo7 SUBSYSTEM=net INTERFACE=lo7") {
		t.Errorf("facts: %q", init.Facts())
	}
	cloneInterface(t, destroyInterface, "lo7")
	lines := await(t, init, "emit net-device-removed KERNEL=lo7")
	if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "no fact net-device KERNEL=lo7") }) {
		t.Errorf("told %q", lines)
	}
}

func TestOnlyOneReader(t *testing.T) {
	needDevctl(t)
	fd, err := unix.Open(devctlPath, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err = (Source{}).Run(t.Context(), &sourcetest.Recorder{}); err == nil || !strings.Contains(err.Error(), "another program") {
		t.Errorf("%v", err)
	}
}

// TestOverflow loses records while nobody reads them: of an interface that
// goes, of one that comes, and of many that come and go.
func TestOverflow(t *testing.T) {
	needDevctl(t)
	limit, err := unix.SysctlUint32("hw.bus.devctl_queue")
	if err != nil {
		t.Fatal(err)
	}
	setQueue(t, 20)
	t.Cleanup(func() { setQueue(t, limit) })
	cloneInterface(t, createInterface, "lo8")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s, err := openStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	init := &sourcetest.Recorder{}
	tr := newTracker(init, kernel{})
	for full := true; full; { // what was told before
		if _, ok, err := s.read(); err != nil {
			t.Fatal(err)
		} else if full = ok; !ok {
			break
		}
	}
	now, err := scan()
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.begin(ctx, now, false); err != nil {
		t.Fatal(err)
	}
	init.Take()
	cloneInterface(t, destroyInterface, "lo8")
	cloneInterface(t, createInterface, "lo9")
	t.Cleanup(func() { cloneInterface(t, destroyInterface, "lo9") })
	for range 30 {
		cloneInterface(t, createInterface, "lo10")
		cloneInterface(t, destroyInterface, "lo10")
	}
	var lines []string
	for !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "KERNEL=lo10") }) {
		if err := s.serve(ctx, tr); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, init.Take()...)
	}
	equal(t, "overflow", short(lines, "net")[:4], "no fact net-device KERNEL=lo8", "emit net-device-removed KERNEL=lo8",
		"fact net-device KERNEL=lo9", "emit net-device-added KERNEL=lo9")
	if !strings.HasPrefix(lines[0], "log the queue of 20 records was full") {
		t.Errorf("told %q", lines[0])
	}
}

func setQueue(t *testing.T, n uint32) {
	t.Helper()
	name, err := unix.BytePtrFromString("hw.bus.devctl_queue")
	if err != nil {
		t.Fatal(err)
	}
	const length = uintptr(len("hw.bus.devctl_queue"))
	var mib [unix.CTL_MAXNAME]int32
	size := unsafe.Sizeof(mib)
	nametomib := [2]int32{0, 3}
	if _, _, errno := unix.Syscall6(unix.SYS___SYSCTL, uintptr(unsafe.Pointer(&nametomib)), 2,
		uintptr(unsafe.Pointer(&mib)), uintptr(unsafe.Pointer(&size)), uintptr(unsafe.Pointer(name)), length); errno != 0 {
		t.Fatal(errno)
	}
	if _, _, errno := unix.Syscall6(unix.SYS___SYSCTL, uintptr(unsafe.Pointer(&mib)), size/4, 0, 0,
		uintptr(unsafe.Pointer(&n)), 4); errno != 0 {
		t.Fatal(errno)
	}
}
