package keeper

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestLastWords has a manager die with an event unread, for which the kernel
// says ECONNRESET before it gives what the manager had said.
func TestLastWords(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	k := &keeper{state: &state{Room: MaxEvents, Limit: ownFDs}}
	k.Manager, k.Socket, k.Greeting = 1<<30, int32(pair[0]), greetDone
	k.push(event{PID: 7, Code: cldExited})
	k.push(event{PID: 8, Code: cldExited})
	k.tell()
	m := &Client{socket: pair[1], names: map[string]bool{}, room: ownFDs}
	read, err := m.wire.receive(m.socket)
	if err != nil {
		t.Fatal(err)
	}
	closeFD(read)
	if err := m.Ack(0); err != nil {
		t.Fatal(err)
	}
	if err := m.Store("kept", file("x")); err != nil {
		t.Fatal(err)
	}
	unix.Close(m.socket)
	k.managerDied(event{PID: k.Manager, Code: cldExited + 1, Status: int32(unix.SIGKILL)})
	if k.Stored != 1 {
		t.Errorf("%d descriptors stored, want 1", k.Stored)
	}
	if k.Head != 1 {
		t.Errorf("%d events acknowledged, want 1", k.Head)
	}
}
