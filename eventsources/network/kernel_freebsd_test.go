package network

import (
	"context"
	"encoding/binary"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"onset/eventsources/sourcetest"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root may change the network")
	}
}

// ioctl makes a request whose argument begins with the name of a link.
func ioctl(t *testing.T, request uintptr, arg []byte) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(&arg[0]))); errno != 0 {
		t.Fatalf("request %#x for %q: %v", request, name(arg), errno)
	}
}

func name(arg []byte) string {
	text, _, _ := strings.Cut(string(arg[:unix.IFNAMSIZ]), "\x00")
	return text
}

// ifreq is struct ifreq of <net/if.h>.
func ifreq(name string) []byte {
	b := make([]byte, 32)
	copy(b, name)
	return b
}

// create makes a link of a kind, which ends with the test, and returns its name.
func create(t *testing.T, kind string) string {
	t.Helper()
	b := ifreq(kind)
	ioctl(t, unix.SIOCIFCREATE, b)
	made := name(b)
	t.Cleanup(func() {
		if slices.Contains(linkNames(t), made) {
			ioctl(t, unix.SIOCIFDESTROY, ifreq(made))
		}
	})
	return made
}

func linkNames(t *testing.T) (names []string) {
	t.Helper()
	k := &kernel{names: map[int]string{}}
	c, err := k.look()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range c.links {
		names = append(names, l.name)
	}
	return names
}

// setUp brings links up or down.
func setUp(t *testing.T, up bool, names ...string) {
	t.Helper()
	for _, name := range names {
		b := ifreq(name)
		ioctl(t, unix.SIOCGIFFLAGS, b)
		flags := binary.NativeEndian.Uint16(b[16:])
		if flags &^= unix.IFF_UP; up {
			flags |= unix.IFF_UP
		}
		binary.NativeEndian.PutUint16(b[16:], flags)
		ioctl(t, unix.SIOCSIFFLAGS, b)
	}
}

// inet is struct sockaddr_in.
func inet(ip ...byte) []byte {
	return slices.Concat([]byte{16, unix.AF_INET, 0, 0}, ip, make([]byte, 8))
}

// addAddress gives a link an address of a network of 256.
func addAddress(t *testing.T, link string, ip ...byte) {
	t.Helper()
	b := make([]byte, 68) // struct in_aliasreq
	copy(b, link)
	copy(b[16:], inet(ip...))
	copy(b[48:], inet(255, 255, 255, 0))
	ioctl(t, unix.SIOCAIFADDR, b)
}

// route adds or deletes a route by IPv4.
func route(t *testing.T, what byte, to, mask, gateway []byte) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_ROUTE, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.AF_INET)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	b := make([]byte, rtHeadSize)
	b[versionOffset], b[typeOffset] = rtmVersion, what
	binary.NativeEndian.PutUint32(b[rtFlagsOffset:], unix.RTF_UP|unix.RTF_GATEWAY|unix.RTF_STATIC)
	binary.NativeEndian.PutUint32(b[rtAddrsOffset:], unix.RTA_DST|unix.RTA_GATEWAY|unix.RTA_NETMASK)
	b = slices.Concat(b, inet(to...), inet(gateway...), inet(mask...))
	binary.NativeEndian.PutUint16(b, uint16(len(b)))
	if _, err := unix.Write(fd, b); err != nil {
		t.Fatalf("route %d: %v", what, err)
	}
}

var zeros = []byte{0, 0, 0, 0}

func TestLinksOfTheKernel(t *testing.T) {
	needRoot(t)
	r := runSource(t, noBus)
	lo := create(t, "lo")
	addAddress(t, lo, 127, 0, 7, 1)
	r.await("fact net-device-up IFACE=" + lo + " INTERFACE=" + lo)
	r.await("emit net-device-up IFACE=" + lo + " INTERFACE=" + lo + " OPERSTATE=")
	setUp(t, false, lo)
	r.await("no fact net-device-up IFACE=" + lo)
	r.await("emit net-device-down IFACE=" + lo + " INTERFACE=" + lo + " OPERSTATE=down")
	setUp(t, true, lo)
	r.await("emit net-device-up IFACE=" + lo)
	ioctl(t, unix.SIOCIFDESTROY, ifreq(lo))
	r.await("emit net-device-down IFACE=" + lo)
}

func TestOnlineOfTheKernel(t *testing.T) {
	needRoot(t)
	r := runSource(t, noBus)
	a := create(t, "epair")
	b := strings.TrimSuffix(a, "a") + "b"
	setUp(t, true, a, b)
	r.await("emit net-device-up IFACE=" + a)
	addAddress(t, a, 10, 9, 1, 2)
	r.await("emit network-state-changed STATE=connected-local CONNECTIVITY=limited")
	if r.online() {
		t.Error("online without a route")
	}
	gateway := []byte{10, 9, 1, 1}
	route(t, rtmAdd, []byte{10, 99, 0, 0}, []byte{255, 255, 0, 0}, gateway)
	route(t, rtmAdd, zeros, zeros, gateway)
	r.await("fact network-online")
	r.await("emit network-state-changed STATE=connected-global CONNECTIVITY=full DEVICE=" + a)
	route(t, rtmDelete, zeros, zeros, gateway)
	r.await("no fact network-online")
	route(t, rtmAdd, zeros, zeros, gateway)
	r.await("fact network-online")
	setUp(t, false, a)
	r.await("no fact network-online")
	setUp(t, true, a)
	r.await("fact network-online")
	ioctl(t, unix.SIOCIFDESTROY, ifreq(a))
	r.await("emit net-device-down IFACE=" + a)
	r.await("no fact network-online")
}

// TestStorm has links change more often than there is room to tell.
func TestStorm(t *testing.T) {
	needRoot(t)
	lo := create(t, "lo")
	addAddress(t, lo, 127, 0, 8, 1)
	k, err := openKernel(2000)
	if err != nil {
		t.Fatal(err)
	}
	init := &sourcetest.Recorder{}
	changes := make(chan change)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- k.watch(ctx, init.Logf, changes) }()
	tr := newTracker(init, time.Hour)
	tr.apply(<-changes)
	if err := tr.begin(ctx); err != nil {
		t.Fatal(err)
	}
	for range 200 { // while nobody reads
		setUp(t, false, lo)
		setUp(t, true, lo)
	}
	setUp(t, false, lo)
	for end := time.Now().Add(sourcetest.Patience); strings.Contains(strings.Join(init.Facts(), " "), "IFACE="+lo); {
		select {
		case c := <-changes:
			tr.apply(c)
			if err := tr.tell(ctx); err != nil {
				t.Fatal(err)
			}
		default:
			time.Sleep(time.Millisecond)
		}
		if time.Now().After(end) {
			t.Fatal("the end of the link was missed")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
