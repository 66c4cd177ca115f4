package socket

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onset/core/expr"
	"onset/eventsources"
	"onset/eventsources/sourcetest"
)

// fake is a Recorder that knows what the socket of a fact is, and whose events
// last until they are answered.
type fake struct {
	sourcetest.Recorder
	t       *testing.T
	answers chan error // nil: events are over at once
	mu      sync.Mutex
	files   map[string]*os.File // of facts, by their variables
	conns   []*os.File          // of events
	emitted int
}

func (f *fake) Hold(facts []eventsources.Fact) error {
	f.mu.Lock()
	f.files = map[string]*os.File{}
	for _, fact := range facts {
		f.files[strings.Join(fact.Env, " ")] = fact.File
	}
	f.mu.Unlock()
	return f.Recorder.Hold(facts)
}

func (f *fake) EmitThen(e eventsources.Event, over func(error)) error {
	f.mu.Lock()
	f.emitted++
	if e.File != nil {
		fd, err := unix.Dup(int(e.File.Fd()))
		if err != nil {
			f.t.Error(err)
		}
		f.conns = append(f.conns, os.NewFile(uintptr(fd), "connection"))
	}
	f.mu.Unlock()
	f.Recorder.EmitWait(f.t.Context(), e) // whoever sees the line finds it counted
	go func() {
		var err error
		if f.answers != nil {
			select {
			case err = <-f.answers:
			case <-f.t.Context().Done():
			}
		}
		over(err)
	}()
	return nil
}

func (f *fake) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.emitted
}

// ask makes operands the conditions: "JOB: KEY=VALUE …".
func (f *fake) ask(operands ...string) {
	var list []eventsources.Condition
	for _, o := range operands {
		job, args, _ := strings.Cut(o, ": ")
		list = append(list, eventsources.Condition{Job: job, Operand: expr.Node{Name: "socket", Args: strings.Fields(args)}})
	}
	f.SetConditions(list)
}

// await collects lines until one contains a text, and returns them all.
func (f *fake) await(text string) (lines []string) {
	f.t.Helper()
	f.until(strconv.Quote(text), func() bool {
		lines = append(lines, f.Take()...)
		return strings.Contains(strings.Join(lines, "\n"), text)
	}, &lines)
	return lines
}

func (f *fake) until(what string, so func() bool, lines *[]string) {
	f.t.Helper()
	for end := time.Now().Add(sourcetest.Patience); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			f.t.Fatalf("waited in vain for %s in\n%s", what, strings.Join(*lines, "\n"))
		}
	}
}

// listener is the socket of a fact.
func (f *fake) listener(env string) net.Listener {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	l, err := net.FileListener(f.files[env])
	if err != nil {
		f.t.Fatalf("%s: %v", env, err)
	}
	f.t.Cleanup(func() { l.Close() })
	return l
}

// start runs a source; stop ends it, as does the test.
func start(t *testing.T, s Source, operands ...string) (f *fake, stop func()) {
	t.Helper()
	f = &fake{t: t}
	return f, begin(t, s, f, operands...)
}

// asked is a fake of some kind.
type asked interface {
	eventsources.Init
	ask(operands ...string)
}

func begin(t *testing.T, s Source, f asked, operands ...string) (stop func()) {
	f.ask(operands...)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, f) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// freePort returns a port that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l := listenTCP(t)
	defer l.Close()
	return portOf(l)
}

// listenTCP listens at a port that kernels give nobody who asks for any, as
// other tests and all clients do meanwhile. Those of cmd/init have lower ones.
func listenTCP(t *testing.T) net.Listener {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp4", fmt.Sprint("127.0.0.1:", 26000+rand.IntN(6000)))
		switch {
		case err == nil:
			t.Cleanup(func() { l.Close() })
			return l
		case !errors.Is(err, unix.EADDRINUSE):
			t.Fatal(err)
		}
	}
	t.Fatal("there is no free port")
	return nil
}

func portOf(l net.Listener) string {
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func (f *fake) dial(network, address string) net.Conn {
	f.t.Helper()
	c, err := net.Dial(network, address)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { c.Close() })
	return c
}

func TestKindsOfSockets(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ operand, network string }{
		{"PROTO=inet PORT=PORT ADDR=127.0.0.1", "tcp4"},
		{"PROTO=inet PORT=PORT", "tcp4"},
		{"PROTO=inet PORT=PORT TYPE=dgram NOTHING", "udp4"},
		{"PROTO=inet6 PORT=PORT ADDR=::1", "tcp6"},
		{"PROTO=inet6 PORT=PORT V6ONLY=no", "tcp4"},
		{"PROTO=inet PORT=PORT REUSEPORT=yes NODELAY=yes BACKLOG=3", "tcp4"},
		{"PROTO=unix PATH=DIR/made/for/it/s", "unix"},
		{"PROTO=unix PATH=DIR/d TYPE=dgram", "unixgram"},
		{"PROTO=unix PATH=DIR/q TYPE=seqpacket", "unixpacket"},
	} {
		operand := strings.NewReplacer("PORT=PORT", "PORT="+freePort(t), "DIR", dir, " NOTHING", "").Replace(c.operand)
		t.Run(c.operand, func(t *testing.T) {
			if strings.Contains(operand, "inet6") && !hasIPv6() {
				t.Skip("there is no IPv6 here")
			}
			f, stop := start(t, New(), "/j: "+operand)
			lines := f.await("fact socket PROTO=")
			env := strings.TrimSuffix(strings.TrimPrefix(lines[0], "fact socket "), " +file")
			if !strings.HasSuffix(lines[0], " +file") || f.count() != 0 {
				t.Errorf("%q", lines)
			}
			s, err := parse(strings.Fields(env))
			if err != nil {
				t.Fatal(err)
			}
			address := s.path
			if s.port != 0 {
				address = net.JoinHostPort(map[bool]string{true: "127.0.0.1", false: "::1"}[c.network[3] == '4'], strconv.Itoa(int(s.port)))
			}
			conn := f.dial(c.network, address)
			if _, err := conn.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			f.await("wait socket " + env)
			stop()
			if _, err := os.Stat(s.path); s.path != "" && err == nil {
				t.Errorf("%s is left behind", s.path)
			}
		})
	}
}

func hasIPv6() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err == nil {
		l.Close()
	}
	return err == nil
}

func TestFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "fifo")
	f, stop := start(t, New(), "/j: PROTO=fifo PATH="+path+" MODE=0620")
	f.await("fact socket PROTO=fifo")
	info, err := os.Stat(path)
	if err != nil || info.Mode() != os.ModeNamedPipe|0o620 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(path, []byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	f.await("wait socket PROTO=fifo")
	stop()
	if _, err := os.Stat(path); err == nil {
		t.Error("it is left behind")
	}
}

func TestModeAndParents(t *testing.T) {
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	path := filepath.Join(t.TempDir(), "a", "b", "s")
	f, _ := start(t, New(), "/j: PROTO=unix PATH="+path+" MODE=0640 OWNER="+strconv.Itoa(os.Getuid())+" GROUP="+strconv.Itoa(os.Getgid()))
	f.await("fact socket")
	for name, want := range map[string]os.FileMode{path: os.ModeSocket | 0o640, filepath.Dir(path): os.ModeDir | 0o755} {
		if info, err := os.Stat(name); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v; want %v", name, info.Mode(), err, want)
		}
	}
}

// TestSharing has two jobs and three operands be about one socket, which stays
// as long as one operand is about it.
func TestSharing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	a, b, c := "/a: PROTO=unix PATH="+path, "/b: PROTO=unix SOCKET_PATH="+path, "/c: PROTO=fifo PATH="+path+"2"
	f, _ := start(t, New(), a, b, c, a)
	f.await("fact socket PROTO=unix")
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	conn := f.dial("unix", path)
	f.await("wait socket PROTO=unix")
	f.ask(b)
	lines := f.await("no fact socket PROTO=fifo")
	if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
		t.Errorf("the socket is another: %v", err)
	}
	l := f.listener("PROTO=unix SOCKET_PATH=" + path + " PATH=" + path)
	if got, err := l.Accept(); err != nil {
		t.Errorf("the connection is lost: %v", err)
	} else {
		got.Close()
		conn.Close()
	}
	f.ask()
	lines = append(lines, f.await("no fact socket PROTO=unix")...)
	f.until("the file to go", func() bool { _, err := os.Stat(path); return err != nil }, &lines)
}

func TestWarnings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	f, _ := start(t, New(), "/com/ubuntu/Upstart/jobs/my_2da: PROTO=inet", "/jobs/b: PROTO=x", "/jobs/b: PROTO=x", "/jobs/c: PROTO=unix PATH="+path)
	lines := f.await("fact socket")
	if got := strings.Join(lines, "\n"); !strings.HasPrefix(got, "log Ignored incomplete socket event in my-a\n"+
		"log Ignored socket event with unknown PROTO=x in /jobs/b\nfact socket PROTO=unix") {
		t.Errorf("told\n%s", got)
	}
	f.ask("/jobs/b: PROTO=x", "/jobs/c: PROTO=unix PATH="+path, "/jobs/d: PROTO=y")
	if lines := f.await("/jobs/d"); len(lines) != 1 {
		t.Errorf("told %q", lines)
	}
}

// TestInUse wants the job, the address and the holder told once, and the socket
// as soon as the address is free.
func TestInUse(t *testing.T) {
	l := listenTCP(t)
	port := portOf(l)
	f, _ := start(t, New(), "/jobs/web: PROTO=inet ADDR=127.0.0.1 PORT="+port)
	line := f.await("log ")[0]
	want := "log Failed to bind socket in /jobs/web: 127.0.0.1:" + port + " is in use"
	if hasHolders {
		name, err := os.ReadFile("/proc/self/comm")
		if err != nil {
			t.Fatal(err)
		}
		want += fmt.Sprintf(" by %s (%d)", strings.TrimSpace(string(name)), os.Getpid())
	}
	if want += "; trying again"; line != want {
		t.Errorf("told %q, want %q", line, want)
	}
	l.Close()
	for _, line := range f.await("fact socket") {
		if strings.HasPrefix(line, "log ") {
			t.Errorf("told %q", line)
		}
	}
}

// TestInUseByUs wants the other job named, not init, which has the socket too.
func TestInUseByUs(t *testing.T) {
	operand := ": PROTO=inet PORT=" + freePort(t)
	f, _ := start(t, New(), "/jobs/web"+operand)
	f.await("fact socket")
	others := []string{" ACCEPT=yes"}
	if allTakeEach {
		others = append(others, " ADDR=127.0.0.1")
	}
	for _, other := range others {
		f.ask("/jobs/web"+operand, "/jobs/echo"+operand+other)
		if line := f.await("log ")[0]; !strings.HasSuffix(line, " is in use by the socket of /jobs/web; trying again") {
			t.Errorf("told %q", line)
		}
	}
}

// TestFailures wants what cannot be named.
func TestFailures(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	for operand, want := range map[string]string{
		"PROTO=inet ADDR=192.0.2.1 PORT=" + port: "bind socket in j: 192.0.2.1:" + port + ": " + unix.EADDRNOTAVAIL.Error(),
		"PROTO=fifo PATH=" + file:                "create socket in j: " + file + ": there is something else than a FIFO",
	} {
		f, stop := start(t, New(), "/com/ubuntu/Upstart/jobs/j: "+operand)
		if line := f.await("log ")[0]; line != "log Failed to "+want+"; trying again" {
			t.Errorf("%s: told %q, want %q", operand, line, want)
		}
		stop()
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

// TestStaleFile wants the file of a dead owner replaced, and no other.
func TestStaleFile(t *testing.T) {
	dir := t.TempDir()
	dead, alive, other := filepath.Join(dir, "dead"), filepath.Join(dir, "alive"), filepath.Join(dir, "other")
	listen := func(path string) *net.UnixListener {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	gone := listen(dead)
	gone.SetUnlinkOnClose(false)
	gone.Close()
	listen(alive)
	if err := os.WriteFile(other, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, _ := start(t, New(), "/d: PROTO=unix PATH="+dead, "/a: PROTO=unix PATH="+alive, "/o: PROTO=unix PATH="+other)
	text := strings.Join(f.await("fact socket"), "\n")
	if !strings.Contains(text, "fact socket PROTO=unix SOCKET_PATH="+dead) || strings.Count(text, "fact") != 1 ||
		!strings.Contains(text, "in /a: "+alive+" is in use") || !strings.Contains(text, "in /o: "+other+": there is something else than a socket") {
		t.Errorf("told\n%s", text)
	}
	f.dial("unix", dead)
	f.await("wait socket")
	if text, _ := os.ReadFile(other); string(text) != "text" {
		t.Error("a file that is no socket was replaced")
	}
}

// TestStates follows a socket through the life of a job: one event for what
// waits, none while the job has an instance, and one when what waits is left.
func TestStates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	f := &fake{t: t, answers: make(chan error)}
	begin(t, New(), f, "/j: PROTO=unix PATH="+path)
	signal := func(kind eventsources.SignalKind) { f.Signal(eventsources.Signal{Kind: kind, Path: "/j"}) }
	f.await("fact socket")
	f.dial("unix", path)
	f.await("wait socket")
	signal(eventsources.InstanceAdded)
	f.answers <- nil
	f.dial("unix", path)
	signal(eventsources.InstanceRemoved)
	f.await("wait socket") // the job took nothing
	if n := f.count(); n != 2 {
		t.Errorf("%d events, though the job had the socket meanwhile", n)
	}
	signal(eventsources.InstanceAdded)
	signal(eventsources.InstanceRemoved) // before it is known that it was started
	f.answers <- nil
	f.await("wait socket")
	f.answers <- nil // nothing started: the event is repeated after a while
	f.await("wait socket")
	signal(eventsources.InstanceAdded)
	f.answers <- nil
	l := f.listener("PROTO=unix SOCKET_PATH=" + path + " PATH=" + path)
	for range 2 {
		if _, err := l.Accept(); err != nil {
			t.Fatal(err)
		}
	}
	signal(eventsources.InstanceRemoved)
	f.dial("unix", path)
	f.await("wait socket")
	f.Signal(eventsources.Signal{Kind: eventsources.Connected})
	f.answers <- nil
	f.await("wait socket")
	f.answers <- nil
	file := f.files["PROTO=unix SOCKET_PATH="+path+" PATH="+path]
	if flags, err := unix.FcntlInt(file.Fd(), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("the flag that the job set is gone: %#x, %v", flags, err)
	}
}

// TestPace wants starts that lead nowhere to be rare, and told of once.
func TestPace(t *testing.T) {
	var p pace
	now := time.Unix(0, 0)
	var waits []time.Duration
	for range burst + 8 {
		p.armed = now
		p.begin(now)
		now = now.Add(10 * time.Millisecond)
		wait, begins := p.next(now)
		if begins != (len(waits) == burst-1) {
			t.Errorf("start %d: begins: %v", len(waits), begins)
		}
		waits = append(waits, wait)
		now = now.Add(wait)
	}
	for i, wait := range waits {
		want := time.Duration(0)
		if i >= burst-1 {
			want = min(time.Second<<(i-burst+1), lastWait)
		}
		if wait != want {
			t.Errorf("after start %d: %v, want %v", i, wait, want)
		}
	}
	p.armed = now
	p.begin(now)
	if wait, _ := p.next(now.Add(calm + 1)); wait != 0 {
		t.Errorf("after a start that lasted: %v", wait)
	}
}

func TestAccept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	f, _ := start(t, New(), "/j: PROTO=unix ACCEPT=yes MAXCONN=2 PATH="+path)
	if lines := f.await("fact socket"); strings.Contains(lines[0], "+file") {
		t.Errorf("the listening socket is for the job: %q", lines)
	}
	lines := []string{}
	var numbers []string
	open := func() {
		f.dial("unix", path)
		lines = f.await("CONNECTION=")
		f.Signal(eventsources.Signal{Kind: eventsources.InstanceAdded, Path: "/j"})
		line := strings.Join(slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "log ") }), "\n")
		if !strings.HasSuffix(line, "+file") || !strings.Contains(line, fmt.Sprintf(" CLIENT_UID=%d CLIENT_GID=%d", os.Getuid(), os.Getgid())) {
			t.Errorf("%q", line)
		}
		_, number, _ := strings.Cut(line, "CONNECTION=")
		numbers = append(numbers, number)
	}
	open()
	open()
	if numbers[0] == numbers[1] {
		t.Errorf("numbers: %q", numbers)
	}
	waits := f.dial("unix", path)
	if _, err := waits.Write([]byte("third")); err != nil {
		t.Fatal(err)
	}
	f.Signal(eventsources.Signal{Kind: eventsources.InstanceRemoved, Path: "/other"})
	if n := f.count(); n != 2 {
		t.Errorf("%d connections are accepted", n)
	}
	f.Signal(eventsources.Signal{Kind: eventsources.InstanceRemoved, Path: "/j"})
	f.await("CONNECTION=")
	f.mu.Lock()
	defer f.mu.Unlock()
	buffer := make([]byte, 10)
	if n, err := f.conns[2].Read(buffer); string(buffer[:n]) != "third" {
		t.Errorf("%q, %v", buffer[:n], err)
	}
}

// TestNoInstanceLine has a connection for which no instance comes.
func TestNoInstanceLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	f, _ := start(t, New(), "/j: PROTO=unix ACCEPT=yes MAXCONN=1 PATH="+path)
	f.await("fact socket")
	f.dial("unix", path)
	f.await(`does the job have a line "instance $CONNECTION"?`)
	f.dial("unix", path)
	if lines := f.await("CONNECTION="); len(lines) != 1 {
		t.Errorf("told %q", lines)
	}
}

// TestShutDown has a job shut the socket down, so that nobody can connect.
func TestShutDown(t *testing.T) {
	port := freePort(t)
	f, _ := start(t, New(), "/j: PROTO=inet ADDR=127.0.0.1 PORT="+port)
	f.await("fact socket")
	f.mu.Lock()
	file := f.files["PROTO=inet PORT="+port+" ADDR=127.0.0.1"]
	err := unix.Shutdown(int(file.Fd()), unix.SHUT_RDWR)
	f.mu.Unlock()
	if err != nil {
		t.Skipf("this kernel lets nobody do that: %v", err)
	}
	lines := f.await("\nfact socket")
	if !strings.Contains(lines[0], "has shut socket 127.0.0.1:"+port+" down") {
		t.Errorf("told %q", lines)
	}
	f.dial("tcp4", "127.0.0.1:"+port)
	f.await("wait socket")
}

// TestAnotherRun wants the sockets of a run that failed to be those of the next.
func TestAnotherRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	src := New()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	f := &fake{t: t}
	f.ask("/j: PROTO=unix PATH=" + path)
	failed := make(chan any)
	go func() {
		defer func() { failed <- recover() }()
		src.Run(ctx, &failing{fake: f})
	}()
	conn := make(chan net.Conn, 1)
	f.await("fact socket")
	conn <- f.dial("unix", path)
	if v := <-failed; v == nil {
		t.Fatal("the run did not fail")
	}
	f.Take()
	begin(t, src, f, "/j: PROTO=unix PATH="+path)
	f.await("wait socket") // the connection is still there
	l := f.listener("PROTO=unix SOCKET_PATH=" + path + " PATH=" + path)
	if _, err := l.Accept(); err != nil {
		t.Error(err)
	}
}

// TestEndOfARunThatBegins wants a run that is ended before it has taken the
// sockets there are to leave them to the next one.
func TestEndOfARunThatBegins(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	src := New()
	f := &fake{t: t}
	f.ask("/j: PROTO=unix PATH=" + path)
	func() {
		defer func() { recover() }()
		src.Run(t.Context(), &failing{fake: f})
	}()
	f.dial("unix", path)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := src.Run(ctx, f); err != nil {
		t.Fatal(err)
	}
	f.Take()
	begin(t, src, f, "/j: PROTO=unix PATH="+path)
	f.await("wait socket") // the connection is still there
}

// failing lets the run panic when it has made its sockets.
type failing struct {
	*fake
	calls int
}

func (f *failing) Conditions() ([]eventsources.Condition, <-chan struct{}) {
	if f.calls++; f.calls == 2 {
		panic("a fault")
	}
	list, _ := f.fake.Conditions()
	changed := make(chan struct{})
	close(changed)
	return list, changed
}

// eager has a client connect before init is told of a socket, and has init
// refuse one of two.
type eager struct {
	*fake
	dir string
}

var errRefused = errors.New("refused")

func (e *eager) Hold(facts []eventsources.Fact) error {
	if len(facts) == 2 {
		e.dial("unix", e.dir+"/a")
		e.dial("unix", e.dir+"/b")
	}
	return errRefused
}

func (e *eager) Assert(f eventsources.Fact) error {
	if strings.HasSuffix(f.Env[1], "/b") {
		return errRefused
	}
	return e.fake.Assert(f)
}

// TestFactBeforeEvent wants no event of a socket that init has not got: the job
// would start without it.
func TestFactBeforeEvent(t *testing.T) {
	dir := t.TempDir()
	f := &fake{t: t}
	begin(t, New(), &eager{f, dir}, "/a: PROTO=unix PATH="+dir+"/a", "/b: PROTO=unix PATH="+dir+"/b")
	lines := f.await("wait socket")
	want := "SOCKET_PATH=" + dir + "/a PATH=" + dir + "/a"
	if len(lines) != 3 || lines[0] != "log Cannot tell init of all sockets; trying again: refused" ||
		lines[1] != "fact socket PROTO=unix "+want+" +file" || lines[2] != "wait socket PROTO=unix "+want {
		t.Errorf("told %q", lines)
	}
	if f.ask("/b: PROTO=unix PATH=" + dir + "/b"); f.count() != 1 {
		t.Errorf("%d events", f.count())
	}
}

// TestInstancesWhileSocketsComeAndGo has init tell of a job all the time whose
// sockets are others again and again: for the race detector.
func TestInstancesWhileSocketsComeAndGo(t *testing.T) {
	dir := t.TempDir()
	f, _ := start(t, New())
	over, told := make(chan bool), make(chan bool)
	go func() {
		defer close(told)
		for {
			select {
			case <-over:
				return
			default:
				f.Signal(eventsources.Signal{Kind: eventsources.InstanceAdded, Path: "job"})
				f.Signal(eventsources.Signal{Kind: eventsources.InstanceRemoved, Path: "job"})
			}
		}
	}()
	for n := range 20 {
		path := fmt.Sprintf("%s/%d", dir, n)
		f.ask("job: PROTO=unix PATH=" + path)
		f.await("SOCKET_PATH=" + path + " ")
	}
	close(over)
	<-told
}
