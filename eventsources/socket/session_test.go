package socket

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/godbus/dbus/v5"

	"onset/core/control"
	"onset/eventsources"
	"onset/eventsources/sourcetest"
)

// roleMark in the environment makes the test binary another program.
const roleMark = "ONSET_TEST_ROLE"

func TestMain(m *testing.M) {
	var err error
	switch role := os.Getenv(roleMark); role {
	case "":
		os.Exit(m.Run())
	case "sources":
		err = host()
	case "serve":
		err = serve()
	case "packets":
		err = servePackets()
	case "echo":
		conn := os.NewFile(3, "connection")
		_, err = io.Copy(conn, conn)
	default:
		err = fmt.Errorf("no role %q", role)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// host is onset-sources with this source.
func host() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	daemon.SdNotify(false, daemon.SdNotifyReady)
	h := eventsources.Host{Address: os.Getenv("UPSTART_SESSION"), Sources: []eventsources.Source{New()},
		Logf: func(format string, args ...any) { fmt.Printf(format+"\n", args...) }}
	return h.Run(ctx)
}

// serve is a daemon made for systemd: it answers each connection with the name
// of the socket, and those it has accepted when it is told to end.
func serve() error {
	by, err := activation.ListenersWithNames()
	if err != nil {
		return err
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	var all sync.WaitGroup
	for name, list := range by {
		for _, l := range list {
			if l == nil {
				return fmt.Errorf("%q is no listener", name)
			}
			all.Go(func() { answer(name, l) })
		}
	}
	fmt.Println("serves", len(by), "fds", os.Getenv("UPSTART_FDS"))
	<-term
	for _, list := range by {
		for _, l := range list {
			l.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Now())
		}
	}
	all.Wait()
	return nil
}

func answer(name string, l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		fmt.Fprintln(c, name)
		c.Close()
	}
}

// servePackets sends packets back.
func servePackets() error {
	conns, err := activation.PacketConns()
	if err != nil || len(conns) != 1 {
		return fmt.Errorf("%d sockets: %v", len(conns), err)
	}
	buffer := make([]byte, 100)
	for {
		n, from, err := conns[0].ReadFrom(buffer)
		if err == nil {
			_, err = conns[0].WriteTo(buffer[:n], from)
		}
		if err != nil {
			return err
		}
	}
}

// world is a session with the source as a job.
type world struct {
	*sourcetest.Session
	t *testing.T
}

// newWorld starts a session. In jobs SELF is the program of a role.
func newWorld(t *testing.T, jobs map[string]string) *world {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	jobs["sources.conf"] = "start on startup\nexpect notify\nrespawn\nrespawn limit unlimited\nenv " + roleMark + "=sources\nexec SELF\n"
	for name, text := range jobs {
		jobs[name] = strings.ReplaceAll(text, "SELF", self)
	}
	w := &world{sourcetest.NewSession(t, jobs), t}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("sources said:\n%s", w.Log("sources"))
		}
	})
	return w
}

// bound waits for a number of sockets.
func (w *world) bound(n int) {
	w.t.Helper()
	w.Await("the sockets", func() bool { return strings.Count("\n"+w.Initctl("facts"), "\nsocket ") == n })
}

// ask connects and returns what comes until the end.
func ask(network, address, send string) (string, error) {
	c, err := net.Dial(network, address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(sourcetest.Patience))
	if send != "" {
		if _, err := io.WriteString(c, send); err != nil {
			return "", err
		}
		c.(interface{ CloseWrite() error }).CloseWrite()
	}
	text, err := io.ReadAll(c)
	return string(text), err
}

func (w *world) wantAnswer(network, address, send, want string) {
	w.t.Helper()
	if got, err := ask(network, address, send); err != nil || got != want {
		w.t.Errorf("%s: %q, %v; want %q", address, got, err, want)
	}
}

// pid returns the process of a job, or 0.
func (w *world) pid(job string) int {
	_, text, _ := strings.Cut(w.Initctl("status", job), "start/running, process ")
	pid, _ := strconv.Atoi(strings.TrimSpace(text))
	return pid
}

// said waits for the word of a daemon with two sockets that was started a
// number of times.
func (w *world) said(job string, times int) {
	w.t.Helper()
	want := strings.Repeat("serves 2 fds 3 4\n", times)
	w.Await("the word of "+job, func() bool { return len(w.Log(job)) >= len(want) })
	if got := w.Log(job); got != want {
		w.t.Errorf("%s said %q", job, got)
	}
}

const serveJob = "respawn\nrespawn limit unlimited\nenv " + roleMark + "=serve\nexec SELF\n"

func TestDaemonForTwoSockets(t *testing.T) {
	port := freePort(t)
	w := newWorld(t, map[string]string{
		"either.conf": "start on socket PROTO=inet PORT=" + port + " FDNAME=inet or socket PROTO=unix PATH=PATH/s FDNAME=path\n" + serveJob,
		"both.conf":   "start on socket PROTO=unix PATH=PATH/1 and socket PROTO=unix PATH=PATH/2 FDNAME=two\n" + serveJob,
	})
	w.bound(4)
	w.wantAnswer("tcp4", "127.0.0.1:"+port, "", "inet\n")
	w.wantAnswer("unix", w.Path("s"), "", "path\n")
	w.said("either", 1)
	first := w.pid("either")
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	w.wantAnswer("unix", w.Path("s"), "", "path\n")
	if next := w.pid("either"); next == first || next == 0 {
		t.Errorf("process %d after %d", next, first)
	}
	w.Initctl("stop", "either")
	w.Initctl("start", "either") // not by a socket
	w.wantAnswer("tcp4", "127.0.0.1:"+port, "", "inet\n")
	w.said("either", 3)

	done := make(chan error, 1)
	go func() {
		got, err := ask("unix", w.Path("1"), "")
		if err == nil && got != "socket\n" {
			err = fmt.Errorf("got %q", got)
		}
		done <- err
	}()
	w.wantAnswer("unix", w.Path("2"), "", "two\n")
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestInstanceOfEachConnection(t *testing.T) {
	w := newWorld(t, map[string]string{
		"echo.conf": "start on socket PROTO=unix PATH=PATH/s ACCEPT=yes MAXCONN=3\ninstance $CONNECTION\nscript\n" +
			"\techo $CLIENT_UID $LISTEN_FDS $UPSTART_FDS $LISTEN_FDNAMES >&3\n\t" + roleMark + "=echo exec SELF\nend script\n",
	})
	w.bound(1)
	want := fmt.Sprintf("%d 1 3 socket\n", os.Getuid())
	var all sync.WaitGroup
	for i := range 20 { // most wait for others to end
		all.Go(func() { w.wantAnswer("unix", w.Path("s"), strconv.Itoa(i), want+strconv.Itoa(i)) })
	}
	all.Wait()
}

func TestPackets(t *testing.T) {
	port := freePort(t)
	w := newWorld(t, map[string]string{
		"packets.conf": "start on socket PROTO=inet PORT=" + port + " TYPE=dgram\nenv " + roleMark + "=packets\nexec SELF\n",
	})
	w.bound(1)
	for _, text := range []string{"one", "two"} { // starts the job each time
		c, err := net.Dial("udp4", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(sourcetest.Patience))
		buffer := make([]byte, 10)
		io.WriteString(c, text)
		if n, err := c.Read(buffer); err != nil || string(buffer[:n]) != text {
			t.Errorf("%q, %v", buffer[:n], err)
		}
		w.Initctl("stop", "packets")
	}
}

// TestExamples runs the jobs of docs/SOURCES.md.
func TestExamples(t *testing.T) {
	jobs := sourcetest.Examples(t, "socket")
	web, echo := freePort(t), freePort(t)
	for name, text := range jobs {
		jobs[name] = strings.NewReplacer("PORT=8080", "PORT="+web, "PORT=7007", "PORT="+echo, "/run/", "PATH/",
			"exec webd", "env "+roleMark+"=serve\nexec SELF", "exec cat <&3 >&3", roleMark+"=echo exec SELF").Replace(text)
	}
	w := newWorld(t, jobs)
	w.bound(4)
	w.wantAnswer("tcp4", "127.0.0.1:"+echo, "hello", "hello")
	w.wantAnswer("unix", w.Path("webd", "admin"), "", "admin\n")
	w.wantAnswer("tcp4", "127.0.0.1:"+web, "", "http\n")
	if runtime.GOOS == "freebsd" {
		t.Skip("the shell of machines for tests reads from no descriptor")
	}
	for _, text := range []string{"one", "two"} {
		if err := os.WriteFile(w.Path("inbox"), []byte(text+"\n"), 0); err != nil {
			t.Fatal(err)
		}
		w.Await("the line", func() bool { return strings.HasSuffix(w.Log("inbox"), "got "+text+"\n") })
	}
}

// TestNoConnectionIsLost has clients connect all the time, while the service is
// restarted, killed and stopped, the source is killed and restarted, and init
// executes itself anew.
func TestNoConnectionIsLost(t *testing.T) {
	connections, disturbances, clients := 10_000, 100, 8
	if testing.Short() {
		connections, disturbances = 500, 10
	}
	port := freePort(t)
	w := newWorld(t, map[string]string{
		"web.conf": "start on socket PROTO=inet PORT=" + port + " FDNAME=inet or socket PROTO=unix PATH=PATH/s FDNAME=path\n" + serveJob,
	})
	w.bound(2)
	var all sync.WaitGroup
	numbers, disturbed := make(chan int), make(chan struct{})
	for range clients {
		all.Go(func() {
			for n := range numbers {
				if n%2 == 0 {
					w.wantAnswer("tcp4", "127.0.0.1:"+port, "", "inet\n")
				} else {
					w.wantAnswer("unix", w.Path("s"), "", "path\n")
				}
			}
		})
	}
	counts := map[string]int{}
	go func() {
		defer close(disturbed)
		for i := range disturbances {
			counts[w.disturb(i)]++
		}
	}()
	n := 0
	for ; n < connections || !isClosed(disturbed); n++ {
		numbers <- n
	}
	close(numbers)
	all.Wait()
	t.Logf("%d connections; %v", n, counts)
	w.Await("the source", func() bool { return w.pid("sources") != 0 })
}

// TestAcceptedBeforeTheEnd wants connections that the source accepts to be served
// while it is restarted all the time.
func TestAcceptedBeforeTheEnd(t *testing.T) {
	restarts := 20
	if testing.Short() {
		restarts = 3
	}
	port := freePort(t)
	w := newWorld(t, map[string]string{
		"echo.conf": "start on socket PROTO=inet PORT=" + port + " ACCEPT=yes\ninstance $CONNECTION\n" +
			"env " + roleMark + "=echo\nexec SELF\n",
	})
	w.bound(1)
	over := make(chan struct{})
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for !isClosed(over) {
				w.wantAnswer("tcp4", "127.0.0.1:"+port, "hello", "hello")
			}
		})
	}
	for range restarts {
		w.Initctl("restart", "sources")
	}
	close(over)
	all.Wait()
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// disturb does something to the session, and says what.
func (w *world) disturb(i int) string {
	kill := func(job string, sig syscall.Signal) {
		var pid int
		w.Await("a process of "+job, func() bool { pid = w.pid(job); return pid != 0 })
		syscall.Kill(pid, sig)
		w.Await("the end of the process", func() bool { return w.pid(job) != pid })
	}
	switch i % 6 {
	case 0:
		w.Initctl("restart", "web")
		return "restart"
	case 1:
		kill("web", syscall.SIGTERM)
		return "kill"
	case 2:
		w.Initctl("stop", "web")
		w.Await("the next connection to start it", func() bool { return w.pid("web") != 0 })
		return "stop"
	case 3:
		kill("sources", syscall.SIGKILL)
		return "kill source"
	case 4:
		w.Initctl("restart", "sources")
		return "restart source"
	}
	w.reexec()
	return "re-exec"
}

// reexec has init execute itself anew, and waits until it has.
func (w *world) reexec() {
	conn, err := dbus.Dial(w.Address)
	if err != nil {
		w.t.Error(err)
		return
	}
	defer conn.Close()
	restarted := make(chan *dbus.Signal, 100)
	conn.Signal(restarted)
	if err := conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Geteuid()))}); err != nil {
		w.t.Error(err)
		return
	}
	conn.Object("", dbus.ObjectPath(control.Root)).Go(control.InterfaceManager+".Restart", dbus.FlagNoReplyExpected, nil)
	for late := time.After(sourcetest.Patience); ; {
		select {
		case s := <-restarted:
			if s != nil && strings.HasSuffix(s.Name, ".Restarted") {
				return
			}
		case <-late:
			w.t.Error("init did not execute itself anew")
			return
		}
	}
}

// TestChangedWhileItRuns has the file of a job change while it runs: of the
// last instance of the old job init says nothing, and the new one is started all
// the same.
func TestChangedWhileItRuns(t *testing.T) {
	t.Parallel()
	job := "start on socket PROTO=unix PATH=PATH/s FDNAME=web\nenv " + roleMark + "=serve\nexec SELF\n"
	w := newWorld(t, map[string]string{"web.conf": job})
	w.bound(1)
	ask := func() {
		t.Helper()
		conn, err := net.Dial("unix", w.Path("s"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(sourcetest.Patience))
		if text, err := io.ReadAll(conn); string(text) != "web\n" {
			t.Fatalf("got %q, %v", text, err)
		}
	}
	ask()
	text, err := os.ReadFile(w.Path("conf", "web.conf"))
	if err == nil {
		err = os.WriteFile(w.Path("conf", "web.conf"), append(text, "description \"another\"\n"...), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.Initctl("reload-configuration")
	w.Initctl("stop", "web")
	ask()
}
