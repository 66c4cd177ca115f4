package kept

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

func TestInitIsTold(t *testing.T) {
	address := filepath.Join(t.TempDir(), "notify")
	init, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer init.Close()
	s := receive(address, "", "", "")
	text, control := make([]byte, 100), make([]byte, 100)
	for _, c := range []struct {
		tell  func() error
		want  string
		files bool
	}{
		{func() error { return s.keep("a.1", int(os.Stdin.Fd())) }, "FDSTORE=1\nFDNAME=a.1", true},
		{func() error { return s.drop("a.1") }, "FDSTOREREMOVE=1\nFDNAME=a.1", false},
	} {
		if err := c.tell(); err != nil {
			t.Fatal(err)
		}
		n, rights, _, _, err := init.ReadMsgUnix(text, control)
		if err != nil || string(text[:n]) != c.want || (rights > 0) != c.files {
			t.Errorf("told %q, %d bytes of rights, %v", text[:n], rights, err)
		}
		if messages, _ := unix.ParseSocketControlMessage(control[:rights]); len(messages) > 0 {
			files, _ := unix.ParseUnixRights(&messages[0])
			for _, fd := range files {
				unix.Close(fd)
			}
		}
	}
}

func TestNobodyKeepsAnything(t *testing.T) {
	s := receive("", "", "", "")
	for range most + 1 {
		if err := errors.Join(s.keep("a", 0), s.drop("a")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEachIsTakenOnce(t *testing.T) {
	for _, c := range []struct {
		pid          int
		count, names string
		want         []int
	}{
		{os.Getpid(), "3", "b:a:a", []int{4, 5, -1}},
		{os.Getpid(), "2", "b:a:a", []int{4, -1}},
		{os.Getpid(), "3", "b", []int{-1}},
		{os.Getpid(), "many", "a", []int{-1}},
		{os.Getpid() + 1, "1", "a", []int{-1}},
	} {
		s := receive("", strconv.Itoa(c.pid), c.count, c.names)
		for _, want := range c.want {
			if fd, ok := s.take("a"); fd != want || ok != (want >= 0) {
				t.Errorf("%+v: took %d, %v, want %d", c, fd, ok, want)
			}
		}
	}
}

// TestTakenWhileOthersAreClosed wants init to keep what somebody takes while the
// rest is closed.
func TestTakenWhileOthersAreClosed(t *testing.T) {
	for range 50 {
		s := receive("", "", "", "")
		for n := range 100 {
			fd, err := unix.Dup(int(os.Stdin.Fd()))
			if err != nil {
				t.Fatal(err)
			}
			name := strconv.Itoa(n)
			s.given[name], s.kept[name] = []int{fd}, true
		}
		closed, taken := make(chan bool), map[string]bool{}
		go func() {
			s.closeGiven("")
			close(closed)
		}()
		for n := range 100 {
			fd, ok := s.take(strconv.Itoa(n))
			if taken[strconv.Itoa(n)] = ok; ok {
				unix.Close(fd)
			}
		}
		<-closed
		for name, ok := range taken {
			if s.kept[name] != ok {
				t.Fatalf("%s: taken %v, kept %v", name, ok, s.kept[name])
			}
		}
	}
}
