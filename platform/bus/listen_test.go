package bus

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// wantsAnswer waits until the server is found at a path.
func (w *world) wantsAnswer(path string) {
	w.t.Helper()
	eventually(w.t, "an answer at "+path, func() bool {
		fd, err := connect("unix:path=" + path)
		if err != nil {
			return false
		}
		defer unix.Close(fd)
		put(w.t, fd, hello)
		if err := unix.SetNonblock(fd, false); err != nil {
			w.t.Fatal(err)
		}
		return answers(w.t, fd, "AGREE_UNIX_FD\r\n") != "EOF"
	})
}

// TestPathIsLost takes the file of a socket away, and the directory.
func TestPathIsLost(t *testing.T) {
	var moved []int
	w := newWorld(t, func(w *world) { w.o.Moved = func(fd int) { moved = append(moved, fd) } })
	dir := t.TempDir()
	path := filepath.Join(dir, "run", "socket")
	w.within(func() {
		if err := w.Listen("unix:path=" + path); err != nil {
			t.Fatal(err)
		}
	})
	c := w.dial()
	w.wantsAnswer(path)
	for _, lose := range []func() error{
		func() error { return os.Remove(path) },
		func() error { return os.Rename(path, path+".old") },
		func() error { return os.Rename(filepath.Dir(path), filepath.Join(dir, "old")) },
		func() error { return removeAll(filepath.Dir(path)) },
	} {
		w.within(func() { moved = nil })
		if err := lose(); err != nil {
			t.Fatal(err)
		}
		w.wantsAnswer(path)
		w.within(func() {
			if l := w.listeners[1]; len(moved) == 0 || moved[len(moved)-1] != l.fd {
				t.Errorf("told of %d", moved)
			}
		})
	}
	if err := manager(c).Call("org.freedesktop.DBus.Peer.Ping", 0).Err; err != nil {
		t.Error("a client lost its connection: ", err)
	}
}

// removeAll removes a folder in which a socket may be made meanwhile.
func removeAll(dir string) (err error) {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if err = os.RemoveAll(dir); !errors.Is(err, unix.ENOTEMPTY) {
			break
		}
	}
	return err
}

// TestPathCannotBeMade has a file where the directory was, for a while.
func TestPathCannotBeMade(t *testing.T) {
	w := newWorld(t, nil)
	run := filepath.Join(t.TempDir(), "run")
	path := filepath.Join(run, "socket")
	w.within(func() {
		if err := w.Listen("unix:path=" + path); err != nil {
			t.Fatal(err)
		}
	})
	if err := os.RemoveAll(run); err != nil {
		t.Fatal(err)
	}
	w.wantsAnswer(path)
	if err := os.Rename(run, run+".old"); err != nil {
		t.Fatal(err)
	}
	w.wantsAnswer(path)
	w.within(func() { // nothing is noticed between
		os.RemoveAll(run)
		if err := os.WriteFile(run, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	})
	w.wantLog("cannot be made")
	if err := os.Remove(run); err != nil {
		t.Fatal(err)
	}
	w.within(func() { w.shift += lastRejoin })
	w.wantsAnswer(path)
}

// TestSocketOfAServerBefore is listened to again, at once if its path is lost.
func TestSocketOfAServerBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	for _, lost := range []bool{false, true} {
		fd, err := OpenSocket("unix:path=" + path)
		if err != nil {
			t.Fatal(err)
		}
		if lost {
			os.Remove(path)
		}
		w := newWorld(t, func(w *world) {
			if err := w.Serve(fd, "unix:path="+path); err != nil {
				t.Fatal(err)
			}
		})
		w.wantsAnswer(path)
		w.within(func() {
			if same := w.listeners[0].fd == fd; same == lost && !same {
				t.Errorf("lost %v, and another socket", lost)
			}
			w.listeners[0].leave()
			w.listeners[0].stop()
			w.listeners = slices.Delete(w.listeners, 0, 1)
		})
		os.Remove(path)
	}
}

// TestRootOf asks for the root directory of this process and of one that has
// another.
func TestRootOf(t *testing.T) {
	const mark = "BUS_TEST_ROOT"
	if dir := os.Getenv(mark); dir != "" {
		if err := unix.Chroot(dir); err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("in\n")
		os.Stdin.Read(make([]byte, 1))
		return
	}
	if root, err := rootOf(os.Getpid()); root != "" || err != nil {
		t.Errorf("own root: %q, %v", root, err)
	}
	if _, err := rootOf(1 << 22); err == nil {
		t.Error("a process that is none has a root")
	}
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: needs root for another root directory")
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestRootOf$")
	cmd.Env = append(os.Environ(), mark+"="+dir)
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "in\n" {
		t.Fatal(line, err)
	}
	if root, err := rootOf(cmd.Process.Pid); root != dir || err != nil {
		t.Errorf("%q, %v, want %q", root, err, dir)
	}
	if got, want := commandOf(cmd.Process.Pid), os.Args[0]+" -test.run=^TestRootOf$"; got != want {
		t.Errorf("command %q, want %q", got, want)
	}
}
