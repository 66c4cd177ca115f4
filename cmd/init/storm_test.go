//go:build linux

package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// stormTime is how long the manager is killed, every 50 ms. The full minute of
// it runs where ONSET_SOAK is set.
func stormTime() time.Duration {
	if os.Getenv("ONSET_SOAK") != "" {
		return time.Minute
	}
	return 10 * time.Second
}

var stormJobs = map[string]string{
	"steady.conf": "start on startup\nexec sleep 100000\n",
	"logger.conf": "start on startup\nscript\n\ti=0\n\twhile :; do i=$((i+1)); echo line $i; sleep 0.01; done\nend script\n",
	"once.conf":   "instance $N\nstart on once\ntask\nscript\n\techo $N >>DIR/once\nend script\n",
	"slow.conf": "instance $N\npre-start script\n\tsleep 0.1\n\techo start $N >>DIR/slow\nend script\nexec sleep 100000\n" +
		"post-stop script\n\techo stop $N >>DIR/slow\nend script\n",
	"forking.conf": "instance $N\nexpect fork\nscript\n\tsleep 100000 &\n\texit 0\nend script\n",
	"count.conf":   "start on count\ntask\nexec sh -c 'echo count >>DIR/count'\n",
	"again.conf": "start on startup\nrespawn\nrespawn limit unlimited\nscript\n\techo $$ >>DIR/again\n\tsleep 0.2\n" +
		"\techo $$ >>DIR/again.ends\nend script\n",
}

// storm disturbs a machine while jobs start, stop, fork, log and respawn and
// clients wait: nothing is restarted or lost, and everybody is answered.
// disturb returns at the end, with how often it did so.
func storm(t *testing.T, disturb func(m *machine, end time.Time) int) {
	m := startMachine(t, stormJobs)
	steady := m.must("status", "steady")
	c := &clients{m: m, turns: map[string]int{}}
	c.start("once", func(n string) { m.must("emit", "once", n) })
	c.start("count", func(string) { m.must("emit", "count") })
	for _, job := range []string{"slow", "forking"} {
		c.start(job, func(n string) {
			m.must("start", job, n)
			m.must("stop", job, n)
		})
	}
	c.disturbed(disturb(m, time.Now().Add(stormTime())))
	if now := m.must("status", "steady"); now != steady {
		t.Errorf("steady was %q, is %q", steady, now)
	}
	m.check("once", c.turns["once"], func(n int) []string { return []string{strconv.Itoa(n)} })
	m.check("slow", c.turns["slow"], func(n int) []string { return []string{fmt.Sprint("start ", n), fmt.Sprint("stop ", n)} })
	m.check("count", c.turns["count"], func(int) []string { return []string{"count"} })
	m.checkRespawns()
	m.checkLog()
}

// clients are programs that ask init for things, one after the other each.
type clients struct {
	sync.WaitGroup
	m     *machine
	over  atomic.Bool
	lock  sync.Mutex
	turns map[string]int
}

// start has a client take turns, with N=0, N=1 and so on.
func (c *clients) start(name string, turn func(n string)) {
	c.Go(func() {
		n := 0
		for ; !c.over.Load() && !c.m.t.Failed(); n++ {
			turn("N=" + strconv.Itoa(n))
		}
		c.lock.Lock()
		defer c.lock.Unlock()
		c.turns[name] = n
	})
}

// disturbed ends the clients, after that many disturbances.
func (c *clients) disturbed(times int) {
	c.m.t.Helper()
	c.over.Store(true)
	c.Wait()
	if c.m.t.Logf("disturbed %d times, turns of clients: %v", times, c.turns); times < stormLeast {
		c.m.t.Error("that is no storm")
	}
}

// stormLeast is how often there is a disturbance, however slow the machine is.
const stormLeast = 10

// storming tells whether a storm goes on, after that many disturbances.
func (m *machine) storming(times int, end time.Time) bool {
	now := time.Now()
	return now.Before(end) || times < stormLeast && now.Before(end.Add(5*time.Minute)) && !m.t.Failed()
}

func TestKilledManager(t *testing.T) { storm(t, (*machine).killing) }

func TestReexecutedManager(t *testing.T) { storm(t, (*machine).reexecuting) }

// reexecuting has the manager execute itself again and again.
func (m *machine) reexecuting(end time.Time) (times int) {
	for ; m.storming(times, end); times++ {
		if err := m.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			m.t.Error(err)
		}
		m.must("version")
	}
	return times
}

// killing kills the manager every 50 ms until the end, and returns how often. On
// a machine so busy that a manager needs longer to come up, it lets one come
// up now and then: the keeper would give up after ten (EXTENSIONS §12).
func (m *machine) killing(end time.Time) (kills int) {
	for tick := time.NewTicker(50 * time.Millisecond); m.storming(kills, end); <-tick.C {
		if pid := m.manager(); pid != 0 && syscall.Kill(pid, syscall.SIGKILL) == nil {
			kills++
		}
		if kills%5 == 0 {
			m.must("version")
		}
	}
	return kills
}

// check wants each line that n turns of a client write, and no other.
func (m *machine) check(file string, turns int, written func(n int) []string) {
	m.t.Helper()
	count := map[string]int{}
	for n := range turns {
		for _, line := range written(n) {
			count[line]++
		}
	}
	for _, line := range m.lines(file) {
		count[line]--
	}
	for _, line := range slices.Sorted(maps.Keys(count)) {
		if n := count[line]; n != 0 {
			m.t.Errorf("%s: %q is there %d times too few", file, line, n)
		}
	}
}

// checkRespawns wants one process of the respawned job after another.
func (m *machine) checkRespawns() {
	m.must("stop", "again") // which writes all the time
	starts, ends := m.lines("again"), m.lines("again.ends")
	if len(starts) < 2 || len(starts)-len(ends) > 1 {
		m.t.Errorf("%d respawns, %d ends", len(starts), len(ends))
	}
	for i := range ends {
		if starts[i] != ends[i] {
			m.t.Fatalf("process %d of the respawned job: %s started, %s ended", i, starts[i], ends[i])
		}
	}
}

// checkLog wants every line of the log, once and in order. The last may not be
// written to its end yet.
func (m *machine) checkLog() {
	m.t.Helper()
	text, err := os.ReadFile(filepath.Join(m.dir, "log/logger.log"))
	if err != nil {
		m.t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\r\n")
	lines = lines[:len(lines)-1]
	for i, line := range lines {
		if want := fmt.Sprintf("line %d\r\n", i+1); line != want {
			m.t.Fatalf("log: %q in place of %q", line, want)
		}
	}
	if m.t.Logf("log: %d lines", len(lines)); len(lines) < 10 {
		m.t.Error("that is no log")
	}
}

// TestUpgrade replaces the program of a running init: keeper and manager
// become the new one, and jobs notice nothing.
func TestUpgrade(t *testing.T) {
	m := startMachine(t, stormJobs)
	before := m.must("status", "steady")
	m.install()
	if err := m.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	installed, err := os.Stat(m.program())
	if err != nil {
		t.Fatal(err)
	}
	runs := func(pid int) bool {
		exe, err := os.Stat("/proc/" + strconv.Itoa(pid) + "/exe")
		return err == nil && os.SameFile(exe, installed)
	}
	m.await("the new keeper and manager", func() bool { return runs(m.cmd.Process.Pid) && m.manager() != 0 && runs(m.manager()) })
	if after := m.must("status", "steady"); after != before {
		t.Errorf("steady was %q, is %q", before, after)
	}
}

// openGiven makes a file to be given to jobs.
func openGiven(t *testing.T, dir string) *os.File {
	t.Helper()
	name := filepath.Join(dir, "given")
	if err := os.WriteFile(name, []byte("the file"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestFileOfEvent kills the manager while it holds a file that came with an
// event: the job that the event starts in the end gets it.
func TestFileOfEvent(t *testing.T) {
	m := startMachine(t, map[string]string{
		"take.conf": "start on give and go\ntask\nscript\n\tcat /proc/self/fd/$UPSTART_FDS >DIR/taken\nend script\n",
	})
	conn, f := m.dial(), openGiven(t, m.dir)
	defer conn.Close()
	defer f.Close()
	init := conn.Object("com.ubuntu.Upstart", "/com/ubuntu/Upstart")
	call := init.Call("com.ubuntu.Upstart0_6.EmitEventWithFile", 0, "give", []string{}, false, dbus.UnixFD(f.Fd()))
	if call.Err != nil {
		t.Fatal(call.Err)
	}
	for range 3 {
		m.killManager()
		m.must("version")
	}
	m.must("emit", "go")
	if got := m.lines("taken"); len(got) != 1 || got[0] != "the file" {
		t.Errorf("the job got %q", got)
	}
}

// TestFileOfFact kills and re-executes managers while a fact with a file holds:
// each start gets the file until the fact goes, and then nobody has it.
func TestFileOfFact(t *testing.T) {
	m := startMachine(t, map[string]string{
		"take.conf": "start on give A=1\ntask\nscript\n\techo $(cat /proc/self/fd/$UPSTART_FDS) $LISTEN_FDS $LISTEN_FDNAMES $((LISTEN_PID - $$)) >>DIR/taken\nend script\n",
	})
	conn, f := m.dial(), openGiven(t, m.dir)
	defer conn.Close()
	defer f.Close()
	init := conn.Object("com.ubuntu.Upstart", "/com/ubuntu/Upstart")
	vars := []string{"A=1", "FDNAME=gift"}
	if err := init.Call("com.ubuntu.Upstart0_6.AssertFactWithFile", 0, "give", vars, dbus.UnixFD(f.Fd())).Err; err != nil {
		t.Fatal(err)
	}
	for range 3 {
		m.killManager()
		m.must("start", "take")
	}
	if err := m.cmd.Process.Signal(syscall.SIGTERM); err != nil { // re-executes it
		t.Fatal(err)
	}
	m.must("emit", "give", "A=1")
	got := m.lines("taken")
	if want := slices.Repeat([]string{"the file 1 gift 0"}, 4); !slices.Equal(got, want) {
		t.Errorf("the job got %q", got)
	}
	if err := init.Call("com.ubuntu.Upstart0_6.RetractFact", 0, "give", vars).Err; err != nil {
		t.Fatal(err)
	}
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", m.awaitManager()))
	for _, link := range links {
		if to, _ := os.Readlink(link); filepath.Base(to) == "given" {
			t.Errorf("init still has it as %s", link)
		}
	}
}

// dial connects to the private socket.
func (m *machine) dial() *dbus.Conn {
	m.t.Helper()
	var conn *dbus.Conn
	err := m.inNetwork(func() (err error) {
		conn, err = dbus.Dial("unix:abstract=/com/ubuntu/upstart")
		return err
	})
	if err == nil {
		err = conn.Auth([]dbus.Auth{dbus.AuthExternal("0")})
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return conn
}
