package msgbus

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"onset/eventsources/sourcetest"
)

// TestFirstThatAnswers wants addresses to be tried one after the other.
func TestFirstThatAnswers(t *testing.T) {
	bus := sourcetest.NewBus(t)
	dead := "unix:path=" + filepath.Join(t.TempDir(), "none")
	for address, fault := range map[string]string{
		bus.Address: "", dead + ";" + bus.Address: "", bus.Address + ",guid=00": "", "tcp:host=x,port=1;" + bus.Address: "",
		dead: "no such file", "tcp:host=x,port=1": "is not the address of a socket", "": "is not the address of a socket",
	} {
		s, err := dial(address)
		if err == nil {
			s.Close()
		}
		if fault == "" && err != nil || fault != "" && (err == nil || !strings.Contains(err.Error(), fault)) {
			t.Errorf("%q: %v, want %q", address, err, fault)
		}
	}
}

// TestBroken has who writes be the first to hear that the bus has gone.
func TestBroken(t *testing.T) {
	bus := sourcetest.NewBus(t)
	s, err := dial(bus.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	bus.Stop()
	if _, err = s.Write([]byte("x")); !Broken(err) {
		t.Errorf("%v", err)
	}
	client := Client{Address: func() string { return bus.Address }, Signal: func(*dbus.Message) {},
		Serve: func(*dbus.Conn) error { return err }}
	bus.Start()
	if got := client.Once(t.Context()); got != ErrGone {
		t.Errorf("ended with %v", got)
	}
}

// TestNoFiles wants a message with descriptors not to reach a client, where
// nobody would close them, and others after it to do.
func TestNoFiles(t *testing.T) {
	bus := sourcetest.NewBus(t)
	sender := bus.Connect()
	got := make(chan string, 100)
	client := Client{Address: func() string { return bus.Address }, Logf: t.Logf,
		Signal: func(m *dbus.Message) { got <- Text(m, dbus.FieldMember) },
		Absent: func() {},
		Serve: func(conn *dbus.Conn) error {
			if refused := Rules(conn, nil, map[string]string{Rule("interface", "a.b"): "", Rule("path", "no path"): ""}); len(refused) != 1 {
				t.Errorf("refused %v", refused)
			}
			file, err := os.Open(os.DevNull)
			if err != nil {
				return err
			}
			defer file.Close()
			if err := sender.Emit("/", "a.b.File", dbus.UnixFD(file.Fd())); err != nil {
				t.Error(err)
			}
			if err := sender.Emit("/", "a.b.After"); err != nil {
				t.Error(err)
			}
			<-conn.Context().Done()
			return nil
		}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		client.Keep(ctx)
		close(done)
	}()
	defer func() {
		cancel()
		<-done
	}()
	for end := time.After(sourcetest.Patience); ; {
		select {
		case name := <-got:
			switch name {
			case "File":
				t.Error("a message with a descriptor came")
			case "After":
				return
			}
		case <-end:
			t.Fatal("nothing came")
		}
	}
}
