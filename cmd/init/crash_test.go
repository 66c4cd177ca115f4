//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// machine is init as process 1 of namespaces of its own.
type machine struct {
	t   *testing.T
	dir string
	cmd *exec.Cmd
	out bytes.Buffer
	log bytes.Buffer
}

// startMachine boots on job files; what they print is in dir/log. The folder
// is the same inside.
func startMachine(t *testing.T, jobs map[string]string) *machine {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can make the namespaces of a machine")
	}
	dir, err := os.MkdirTemp("/var/tmp", "onset-machine")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	m := &machine{t: t, dir: dir}
	for _, d := range []string{"conf", "log"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range jobs {
		if err := os.WriteFile(filepath.Join(dir, "conf", name), []byte(strings.ReplaceAll(text, "DIR", dir)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m.cmd = exec.Command("/bin/sh", "-ec", `
		mount --make-rprivate /
		mount -t proc proc /proc
		mount -t cgroup2 cgroup2 /sys/fs/cgroup
		mount --bind "$KMSG" /dev/kmsg
		exec nice -n -15 "$0" "$@"`, program("init"), "--verbose", "--confdir", filepath.Join(dir, "conf"), "--logdir", filepath.Join(dir, "log"))
	m.cmd.Env = append(os.Environ(), "KMSG="+m.kernelLog())
	m.cmd.Stdout, m.cmd.Stderr = &m.out, &m.out
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL,
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWCGROUP}
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m.cmd.Process.Kill() // and with it everything in the namespace
		m.cmd.Wait()
		if t.Failed() {
			said := m.out.String()
			t.Logf("process 1 said last:\n%s", said[max(0, len(said)-1000):])
		}
	})
	m.await("an answer", func() bool { _, err := m.run("initctl", "version"); return err == nil })
	return m
}

// kernelLog makes a pipe that stands for the kernel's log, whose rate is
// limited.
func (m *machine) kernelLog() string {
	path := filepath.Join(m.dir, "kmsg")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		m.t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		m.t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		io.Copy(&m.log, f)
	}()
	m.t.Cleanup(func() {
		f.Close()
		<-read
		if m.t.Failed() {
			log := m.log.Bytes()
			m.t.Logf("init logged last:\n%s", log[max(0, len(log)-10000):])
		}
	})
	return path
}

func (m *machine) await(what string, true func() bool) {
	m.t.Helper()
	for deadline := time.Now().Add(time.Minute); !true(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			m.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// run runs a command of initctl inside and returns what it prints.
func (m *machine) run(name string, args ...string) (string, error) {
	inside := append([]string{"-t", strconv.Itoa(m.cmd.Process.Pid), "-p", "-m", "-n", program(name)}, args...)
	out, err := exec.Command("nsenter", inside...).CombinedOutput()
	return string(out), err
}

// manager returns the process number of the manager, or 0 while there is none.
// What a manager that was killed had just forked for a job looks like one, but
// for its single thread.
func (m *machine) manager() int {
	first := strconv.Itoa(m.cmd.Process.Pid)
	own, _ := os.ReadFile("/proc/" + first + "/cmdline")
	var children []byte // of any thread
	threads, _ := filepath.Glob("/proc/" + first + "/task/*/children")
	for _, file := range threads {
		more, _ := os.ReadFile(file)
		children = append(children, more...)
	}
	for child := range strings.FieldsSeq(string(children)) {
		line, _ := os.ReadFile("/proc/" + child + "/cmdline")
		exe, err := os.Readlink("/proc/" + child + "/exe")
		threads, _ := os.ReadDir("/proc/" + child + "/task")
		if err == nil && exe == program("init") && bytes.Equal(line, own) && len(threads) > 1 {
			pid, _ := strconv.Atoi(child)
			return pid
		}
	}
	return 0
}

// stormTime is how long the manager is killed, every 50 ms. The full minute of
// it runs where ONSET_SOAK is set.
func stormTime() time.Duration {
	if os.Getenv("ONSET_SOAK") != "" {
		return time.Minute
	}
	return 10 * time.Second
}

// TestKilledManager kills the manager again and again while jobs start, stop,
// fork, log and respawn and clients wait: nothing is restarted or lost, and
// everybody is answered.
func TestKilledManager(t *testing.T) {
	m := startMachine(t, map[string]string{
		"steady.conf":  "start on startup\nexec sleep 100000\n",
		"logger.conf":  "start on startup\nscript\n\ti=0\n\twhile :; do i=$((i+1)); echo line $i; sleep 0.01; done\nend script\n",
		"once.conf":    "instance $N\nstart on once\ntask\nscript\n\techo $N >>DIR/once\nend script\n",
		"slow.conf":    "instance $N\nscript\n\techo start $N >>DIR/slow\n\texec sleep 100000\nend script\npre-start exec sleep 0.1\npost-stop script\n\techo stop $N >>DIR/slow\nend script\n",
		"again.conf":   "start on startup\nrespawn\nrespawn limit unlimited\nscript\n\techo $$ >>DIR/again\n\tsleep 0.2\n\techo $$ >>DIR/again.ends\nend script\n",
		"forking.conf": "instance $N\nexpect fork\nscript\n\tsleep 100000 &\n\texit 0\nend script\n",
		"count.conf":   "start on count\ntask\nexec sh -c 'echo count >>DIR/count'\n",
	})
	steady, err := m.run("initctl", "status", "steady")
	if err != nil {
		t.Fatal(steady, err)
	}
	end := time.Now().Add(stormTime())
	var clients sync.WaitGroup
	done := map[string]int{}
	var lock sync.Mutex
	client := func(name string, turn func(n int) (string, error)) {
		clients.Go(func() {
			n := 0
			for ; time.Now().Before(end); n++ {
				if out, err := turn(n); err != nil {
					t.Errorf("%s %d: %v: %s", name, n, err, out)
				}
			}
			lock.Lock()
			defer lock.Unlock()
			done[name] = n
		})
	}
	client("once", func(n int) (string, error) { return m.run("initctl", "emit", "once", fmt.Sprintf("N=%d", n)) })
	client("slow", func(n int) (string, error) {
		out, err := m.run("initctl", "start", "slow", fmt.Sprintf("N=%d", n))
		if err != nil {
			return out, err
		}
		return m.run("initctl", "stop", "slow", fmt.Sprintf("N=%d", n))
	})
	client("forking", func(n int) (string, error) {
		out, err := m.run("initctl", "start", "forking", fmt.Sprintf("N=%d", n))
		if err != nil {
			return out, err
		}
		return m.run("initctl", "stop", "forking", fmt.Sprintf("N=%d", n))
	})
	client("count", func(int) (string, error) { return m.run("initctl", "emit", "count") })
	kills := m.storm(end)
	clients.Wait()
	if t.Logf("%d kills, %v", kills, done); kills < 10 {
		t.Error("that is no storm")
	}

	if out, err := m.run("initctl", "status", "steady"); err != nil || out != steady {
		t.Errorf("steady was %q, is %q, %v", steady, out, err)
	}
	m.check("once", done["once"], func(n int) []string { return []string{strconv.Itoa(n)} })
	m.check("slow", done["slow"], func(n int) []string { return []string{fmt.Sprint("start ", n), fmt.Sprint("stop ", n)} })
	m.check("count", done["count"], func(int) []string { return []string{"count"} })
	m.checkRespawns()
	m.checkLog()
}

// storm kills the manager every 50 ms until the end, and returns how often. On
// a machine so busy that a manager needs longer to come up, it lets one come
// up now and then: the keeper would give up after ten (EXTENSIONS §12).
func (m *machine) storm(end time.Time) (kills int) {
	for tick := time.NewTicker(50 * time.Millisecond); time.Now().Before(end); <-tick.C {
		if pid := m.manager(); pid != 0 && syscall.Kill(pid, syscall.SIGKILL) == nil {
			kills++
		}
		if kills%5 == 0 {
			if out, err := m.run("initctl", "version"); err != nil {
				m.t.Errorf("%v: %s", err, out)
			}
		}
	}
	return kills
}

func (m *machine) lines(file string) []string {
	text, err := os.ReadFile(filepath.Join(m.dir, file))
	if err != nil {
		m.t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(strings.ReplaceAll(string(text), "\r", ""), "\n"), "\n")
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

// checkLog wants the lines of the log in order. What was read of a pty and not
// written yet is lost with the manager (package joblog).
func (m *machine) checkLog() {
	last, missing := 0, 0
	for _, line := range m.lines("log/logger.log") {
		var n int
		if _, err := fmt.Sscanf(line, "line %d", &n); err != nil || n <= last {
			m.t.Fatalf("log: %q after line %d", line, last)
		}
		missing += n - last - 1
		last = n
	}
	m.t.Logf("log: %d lines, %d lost", last, missing)
}
