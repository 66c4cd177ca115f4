package platformtest

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"onset/core/job"
)

// crashReady has the main process of a job that is ready end long after, in a
// manager that never traced it.
func crashReady(w *world) {
	c := newCrash(w)
	pid := c.spawn(job.ExpectFork, "-", "-", "sleep 1000 &", w.saying("pid"), c.readLine(), "exit 0")
	c.gone("it has forked", func() bool { return c.there("pid") })
	c.crash()
	c.order("keep 1 %d %d", pid, job.ExpectFork)
	c.release()
	child := c.await(fmt.Sprintf(`Exited{PID:%d Status:0 Heir:([1-9]\d*) Forks:0 .*}`, pid))
	if got := strings.TrimSpace(w.read("pid")); got != child {
		w.Errorf("the heir is %s, want %s", child, got)
	}
	heir, _ := strconv.Atoi(child)
	unix.Kill(heir, unix.SIGKILL)
	c.await(fmt.Sprintf(`Exited{PID:%d Status:%d Heir:0 .*}`, heir, job.Killed(job.Signal(unix.SIGKILL))))
}

// manyStates is a script whose processes are being born, executed, stopped and
// waited for by one that used vfork, which has most descendants.
func (c *crash) manyStates() []string {
	self := c.self + " " + helperArg
	return []string{
		self + " weather " + c.dir + "/calm report " + c.dir + "/out &",
		self + " fork vfork &", c.saying("vfork"),
		"sh -c 'kill -STOP $$; sleep 1000' &", c.saying("stopped"),
		c.readLine(), "exit 0",
	}
}

// crashStates loses the tracer of a tree in all states: with some stopped for
// it, since it does not run. All run on then, and another takes over.
func crashStates(w *world, lose func(*crash)) {
	c := newCrash(w)
	pid := c.spawn(job.ExpectFork, "-", "-", c.manyStates()...)
	c.gone("it forks", func() bool { return c.there("stopped") })
	vfork, stopped := w.idIn("vfork"), w.idIn("stopped")
	c.gone("it is stopped", func() bool { return inState(stopped, "T") || inState(stopped, "t") })
	c.gone("it waits for a vfork", func() bool { return childOf(vfork) != 0 })
	unix.Kill(c.manager, unix.SIGSTOP)
	c.gone("some wait for the tracer", func() bool { return !traces || len(held()) > 0 })
	lose(c)
	c.adopt(strconv.Itoa(pid), job.ExpectFork, 0)
	c.calm()
	c.release()
	if heir := c.heir(pid); heir != fmt.Sprint(vfork) {
		c.Errorf("the heir is %s, want %d", heir, vfork)
	}
	c.allGo(vfork, stopped)
}

// calm ends the storm.
func (c *crash) calm() {
	c.Helper()
	os.WriteFile(c.dir+"/calm", nil, 0o666)
	c.gone("the storm is over", func() bool { return c.there("out") })
}

// allGo checks that nothing is traced, but for who waits for a vfork until
// that is over, and that only a signal keeps a process stopped.
func (c *crash) allGo(vfork, stopped int) {
	c.Helper()
	unix.Kill(childOf(vfork), unix.SIGKILL)
	c.gone("nothing is traced", func() bool { return len(traced()) == 0 })
	c.gone("the stop lasts", func() bool { return inState(stopped, "T") })
	unix.Kill(stopped, unix.SIGCONT)
	c.rests(strconv.Itoa(stopped))
}

// reexecReady lets a tree go that is traced by the image before.
func reexecReady(w *world) {
	c := newCrash(w)
	pid := c.spawn(job.ExpectFork, "-", "-", c.manyStates()...)
	c.gone("it forks", func() bool { return c.there("stopped") })
	vfork, stopped := w.idIn("vfork"), w.idIn("stopped")
	c.gone("it waits for a vfork", func() bool { return childOf(vfork) != 0 })
	c.reexec()
	c.order("keep 1 %d %d", pid, job.ExpectFork)
	c.await(fmt.Sprint("adopted ", pid))
	c.allGo(vfork, stopped)
	c.calm()
}
