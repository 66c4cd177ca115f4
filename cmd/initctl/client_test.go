package main

import (
	"bufio"
	"net"
	"path/filepath"
	"testing"

	"github.com/godbus/dbus/v5"

	"onset/core/control"
)

// dying is an init that hangs up on the first connections, some after the
// handshake, and serves the others; it tells of each end.
func dying(t *testing.T, before, after int) (address string, hungUp <-chan int) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ends, stopped := make(chan int, 100), make(chan bool)
	f := &fake{answers: world, calls: make(chan string, 100), t: t}
	go func() {
		defer close(stopped)
		for n := 0; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			switch {
			case n < before:
			case n < before+after:
				bufio.NewReader(conn).ReadString('\n')
				conn.Write([]byte("OK 0123456789abcdef0123456789abcdef\r\n"))
			default:
				f.serve(conn)
			}
			conn.Close()
			ends <- n
		}
	}()
	t.Cleanup(func() { l.Close(); <-stopped })
	return "unix:path=" + dbus.EscapeBusAddressValue(socket), ends
}

func TestConnectsAgainBeforeItAsks(t *testing.T) {
	address, hungUp := dying(t, 3, 1)
	c, err := dial(address)
	if err != nil {
		t.Fatal(err)
	}
	for <-hungUp < 3 {
	}
	for range 2 {
		if path, err := only[control.ObjectPath](c.call(control.Root, control.GetJobByName, "foo")); err != nil || path != control.Root+"/jobs/foo" {
			t.Errorf("got %q, %v", path, err)
		}
	}
	c.close()
	<-hungUp
	// What was asked once is not asked again.
	if _, err := c.call(control.Root, control.GetJobByName, "foo"); err != errLost {
		t.Errorf("after a call: %v", err)
	}
}

func TestAttemptsToConnectAreBounded(t *testing.T) {
	address, hungUp := dying(t, 1000, 0)
	if _, err := dial(address); err != errLost {
		t.Errorf("got %v", err)
	}
	for n := range attempts {
		if got := <-hungUp; got != n {
			t.Errorf("got %d, want %d", got, n)
		}
	}
	select {
	case n := <-hungUp:
		t.Errorf("attempt %d", n)
	default:
	}
}
