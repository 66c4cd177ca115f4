package platformtest

import (
	"bufio"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"onset/core/job"
)

// crashCases kill a manager and say what the next one makes of its processes.
// The test process is the keeper.
var crashCases = []testCase{
	{"crash: a process whose start was not noted", crashUnnoted},
	{"crash: a stage at work", crashStage},
	{"crash: a stage that fails", crashStageFails},
	{"crash: an end that was told and not taken", crashUntaken},
	{"crash: an end while there was no manager", crashEnd},
	{"crash: a script longer than a pipe", crashScript},
	{"crash: expect fork, before the fork", crashBeforeFork},
	{"crash: expect fork, forked and both alive", crashForked},
	{"crash: expect fork, forked and gone", crashForkedGone},
	{"crash: expect daemon, forked twice and gone", crashDaemonGone},
	{"crash: expect daemon, between the forks", crashBetweenForks},
	{"crash: expect fork, ready", crashReady},
	{"crash: expect fork, in all states", func(w *world) { crashStates(w, (*crash).crash) }},
	{"re-execution: expect fork, in all states", func(w *world) { crashStates(w, (*crash).reexec) }},
	{"re-execution: expect fork, ready", reexecReady},
	{"crash: expect stop", crashStop},
	{"crash: expect stop, stopped meanwhile", crashStopped},
}

// crash is a keeper with a manager under test.
type crash struct {
	*world
	manager int
	in      *os.File
	lines   chan string
	said    []string
	deaths  []string // orders that tell them
}

func newCrash(w *world) *crash {
	c := &crash{world: w}
	c.start()
	if err := unix.Mkfifo(w.dir+"/fifo", 0o644); err != nil {
		w.Fatal(err)
	}
	return c
}

// start starts a manager and tells it the deaths since the one before.
func (c *crash) start() {
	c.Helper()
	var in, out [2]int
	if unix.Pipe2(in[:], unix.O_CLOEXEC) != nil || unix.Pipe2(out[:], unix.O_CLOEXEC) != nil {
		c.Fatal("no pipe")
	}
	attr := &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{uintptr(in[0]), uintptr(out[1]), 2}}
	pid, err := syscall.ForkExec(c.self, []string{c.self, helperArg, "manager"}, attr)
	if err != nil {
		c.Fatal(err)
	}
	unix.Close(in[0])
	unix.Close(out[1])
	c.manager, c.in, c.lines, c.said = pid, os.NewFile(uintptr(in[1]), "orders"), make(chan string, 1000), nil
	go func(lines chan string) {
		from := os.NewFile(uintptr(out[0]), "lines")
		defer from.Close()
		for s := bufio.NewScanner(from); s.Scan(); {
			lines <- s.Text()
		}
	}(c.lines)
}

func (c *crash) order(format string, args ...any) { fmt.Fprintf(c.in, format+"\n", args...) }

// spawn starts a process of token 1.
func (c *crash) spawn(expect job.ExpectKind, tmpfiles, user string, lines ...string) (pid int) {
	c.Helper()
	c.order("spawn %s", orderOf(expect, tmpfiles, user, lines...))
	pid, _ = strconv.Atoi(c.await(`spawned (\d+) \w+ <nil>`))
	return pid
}

func orderOf(expect job.ExpectKind, tmpfiles, user string, lines ...string) string {
	return fmt.Sprintf("1 %d %s %s %s", expect, tmpfiles, user, strings.Join(lines, "\x01")+"\x01")
}

// find has the manager look for what spawn started.
func (c *crash) find(want int, expect job.ExpectKind, tmpfiles, user string, lines ...string) {
	c.Helper()
	c.order("find %s", orderOf(expect, tmpfiles, user, lines...))
	if found := c.await(`found (.*)`); found != fmt.Sprint(want, " true") {
		c.Fatalf("found %s, want %d", found, want)
	}
}

// crash has another manager in the place of this one.
func (c *crash) crash() {
	c.Helper()
	c.kill()
	c.start()
}

// reexec has the manager execute itself anew.
func (c *crash) reexec() {
	c.Helper()
	c.await("up")
	unix.Kill(c.manager, unix.SIGCONT)
	c.order("reexec")
	c.await("up")
}

func (c *crash) adopt(pid string, expect job.ExpectKind, forks int) {
	c.Helper()
	c.order("adopt 1 %s %d %d", pid, expect, forks)
	c.await("adopted " + pid)
}

// await returns the first group of the first line that matches.
func (c *crash) await(pattern string) string {
	c.Helper()
	re := regexp.MustCompile("^" + pattern + "$")
	for end := time.Now().Add(patience); ; {
		for i, line := range c.said {
			if m := re.FindStringSubmatch(line); m != nil {
				c.said = append(c.said[:i], c.said[i+1:]...)
				return m[len(m)-1]
			}
		}
		select {
		case line := <-c.lines:
			c.said = append(c.said, line)
		case <-time.After(2 * time.Millisecond):
			c.reap()
		}
		if time.Now().After(end) {
			c.Fatalf("the manager does not say %s, but %q", pattern, c.said)
		}
	}
}

// reap does what a keeper does.
func (c *crash) reap() {
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil)
		if err != nil || pid <= 0 {
			return
		}
		code, status := 1, ws.ExitStatus()
		if ws.Signaled() {
			code, status = 2, int(ws.Signal())
		}
		if pid == c.manager {
			c.manager = 0
			continue
		}
		c.deaths = append(c.deaths, fmt.Sprintf("reaped %d %d %d", pid, code, status))
		if c.manager != 0 {
			c.order("%s", c.deaths[len(c.deaths)-1])
		}
	}
}

// kill kills the manager and waits until it is gone.
func (c *crash) kill() {
	c.Helper()
	unix.Kill(c.manager, unix.SIGKILL)
	c.gone("the manager is dead", func() bool { return c.manager == 0 })
	c.in.Close()
	c.deaths = nil
}

// gone waits for something that the keeper is to see.
func (c *crash) gone(what string, is func() bool) {
	c.Helper()
	for end := time.Now().Add(patience); !is(); c.reap() {
		if time.Now().After(end) {
			c.Fatal("not so in time: " + what)
		}
	}
}

// retell tells a new manager what it missed.
func (c *crash) retell() {
	for _, d := range c.deaths {
		c.order("%s", d)
	}
}

// release lets a script go on that reads from the pipe.
func (c *crash) release() {
	c.Helper()
	fd := -1
	c.gone("somebody reads the pipe", func() (ok bool) {
		var err error
		fd, err = unix.Open(c.dir+"/fifo", unix.O_WRONLY|unix.O_NONBLOCK, 0)
		return err == nil
	})
	f := os.NewFile(uintptr(fd), "fifo")
	f.WriteString("# go\n")
	f.Close()
}

func (c *crash) readLine() string { return "read x < " + c.dir + "/fifo" }

func (c *crash) there(name string) bool {
	return there(c.dir+"/"+name) == nil
}

func crashUnnoted(w *world) {
	c := newCrash(w)
	text := []string{c.readLine(), "exit 7"}
	for _, tmpfiles := range []string{"-", os.DevNull} {
		pid := c.spawn(job.ExpectNone, tmpfiles, "-", text...)
		if tmpfiles != "-" {
			c.await(fmt.Sprintf(`Executed{PID:%d}`, pid))
		}
		c.kill()
		c.start()
		c.find(pid, job.ExpectNone, tmpfiles, "-", text...)
		c.await(fmt.Sprintf(`Executed{PID:%d}`, pid))
		c.release()
		c.await(fmt.Sprintf(`Exited{PID:%d Status:7 .*}`, pid))
	}
}

func crashStage(w *world) {
	c := newCrash(w)
	pid := c.spawn(job.ExpectNone, w.dir+"/fifo", "-", "exit 7")
	c.kill()
	c.start()
	c.find(pid, job.ExpectNone, w.dir+"/fifo", "-", "exit 7")
	c.release()
	c.await(fmt.Sprintf(`Executed{PID:%d}`, pid))
	c.await(fmt.Sprintf(`Exited{PID:%d Status:7 .*}`, pid))
}

func crashStageFails(w *world) {
	c := newCrash(w)
	pid := c.spawn(job.ExpectNone, w.dir+"/fifo", "nobody-of-that-name", "exit 7")
	c.kill()
	c.start()
	c.adopt(strconv.Itoa(pid), job.ExpectNone, 0)
	c.release()
	c.await(fmt.Sprintf(`ExecFailed{PID:%d Reason:unable to .*}`, pid))
}

func crashUntaken(w *world) {
	c := newCrash(w)
	c.order("fatal")
	pid := c.spawn(job.ExpectNone, "-", "-", "exit 7")
	want := fmt.Sprintf("reaped %d 1 7", pid)
	c.gone("the keeper gets it", func() bool { return len(c.deaths) == 1 && c.deaths[0] == want && c.manager == 0 })
}

func crashEnd(w *world) {
	c := newCrash(w)
	pid := c.spawn(job.ExpectNone, "-", "-", c.readLine(), "kill -TERM $$")
	c.kill()
	c.release()
	c.gone("it ends", func() bool { return len(c.deaths) == 1 })
	c.start()
	c.adopt(strconv.Itoa(pid), job.ExpectNone, 0)
	c.retell()
	c.await(fmt.Sprintf(`Executed{PID:%d}`, pid))
	c.await(fmt.Sprintf(`Exited{PID:%d Status:%d .*}`, pid, job.Killed(job.Signal(unix.SIGTERM))))
}

func crashScript(w *world) {
	c := newCrash(w)
	long := strings.Repeat("# nothing to see here, only a line that fills pipes\x01", 4000)
	if len(long) < 3*65536 {
		w.Fatal("not long")
	}
	c.spawn(job.ExpectNone, "-", "-", c.readLine(), long+"echo all > "+w.dir+"/out.new", "mv "+w.dir+"/out.new "+w.dir+"/out")
	c.kill()
	c.release()
	c.gone("all of it runs", func() bool { return c.there("out") })
}

// self is how a script executes the helper.
func (c *crash) helper(words string) string { return "exec " + c.self + " " + helperArg + " " + words }

func crashBeforeFork(w *world) {
	c := newCrash(w)
	pid := c.spawn(job.ExpectFork, "-", "-", c.readLine(), c.helper("fork fork"))
	c.kill()
	c.start()
	c.adopt(strconv.Itoa(pid), job.ExpectFork, 0)
	c.await(fmt.Sprintf(`Executed{PID:%d}`, pid))
	c.release()
	child := c.heir(pid)
	c.await("ready " + child)
	c.rests(child)
}

// heir waits for the end of a process that another goes on for.
func (c *crash) heir(pid int) string {
	c.Helper()
	return c.await(fmt.Sprintf(`Exited{PID:%d Status:0 Heir:([1-9]\d*) .*}`, pid))
}

// rests waits until a process sleeps untraced.
func (c *crash) rests(text string) {
	c.Helper()
	pid, _ := strconv.Atoi(text)
	c.gone("it runs on, untraced", func() bool { return resting(pid, true) })
}

func crashForked(w *world) {
	c := newCrash(w)
	pid := c.spawn(job.ExpectNone, "-", "-", "sleep 1000 &", "echo $! > "+w.dir+"/pid", c.readLine(), "exit 0")
	c.gone("it has forked", func() bool { return c.there("pid") })
	c.kill()
	c.start()
	c.adopt(strconv.Itoa(pid), job.ExpectFork, 0)
	c.await(fmt.Sprintf(`Executed{PID:%d}`, pid))
	c.release()
	child := c.heir(pid)
	c.await("ready " + child)
	c.rests(child)
	if got := strings.TrimSpace(w.read("pid")); got != child {
		w.Errorf("the process is %s, want %s", child, got)
	}
}

func (w *world) read(name string) string {
	text, _ := os.ReadFile(w.dir + "/" + name)
	return string(text)
}

func crashForkedGone(w *world) {
	c := newCrash(w)
	pid := c.spawn(job.ExpectFork, "-", "-", c.readLine(), "sleep 1000 &", "exit 0")
	c.kill()
	c.release()
	c.gone("the first process ends", func() bool { return len(c.deaths) == 1 })
	c.start()
	c.adopt(strconv.Itoa(pid), job.ExpectFork, 0)
	c.retell()
	child := c.heir(pid)
	c.await("ready " + child)
	c.rests(child)
}

func crashBetweenForks(w *world) {
	c := newCrash(w)
	pid := c.spawn(job.ExpectDaemon, "-", "-", "(", c.readLine(), "sleep 1000 & ) &", "exit 0")
	second := c.heir(pid)
	c.kill()
	c.start()
	c.adopt(second, job.ExpectDaemon, 1)
	c.await(fmt.Sprintf(`Executed{PID:%s}`, second))
	c.release()
	from, _ := strconv.Atoi(second)
	child := c.heir(from)
	c.await("ready " + child)
	c.rests(child)
}

func crashStop(w *world) {
	c := newCrash(w)
	pid := c.spawn(job.ExpectStop, "-", "-", c.readLine(), "kill -STOP $$", "sleep 1000")
	c.kill()
	c.start()
	c.adopt(strconv.Itoa(pid), job.ExpectStop, 0)
	c.await(fmt.Sprintf(`Executed{PID:%d}`, pid))
	c.release()
	c.stopped(pid)
}

func crashStopped(w *world) {
	c := newCrash(w)
	pid := c.spawn(job.ExpectStop, "-", "-", c.readLine(), "touch "+w.dir+"/up", "kill -STOP $$", "sleep 1000")
	c.kill()
	c.release()
	c.gone("it is up", func() bool { return c.there("up") })
	c.start()
	c.adopt(strconv.Itoa(pid), job.ExpectStop, 0)
	c.stopped(pid)
}

func (c *crash) stopped(pid int) {
	c.await(fmt.Sprintf(`Stopped{PID:%d Signal:%d}`, pid, unix.SIGSTOP))
	unix.Kill(pid, unix.SIGCONT)
	c.rests(strconv.Itoa(pid))
}

// crashDaemonGone has nothing but the group to tell who is left: that made a
// session of its own.
func crashDaemonGone(w *world) {
	if os.Getenv(GroupsEnv) == "" {
		w.Skip("the back end has no groups")
	}
	c := newCrash(w)
	pid := c.spawn(job.ExpectDaemon, "-", "-", c.readLine(), c.self+" "+helperArg+" session sh -c 'sleep 1000 & exit 0' &", "exit 0")
	c.kill()
	c.release()
	c.gone("both processes end", func() bool { return len(c.deaths) == 2 })
	c.start()
	c.adopt(strconv.Itoa(pid), job.ExpectDaemon, 0)
	c.retell()
	child := c.heir(pid)
	c.order("detach %s", child)
	c.rests(child)
}
