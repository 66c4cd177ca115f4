package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"onset/core/expr"
	"onset/eventsources"
	"onset/eventsources/sourcetest"
)

// run runs a source until the test ends.
func run(t *testing.T, s Source, init eventsources.Init) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, init) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// dial connects to a source once it is there.
func dial(t *testing.T, path string) net.Conn {
	t.Helper()
	for end := time.Now().Add(sourcetest.Patience); ; time.Sleep(time.Millisecond) {
		conn, err := net.Dial("unix", path)
		if err == nil {
			t.Cleanup(func() { conn.Close() })
			return conn
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// await waits for so many lines.
func await(t *testing.T, r *sourcetest.Recorder, n int) (lines []string) {
	t.Helper()
	for end := time.Now().Add(sourcetest.Patience); len(lines) < n; time.Sleep(time.Millisecond) {
		lines = append(lines, r.Take()...)
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %d lines; got %q", n, lines)
		}
	}
	return lines
}

func TestLines(t *testing.T) {
	abstract := fmt.Sprintf("@onset-local-test-%d", os.Getpid())
	for name, c := range map[string]struct{ path, variant string }{
		"named": {filepath.Join(t.TempDir(), "s"), "named"}, "abstract": {abstract, "abstract"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.variant == "abstract" && !hasAbstract {
				t.Skip("this kernel has no abstract sockets")
			}
			var r sourcetest.Recorder
			run(t, Source{Event: "told", Path: c.path}, &r)
			conn := dial(t, c.path)
			fmt.Fprint(conn, "a=1\nb=2=3\r\nnothing\n=4\n\nlast=5")
			conn.Close()
			before := fmt.Sprintf("emit told SOCKET_TYPE=unix SOCKET_VARIANT=%s CLIENT_UID=%d CLIENT_GID=%d ", c.variant, os.Getuid(), os.Getgid())
			if tellsProcess {
				before += fmt.Sprintf("CLIENT_PID=%d ", os.Getpid())
			}
			before += "SOCKET_PATH=" + c.path + " "
			ignored := fmt.Sprintf("log ignored a line from %s that is not name=value", c.path)
			got := await(t, &r, 4)
			if len(got) != 4 || got[0] != before+"a=1" || got[1] != before+"b=2=3" || !strings.HasPrefix(got[2], ignored) || got[3] != before+"last=5" {
				t.Errorf("told:\n%s", strings.Join(got, "\n"))
			}
		})
	}
}

// TestOthersAreSentAway wants clients of other users to be let in only if they
// are wanted.
func TestOthersAreSentAway(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can be another user")
	}
	dir, err := os.MkdirTemp("/tmp", "local")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, any := range []bool{false, true} {
		path := filepath.Join(dir, fmt.Sprint(any))
		var r sourcetest.Recorder
		run(t, Source{Event: "told", Path: path, AnyUser: any}, &r)
		dial(t, path).Close()
		if err := os.Chmod(path, 0o666); err != nil {
			t.Fatal(err)
		}
		asUser(t, 65534, path, "a=1\n")
		got := await(t, &r, 1)[0]
		if want := map[bool]string{false: "log sent away a client of user 65534", true: "emit told SOCKET_TYPE=unix SOCKET_VARIANT=named CLIENT_UID=65534"}[any]; !strings.HasPrefix(got, want) {
			t.Errorf("any user %v: %q", any, got)
		}
	}
}

func TestMisuse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		source Source
		want   string
	}{
		{Source{Path: "/x"}, "Must specify event name"},
		{Source{Event: "x"}, "Must specify socket path"},
		{Source{Event: "x", Path: "relative"}, "must begin with / or @"},
		{Source{Event: "x", Path: file}, "is there, and is no socket"},
	} {
		err := c.source.Run(t.Context(), &sourcetest.Recorder{})
		if err == nil || !errors.Is(err, eventsources.ErrUnsupported) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q that is not tried again", c.source, err, c.want)
		}
	}
	if text, _ := os.ReadFile(file); string(text) != "precious" {
		t.Error("a file was removed")
	}
}

// TestDeadSocket wants a socket of a dead process to be replaced.
func TestDeadSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	var r sourcetest.Recorder
	run(t, Source{Event: "told", Path: path}, &r)
	fmt.Fprintln(dial(t, path), "a=1")
	await(t, &r, 1)
}

// TestHugeLine wants who writes a line without end to be sent away, and others
// to be served.
func TestHugeLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	var r sourcetest.Recorder
	run(t, Source{Event: "told", Path: path}, &r)
	bad := dial(t, path)
	if _, err := bad.Write(bytes.Repeat([]byte("x"), 4*maxLine)); err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatal(err)
	}
	if got := await(t, &r, 1)[0]; !strings.HasPrefix(got, "log sent away") {
		t.Errorf("%q", got)
	}
	fmt.Fprintln(dial(t, path), "a=1")
	await(t, &r, 1)
}

func TestConcerns(t *testing.T) {
	c := eventsources.Condition{Operand: expr.Node{Name: "told"}}
	if !(Source{Event: "told", Path: "/x"}).Concerns(c) || (Source{Event: "other", Path: "/x"}).Concerns(c) || (Source{}).Concerns(c) {
		t.Error("concerned by what it does not tell, or not by what it does")
	}
}

// TestExample runs the job of docs/SOURCES.md on a real init.
func TestExample(t *testing.T) {
	s := sourcetest.NewSession(t, sourcetest.Examples(t, "local"))
	path := s.Path("socket")
	s.Host(Source{Event: "message", Path: path})
	conn := dial(t, path)
	fmt.Fprint(conn, "colour=blue\nshape=round\n")
	s.Await("the job", func() bool { return s.Log("paint-blue") == "blue\n" })
	if list := s.Initctl("list"); strings.Contains(list, "round") {
		t.Errorf("a job was started by another pair:\n%s", list)
	}
}

func FuzzLines(f *testing.F) {
	for _, seed := range []string{"a=b\n", "a=b\r\n", "=\n", "a", "a=\x00\n", "\xff=\n\n\r"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var pairs []string
		err := eachLine(bytes.NewReader(text), func(pair string) error {
			if pair != "" {
				pairs = append(pairs, pair)
			}
			return nil
		})
		for _, p := range pairs {
			if i := strings.IndexByte(p, '='); i < 1 || strings.ContainsAny(p, "\n\x00") || !bytes.Contains(text, []byte(p)) {
				t.Errorf("%q of %q", p, text)
			}
		}
		if lines := bytes.Count(text, []byte("\n")) + 1; err == nil && len(pairs) > lines || slices.Contains(pairs, "") {
			t.Errorf("%d of %d lines", len(pairs), lines)
		}
	})
}
