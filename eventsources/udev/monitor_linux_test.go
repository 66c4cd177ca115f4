package udev

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"
)

// TestOnlyTheKernelAndRootsUdevdAreBelieved sends what others might, and what is
// no message, before one that is.
func TestOnlyTheKernelAndRootsUdevdAreBelieved(t *testing.T) {
	if !apart(t) {
		return
	}
	vars := []string{"ACTION=add", "DEVPATH=/devices/n", "SUBSYSTEM=usb"}
	socket, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(socket)
	send := func(to *unix.SockaddrNetlink, data []byte) {
		t.Helper()
		to.Family = unix.AF_NETLINK
		if err := unix.Sendto(socket, data, 0, to); err != nil {
			t.Fatal(err)
		}
	}
	received := func(m *monitor) (all []string) {
		t.Helper()
		for {
			vars, err := m.receive()
			switch {
			case err == unix.EAGAIN:
				return all
			case err != nil:
				t.Fatal(err)
			case vars != nil:
				all = append(all, string(vars))
			}
		}
	}
	for _, g := range []group{kernelGroup, udevGroup} {
		m, err := listen(g, here.room)
		if err != nil {
			t.Fatal(err)
		}
		defer m.close()
		address, err := unix.Getsockname(m.fd)
		if err != nil {
			t.Fatal(err)
		}
		alone := &unix.SockaddrNetlink{Pid: address.(*unix.SockaddrNetlink).Pid}
		all := &unix.SockaddrNetlink{Groups: uint32(g)}
		for _, data := range [][]byte{fromKernel("add@/devices/n", vars...), fromUdevd(vars...)} {
			send(alone, data)
		}
		send(all, fromKernel("add@/devices/n", vars...))
		send(all, bytes.Repeat([]byte("x"), 1000))
		send(all, fromUdevd(vars...)[:50])
		send(all, append(fromUdevd(vars...), make([]byte, maxMessage)...))
		if got := received(m); len(got) > 0 {
			t.Errorf("group %d: believed %q", g, got)
		}
		if g == udevGroup {
			send(all, fromUdevd(vars...))
			if got := received(m); len(got) != 1 {
				t.Errorf("received %q", got)
			}
			continue
		}
		command(t, "ip", "link", "add", "a0", "type", "veth", "peer", "name", "b0")
		if got := received(m); len(got) < 2 {
			t.Errorf("received %q", got)
		}
	}
	for uid, want := range map[int]bool{0: true, 1: false} {
		if got := byRoot(unix.UnixCredentials(&unix.Ucred{Uid: uint32(uid)})); got != want {
			t.Errorf("user %d: %v", uid, got)
		}
	}
	if byRoot(nil) || byRoot([]byte{1, 2, 3}) {
		t.Error("believed without credentials")
	}
}
