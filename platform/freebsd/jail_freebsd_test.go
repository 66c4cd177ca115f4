package freebsd

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/job"
	"onset/platform"
	"onset/platform/posix"
)

// jailer is a manager whose jobs are in jails, with what it was told.
type jailer struct {
	t *testing.T
	*Processes
	poller  platform.Poller
	told    []engine.Msg
	notices []string
}

func newJailer(t *testing.T) *jailer {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root makes jails")
	}
	j := &jailer{t: t}
	var err error
	if j.poller, err = NewPoller(); err != nil {
		t.Fatal(err)
	}
	j.Processes, err = NewProcesses(j.poller, Options{Umask: 0o022, Alone: true, Warn: func(s string) { t.Errorf("warned: %s", s) },
		Notice: func(_ uint64, text string) { j.notices = append(j.notices, text) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		posix.Jails(func(jid int, name string) {
			if _, ok := j.isolation.tokenOf(name); ok {
				t.Errorf("the jail %s is left", name)
				posix.RemoveJail(jid)
			}
		})
		for _, name := range posix.Trees() {
			t.Errorf("mounts of %s are left", name)
			posix.RemoveTree(name)
		}
	})
	return j
}

// until collects until something of a kind was told, and returns it.
func until[M engine.Msg](j *jailer, is func(M) bool) (found M) {
	j.t.Helper()
	eventually(j.t, "it is not told", func() bool {
		j.poller.Wait(10 * time.Millisecond)
		for j.Collect(func(m engine.Msg) { j.told = append(j.told, m) }) {
		}
		for n, m := range j.told {
			if m, ok := m.(M); ok && is(m) {
				found = m
				j.told = slices.Delete(j.told, n, n+1)
				return true
			}
		}
		return false
	})
	return found
}

// jailSpec is this binary in a role, isolated.
func jailSpec(role string, i job.Isolation) *job.Spec {
	self, _ := os.Executable()
	return &job.Spec{Slot: job.Main, Env: []string{"PATH=/bin"}, Process: job.Process{Text: self + " " + limitedArg + " = " + role},
		Attrs: job.Attrs{Umask: -1, Isolation: &i}}
}

func (j *jailer) start(token uint64, s *job.Spec) (pid int) {
	j.t.Helper()
	started, err := j.Spawn(token, s, platform.Streams{Log: -1})
	if err != nil {
		j.t.Fatal(err)
	}
	if !started.Executed {
		until(j, func(m engine.Executed) bool { return m.PID == started.PID })
	}
	return started.PID
}

var inJail = job.Isolation{Namespaces: []job.Namespace{{Kind: "pid"}, {Kind: "net", Optional: true}}, Private: []string{"tmp"}}

func TestJailOfASpawn(t *testing.T) {
	j := newJailer(t)
	const token = 4711
	pid := j.start(token, jailSpec("sleep", inJail))
	jid := j.isolation.jid(token)
	if k, ok := look(pid); !ok || jid == 0 || k.int(kinfoJail) != jid {
		t.Errorf("the process is not in the jail %d", jid)
	}
	if got := j.TokenOf(pid); got != token {
		t.Errorf("it is of %d", got)
	}
	eventually(t, "it uses nothing", func() bool {
		u := j.Usage(token)
		return u != nil && *u.PIDs > 0 && *u.Memory > 1<<20 && *u.CPU > 0
	})
	if len(posix.Trees()) != 1 || len(j.Tree(token, pid)) != 1 || len(j.notices) > 0 {
		t.Errorf("mounts %v, tree %v, told %q", posix.Trees(), j.Tree(token, pid), j.notices)
	}
	j.Kill(token, pid, job.Signal(unix.SIGTERM), engine.Process)
	if e := until(j, func(m engine.Exited) bool { return m.PID == pid }); e.Left != 0 {
		t.Errorf("it leaves %d", e.Left)
	}
	eventually(t, "the jail is left", func() bool { j.Collect(func(engine.Msg) {}); return j.isolation.jid(token) == 0 })
}

// TestTreeInAJail ends a job whose processes do not want that.
func TestTreeInAJail(t *testing.T) {
	j := newJailer(t)
	const token = 4712
	pid := j.start(token, jailSpec("family", inJail))
	eventually(t, "it makes no others", func() bool { return len(j.Tree(token, pid)) == 3 })
	unix.Kill(pid, unix.SIGKILL)
	if e := until(j, func(m engine.Exited) bool { return m.PID == pid }); e.Left != 2 {
		t.Errorf("it leaves %d", e.Left)
	}
	j.Kill(token, 0, job.Signal(unix.SIGKILL), engine.Tree)
	until(j, func(m engine.Emptied) bool { return m.Token == token })
}

// TestJailLeftByAManager has a job live on under the next manager, and its jail
// go with it, whether the next one knows of the job or not.
func TestJailLeftByAManager(t *testing.T) {
	for _, known := range []bool{true, false} {
		j := newJailer(t)
		const token = 4713
		pid := j.start(token, jailSpec("sleep", inJail))

		next := newIsolation("onset", j.Warn, func(uint64, string) {})
		if jid := next.jid(token); jid == 0 {
			t.Error("the next manager does not find the jail")
		}
		next.takeOver(map[uint64]bool{token: known})
		if jid := j.isolation.jid(token); jid == 0 || len(posix.Trees()) != 1 {
			t.Errorf("known %v: what lives has lost its jail", known)
		}
		if jid := next.jid(token); known && jid != j.isolation.jid(token) {
			t.Errorf("the next manager knows jail %d", jid)
		}
		unix.Kill(pid, unix.SIGKILL)
		var status syscall.WaitStatus
		syscall.Wait4(pid, &status, 0, nil)
		next.release(token)
	}
}

// TestAbandonedJail is one whose exec stage died before it was in there.
func TestAbandonedJail(t *testing.T) {
	j := newJailer(t)
	const token = 4714
	s := jailSpec("sleep", inJail)
	s.Debug = true // stops before its program, in the jail
	started, err := j.Spawn(token, s, platform.Streams{Log: -1})
	if err != nil {
		t.Fatal(err)
	}
	until(j, func(m engine.Stopped) bool { return m.PID == started.PID })
	unix.Kill(started.PID, unix.SIGKILL)
	until(j, func(m engine.Exited) bool { return m.PID == started.PID })
}

func TestFailedJailLeavesNothing(t *testing.T) {
	j := newJailer(t)
	i := inJail
	i.Hide = []string{"/etc", "/none"}
	started, err := j.Spawn(4715, jailSpec("sleep", i), platform.Streams{Log: -1})
	if err != nil {
		t.Fatal(err)
	}
	e := until(j, func(m engine.ExecFailed) bool { return m.PID == started.PID })
	if want := "unable to isolate: hide /none: No such file or directory"; e.Reason != want {
		t.Errorf("failed with %q", e.Reason)
	}
	eventually(t, "mounts are left", func() bool { j.Collect(func(engine.Msg) {}); return len(posix.Trees()) == 0 })
}

// TestLimitedSpawn is killed for want of memory, and says so.
func TestLimitedSpawn(t *testing.T) {
	limiter(t)
	j := newJailer(t)
	s := jailSpec("eat", inJail)
	s.Attrs.Cgroups = limitSpec("upstart/hungry", "memory", "limit_in_bytes", "64M").Attrs.Cgroups
	pid := j.start(4716, s)
	e := until(j, func(m engine.Exited) bool { return m.PID == pid })
	if e.Status != job.Killed(job.Signal(unix.SIGKILL)) || !e.OOM {
		t.Errorf("ended with %+v", e)
	}
	if text, _ := rctl(unix.SYS_RCTL_GET_RULES, "loginclass:onset/hungry"); text != "" {
		t.Errorf("rules are left: %s", text)
	}
}

// TestListenInAJail hears of addresses in the network of a job, which no list
// of the machine has.
func TestListenInAJail(t *testing.T) {
	j := newJailer(t)
	dir, self := t.TempDir(), ""
	self, _ = os.Executable()
	h := &heard{}
	l := j.NewListens(j.poller, nil, h).(*Listens)
	s := jailSpec("", job.Isolation{Namespaces: []job.Namespace{{Kind: "net"}}})
	s.Process.Text = strings.Join([]string{self, listenArg, dir + "/first", "tcp=127.0.0.1:8103", dir + "/second", "tcp=127.0.0.1:8102"}, " ")
	const token = 4717
	pid := j.start(token, s)
	if err := l.Watch(token, "*:8102", -1); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(dir+"/first", nil, 0o600)
	eventually(t, "it does not listen", func() bool { return listensAt(pid, posix.ListenAddress{}, nil, true) })
	if l.due(); h.story != "" {
		t.Errorf("told %q of another address", h.story)
	}
	os.WriteFile(dir+"/second", nil, 0o600)
	eventually(t, "it is not told", func() bool { j.poller.Wait(10 * time.Millisecond); return h.story == "LU" })
	j.Kill(token, pid, job.Signal(unix.SIGKILL), engine.Tree)
	until(j, func(m engine.Exited) bool { return m.PID == pid })
}
