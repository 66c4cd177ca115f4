// Package local is the event source that makes events of lines which programs
// write to a socket (UPSTART §9.7): each name=value is one event.
//
// The name of the event and the socket come from the command line. A client of
// another user is sent away, unless all are let in. The variables begin with
// who the client is, so that a condition can choose; after them comes what the
// client wrote.
package local

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"onset/eventsources"
)

// Source is the source.
type Source struct {
	Event   string // to emit; without it the source tells nothing
	Path    string // of the socket; begins with /, or with @ if no file system has it
	AnyUser bool   // else only this process's
}

const (
	// maxLine is how long a line may be, in bytes.
	maxLine = 64 << 10
	// maxClients is how many are served at once; others wait.
	maxClients = 64
)

// Name implements eventsources.Source.
func (Source) Name() string { return "local" }

// Concerns implements eventsources.Source.
func (s Source) Concerns(c eventsources.Condition) bool {
	return !c.Fact && s.Event != "" && s.Path != "" && c.Operand.Name == s.Event
}

// misused is a command line that cannot be served.
type misused string

func (m misused) Error() string { return string(m) }

// Is has the host not run the source again.
func (misused) Is(target error) bool { return target == eventsources.ErrUnsupported }

// Run implements eventsources.Source.
func (s Source) Run(ctx context.Context, init eventsources.Init) error {
	switch {
	case s.Event == "":
		return misused("Must specify event name") // Upstart's words
	case s.Path == "":
		return misused("Must specify socket path")
	case s.Path[0] != '/' && s.Path[0] != '@':
		return misused(fmt.Sprintf("the path %q of the socket must begin with / or @", s.Path))
	}
	listener, err := s.listen()
	if err != nil {
		return err
	}
	defer listener.Close()
	var clients sync.WaitGroup
	defer clients.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(ctx, func() { listener.Close() })
	init.Ready()
	for free := make(chan struct{}, maxClients); ; {
		conn, err := listener.AcceptUnix()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		free <- struct{}{}
		clients.Go(func() {
			s.serve(ctx, init, conn)
			<-free
		})
	}
}

// listen makes the socket, in the place of one that a dead process left.
func (s Source) listen() (*net.UnixListener, error) {
	if info, err := os.Lstat(s.Path); s.Path[0] == '/' && err == nil {
		if info.Mode().Type() != os.ModeSocket {
			return nil, misused(fmt.Sprintf("%s is there, and is no socket", s.Path))
		}
		if err := os.Remove(s.Path); err != nil {
			return nil, err
		}
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.Path, Net: "unix"})
	if err == nil && s.AnyUser && s.Path[0] == '/' {
		err = os.Chmod(s.Path, 0o666)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", s.Path, err)
	}
	return l, nil
}

// client is the process at the other end.
type client struct {
	uid, gid int
	pid      int // 0 where the kernel does not tell
}

// serve emits what a client writes until it goes.
func (s Source) serve(ctx context.Context, init eventsources.Init, conn *net.UnixConn) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	c, err := peer(conn)
	switch {
	case err != nil:
		init.Logf("cannot tell who connected to %s: %v", s.Path, err)
		return
	case !s.AnyUser && c.uid != os.Geteuid():
		init.Logf("sent away a client of user %d from %s (process %d)", c.uid, s.Path, c.pid)
		return
	}
	told := false
	err = eachLine(conn, func(pair string) error {
		if pair == "" {
			if !told {
				init.Logf("ignored a line from %s that is not name=value (user %d, process %d)", s.Path, c.uid, c.pid)
			}
			told = true
			return nil
		}
		return init.Emit(ctx, eventsources.Event{Name: s.Event, Env: append(s.env(c), pair)})
	})
	if err != nil && ctx.Err() == nil {
		init.Logf("sent away a client from %s (user %d, process %d): %v", s.Path, c.uid, c.pid, err)
	}
}

func (s Source) env(c client) []string {
	variant := "named"
	if s.Path[0] == '@' {
		variant = "abstract"
	}
	env := []string{"SOCKET_TYPE=unix", "SOCKET_VARIANT=" + variant, "CLIENT_UID=" + strconv.Itoa(c.uid), "CLIENT_GID=" + strconv.Itoa(c.gid)}
	if c.pid > 0 {
		env = append(env, "CLIENT_PID="+strconv.Itoa(c.pid))
	}
	return append(env, "SOCKET_PATH="+s.Path)
}

// eachLine calls f for each line, which end in LF or CRLF; with nothing for one
// that is not name=value, or that D-Bus could not carry.
func eachLine(r io.Reader, f func(pair string) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		pair := lines.Text() // without its end
		if strings.IndexByte(pair, '=') < 1 || strings.IndexByte(pair, 0) >= 0 || !utf8.ValidString(pair) {
			pair = ""
		}
		if err := f(pair); err != nil {
			return err
		}
	}
	return lines.Err()
}
