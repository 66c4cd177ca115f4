package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onset/eventsources/sourcetest"
)

// insideMark in the environment says that the tests are in a network and a
// mount namespace of their own, or why they cannot be.
const insideMark = "ONSET_TEST_INSIDE"

// TestMain runs the tests in a network of their own, for links come and go in
// them, and with mounts of their own, for NetworkManager.
func TestMain(m *testing.M) {
	if os.Getenv(insideMark) != "" {
		os.Exit(inside(m))
	}
	if os.Getuid() != 0 {
		os.Setenv(insideMark, "only root can make a network")
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideMark+"=yes")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	if _, ran := errors.AsType[*exec.ExitError](err); err != nil && !ran {
		os.Setenv(insideMark, fmt.Sprintf("a network cannot be made: %v", err))
		os.Exit(m.Run())
	}
	os.Exit(cmd.ProcessState.ExitCode())
}

func inside(m *testing.M) int {
	if os.Getenv(hostMark) != "" {
		return host()
	}
	if os.Getenv(peerMark) != "" {
		return servePeer()
	}
	return m.Run()
}

func needNetwork(t *testing.T) {
	t.Helper()
	if why := os.Getenv(insideMark); why != "yes" {
		t.Skip(why)
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("there is no ip of iproute2 here")
	}
}

// ip runs commands of ip(8), one a line.
func ip(t *testing.T, commands string) {
	t.Helper()
	cmd := exec.Command("ip", "-force", "-batch", "-")
	cmd.Stdin = strings.NewReader(commands + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", commands, err, out)
	}
}

// veth makes a pair of links, of which the second is up.
func veth(t *testing.T, a, b string) {
	t.Helper()
	ip(t, "link add "+a+" type veth peer name "+b+"\nlink set "+b+" up")
	t.Cleanup(func() { exec.Command("ip", "link", "del", a).Run() })
}

// awaitUp waits until links carry packets, which takes the kernel a moment.
func awaitUp(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		await(t, name, func() bool {
			i, err := net.InterfaceByName(name)
			return err == nil && i.Flags&net.FlagRunning != 0
		})
	}
}

// settle makes a pair of links come and go, and returns what was told before,
// and meanwhile of others.
func (r *running) settle() (lines []string) {
	r.t.Helper()
	ip(r.t, "link add mark0 type veth peer name mark1\nlink set mark1 up\nlink set mark0 up")
	for range 2 {
		lines = append(lines, r.await("emit net-device-up IFACE=mark")...)
	}
	ip(r.t, "link del mark0")
	for range 2 {
		lines = append(lines, r.await("emit net-device-down IFACE=mark")...)
	}
	return slices.DeleteFunc(lines, func(l string) bool { return strings.Contains(l, "mark") })
}

func TestLinksOfTheKernel(t *testing.T) {
	needNetwork(t)
	r := runSource(t, noBus)
	veth(t, "a0", "a1")
	ip(t, "link set a0 address 02:00:00:00:00:0a\nlink set a0 up")
	lines := r.await("emit net-device-up IFACE=a0 INTERFACE=a0 OPERSTATE=up ADDRESS=02:00:00:00:00:0a")
	if !slices.Contains(lines, "fact net-device-up IFACE=a0 INTERFACE=a0") {
		t.Errorf("told %q", lines)
	}
	ip(t, "link set a1 down")
	r.await("no fact net-device-up IFACE=a0")
	r.await("emit net-device-down IFACE=a0")
	ip(t, "link set a1 up")
	r.await("emit net-device-up IFACE=a0")
	ip(t, "link set a0 down\nlink set a0 name lan\nlink set lan up")
	r.await("emit net-device-down IFACE=a0")
	r.await("emit net-device-up IFACE=lan")
	ip(t, "link del lan")
	r.await("emit net-device-down IFACE=lan INTERFACE=lan")
	if facts := strings.Join(r.init.Facts(), " "); strings.Contains(facts, "=lan ") || strings.Contains(facts, "=a") {
		t.Errorf("facts: %s", facts)
	}
}

func TestLoopbackOfTheKernel(t *testing.T) {
	needNetwork(t)
	ip(t, "link set lo down")
	r := runSource(t, noBus)
	ip(t, "link set lo up")
	r.await("emit net-device-up IFACE=lo INTERFACE=lo OPERSTATE=unknown")
	ip(t, "link set lo down")
	r.await("emit net-device-down IFACE=lo")
	ip(t, "link set lo up")
	r.await("emit net-device-up IFACE=lo")
}

// TestBridgePort wants a link that leaves a bridge not to be gone: the kernel
// tells of both with the same type of message.
func TestBridgePort(t *testing.T) {
	needNetwork(t)
	if err := exec.Command("ip", "link", "add", "br0", "type", "bridge").Run(); err != nil {
		t.Skipf("this kernel has no bridges: %v", err)
	}
	t.Cleanup(func() { exec.Command("ip", "link", "del", "br0").Run() })
	veth(t, "b0", "b1")
	ip(t, "link set b0 up")
	awaitUp(t, "b0", "b1")
	r := runSource(t, noBus)
	ip(t, "link set b0 master br0\nlink set b0 nomaster")
	if lines := r.settle(); strings.Contains(strings.Join(lines, "\n"), "b0") {
		t.Errorf("told %q", lines)
	}
}

func TestOnlineOfTheKernel(t *testing.T) {
	needNetwork(t)
	veth(t, "c0", "c1")
	r := runSource(t, noBus)
	ip(t, "link set c0 up\naddress add 10.9.1.2/24 dev c0")
	r.await("emit network-state-changed STATE=connected-local CONNECTIVITY=limited")
	awaitUp(t, "c0", "c1")
	if r.settle(); r.online() {
		t.Error("online without a route")
	}
	ip(t, "route add default via 10.9.1.1")
	r.await("fact network-online")
	r.await("emit network-state-changed STATE=connected-global CONNECTIVITY=full DEVICE=c0")

	// What a DHCP client does to renew, and others to change their mind.
	ip(t, `address replace 10.9.1.2/24 dev c0 valid_lft 1000 preferred_lft 1000
		address add 10.9.1.3/24 dev c0
		route replace default via 10.9.1.1 metric 0
		route add default via 10.9.1.1 metric 50
		route del default metric 0
		route add 10.99.0.0/16 via 10.9.1.1
		route add unreachable default metric 4000`)
	if lines := r.settle(); len(lines) > 0 {
		t.Errorf("told of a renewal %q", lines)
	}

	// The kernel removes these routes without a word.
	ip(t, "route flush default\nroute add default via 10.9.1.1 metric 7\nroute del 10.99.0.0/16")
	ip(t, "link set c0 down")
	r.await("no fact network-online")
	ip(t, "link set c0 up")
	r.await("emit net-device-up IFACE=c0")
	if r.settle(); r.online() {
		t.Error("online by a route that the kernel has removed")
	}
	ip(t, "route add default via 10.9.1.1")
	r.await("fact network-online")
	veth(t, "d0", "d1")
	ip(t, "address add 10.9.2.2/24 dev d0\nlink set d0 up")
	ip(t, "address flush dev c0") // which takes its routes
	r.await("no fact network-online")

	ip(t, "link set lo up\naddress add 2001:db8::2/64 dev d0 nodad\nroute add default via 2001:db8::1 dev d0 metric 9")
	r.await("emit network-state-changed STATE=connected-global CONNECTIVITY=full DEVICE=d0")
	ip(t, "route del default via 2001:db8::1 dev d0")
	r.await("no fact network-online")
	ip(t, "route add default nexthop via 10.9.2.1 dev d0 nexthop via 10.9.2.3 dev d0")
	r.await("fact network-online")
	ip(t, "route del default\nroute add default via 10.9.2.1 table 77")
	r.await("no fact network-online")
	if r.settle(); r.online() {
		t.Error("online by another table")
	}
}

// TestTentativeAddress wants no address to count that another machine has.
func TestTentativeAddress(t *testing.T) {
	needNetwork(t)
	p := newPeer(t)
	p.veth("e0", "e1", "2001:db8:1::2/64 nodad")
	r := runSource(t, noBus)
	ip(t, "link set e0 up\naddress add 2001:db8:1::2/64 dev e0\nroute add default via 2001:db8:1::1 dev e0")
	await(t, "the kernel to see that the address is taken", func() bool {
		out, _ := exec.Command("ip", "-6", "address", "show", "dev", "e0").Output()
		return strings.Contains(string(out), "dadfailed")
	})
	if lines := strings.Join(r.settle(), "\n"); strings.Contains(lines, "network-online") {
		t.Errorf("told %s", lines)
	}
	ip(t, "address add 2001:db8:1::3/64 dev e0")
	r.await("fact network-online")
}

func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(sourcetest.Patience); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// TestOverflow has the kernel tell more than there is room for.
func TestOverflow(t *testing.T) {
	needNetwork(t)
	k, err := openKernel(0) // which is the least that the kernel gives
	if err != nil {
		t.Fatal(err)
	}
	veth(t, "f0", "f1")
	ip(t, "link set f0 up")
	awaitUp(t, "f0")
	rec := &sourcetest.Recorder{}
	changes := make(chan change)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- k.watch(ctx, rec.Logf, changes) }()
	tr := newTracker(rec, time.Hour)
	tr.apply(<-changes)
	if err := tr.begin(ctx); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(rec.Facts(), "net-device-up IFACE=f0 INTERFACE=f0") {
		t.Fatalf("facts: %q", rec.Facts())
	}
	veth(t, "g0", "g1")
	for range 30 { // while nobody reads
		ip(t, "link set g0 up\nlink set g0 down")
	}
	ip(t, "link set g0 up\nlink del f0")
	r := &running{t: t, init: rec}
	await(t, "the differences", func() bool {
		select {
		case c := <-changes:
			tr.apply(c)
			if err := tr.tell(ctx); err != nil {
				t.Fatal(err)
			}
		default:
		}
		facts := strings.Join(rec.Facts(), "\n")
		return strings.Contains(facts, "IFACE=g0") && !strings.Contains(facts, "IFACE=f")
	})
	r.await("log the kernel told more than there was room for")
	r.await("emit net-device-down IFACE=f0 INTERFACE=f0 OPERSTATE=notpresent")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestNothingOldAfterALoss has more wait than is told at once when some was lost:
// after a look it would be taken for changes.
func TestNothingOldAfterALoss(t *testing.T) {
	needNetwork(t)
	k, err := openKernel(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	defer k.file.Close()
	veth(t, "i0", "i1")
	var changes strings.Builder
	for n := range 2000 {
		fmt.Fprintf(&changes, "link set i1 alias %d\n", n)
	}
	ip(t, changes.String())
	if _, lost, err := k.next(); lost == nil || err != nil {
		t.Fatalf("lost: %v, %v", lost, err)
	}
	if b, err := k.receive(false); err != unix.EAGAIN {
		t.Errorf("%d bytes were left, %v", len(b), err)
	}
}

// TestFilter wants routes that are no default routes never to wake the source.
func TestFilter(t *testing.T) {
	needNetwork(t)
	veth(t, "h0", "h1")
	ip(t, "link set h0 up\naddress add 10.9.3.2/24 dev h0")
	k, err := openKernel(receiveBuffer)
	if err != nil {
		t.Fatal(err)
	}
	defer k.file.Close()
	ip(t, "route add 10.98.0.0/16 via 10.9.3.1\nroute del 10.98.0.0/16\nroute add default via 10.9.3.1 metric 3")
	for range 50 {
		b, err := k.receive(false)
		if err != nil {
			t.Fatalf("no default route came: %v", err)
		}
		list, err := syscall.ParseNetlinkMessage(b)
		if err != nil {
			t.Fatal(err)
		}
		for i := range list {
			switch m := &list[i]; {
			case m.Header.Type != unix.RTM_NEWROUTE && m.Header.Type != unix.RTM_DELROUTE:
			case isDefault(m):
				return
			default:
				t.Errorf("%x passed", b)
			}
		}
	}
	t.Error("no default route came")
}
