package sim_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"onset/core/control"
	"onset/core/engine"
	"onset/core/job"
	"onset/platform/sim"
)

const millisecond = time.Millisecond

// pick returns one of its arguments.
func (w *walker) pick(of ...string) string { return of[w.rng.IntN(len(of))] }

// one is true in one of n cases.
func (w *walker) one(n int) bool { return w.rng.IntN(n) == 0 }

func (w *walker) job() string   { return w.pick("j0", "j1", "j2", "j3", "j4", "j5", "abstract") }
func (w *walker) event() string { return w.pick("ea", "eb", "ec") }
func (w *walker) fact() string  { return w.pick("fa", "fb", w.job()) }
func (w *walker) pair() string  { return w.pick("X=1", "X=2", "Y=a", "I=1", "I=2", "Y=") }

// class returns the text of a job file.
func (w *walker) class() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	instanced := w.one(4)
	if instanced {
		line("instance $X")
		if w.one(2) {
			line("env X=0")
		}
	}
	if !w.one(4) {
		line("start on %s", w.condition())
	}
	if w.one(2) {
		line("stop on %s", w.condition())
	}
	if w.one(5) {
		line("while %s", w.factCondition())
	}
	if w.one(8) {
		line("provides abstract")
	}
	if w.one(4) {
		line("env Y=b\nexport X Y")
	}
	w.lifecycle(line)
	w.processes(line)
	if w.one(60) {
		line("no such stanza")
	}
	return b.String()
}

func (w *walker) lifecycle(line func(string, ...any)) {
	if w.one(3) {
		line("task")
	}
	if w.one(3) {
		line("respawn")
		if w.one(2) {
			line("respawn limit %d %d", 1+w.rng.IntN(4), 1+w.rng.IntN(10))
		}
	}
	if w.one(5) {
		line("respawn delay %s", w.pick("1", "1 4", "3 20"))
	}
	if w.one(8) {
		line("respawn on %s", w.pick("failure", "always"))
	}
	if w.one(4) {
		line("start timeout %d\nstop timeout %d", 1+w.rng.IntN(8), 1+w.rng.IntN(8))
	}
	if w.one(4) {
		line("expect timeout %d", 1+w.rng.IntN(3))
	}
	if w.one(5) {
		line("normal exit %s", w.pick("0", "3", "TERM", "1 SEGV"))
	}
	if w.one(4) {
		line("kill timeout %d", w.rng.IntN(4))
	}
	if w.one(8) {
		line("kill signal %s", w.pick("INT", "KILL", "HUP"))
	}
	if w.one(3) {
		line("kill mode %s", w.pick("tree", "tree", "group", "process"))
	}
	if w.one(20) {
		line("manual")
	}
}

func (w *walker) processes(line func(string, ...any)) {
	for _, slot := range []string{"pre-start", "post-start", "pre-stop", "post-stop"} {
		if w.one(4) {
			line("%s exec %s", slot, w.hook())
		}
	}
	if w.one(8) {
		line("apparmor load profile")
	}
	if w.one(8) {
		line("apparmor switch p-$X\ncgroup memory $UPSTART_CGROUP/$Y")
	}
	if w.one(8) {
		return // abstract
	}
	if w.one(4) {
		line("health exec %s\nhealth interval %d\nhealth timeout %d\nhealth failures %d",
			w.pick("true", "false", "sleep 1s; exit 3", "hang", "leak; sleep 4s", "noexec unable to execute: No such file or directory"),
			1+w.rng.IntN(6), 1+w.rng.IntN(3), 1+w.rng.IntN(3))
	}
	if w.one(4) {
		w.notifies(line)
		return
	}
	expect := w.pick("", "", "", "stop", "fork", "daemon", "listen")
	if expect != "" {
		line("expect %s", expect)
	}
	line("exec %s%s%s", w.pick("", "", "", "ignore TERM; "), w.readying(expect), w.main())
}

// notifies makes a service that speaks sd_notify, well or not.
func (w *walker) notifies(line func(string, ...any)) {
	line("expect notify")
	if w.one(2) {
		line("watchdog %d", 1+w.rng.IntN(3))
	}
	before := w.pick("", "", "wrap; ", "daemon; ", "linger 2s 3; ", "wrap; notify MAINPID; wrap; ")
	ready := w.pick("READY=1", "MAINPID READY=1", "MAINPID READY=1", "READY=1 FDSTORE=1 FDNAME=x FILE FILE", "MAINPID STATUS=slow")
	after := w.pick("", "", "notify WATCHDOG_USEC=1500000; sleep 1s; notify WATCHDOG=1; ", "sleep 1s; notify RELOADING=1 FILE; sleep 1s; notify READY=1 WATCHDOG=1; ",
		"sleep 3s; notify FDSTORE=1 FILE EXTEND_TIMEOUT_USEC=2000000; ", "notify FDSTOREREMOVE=1 FDNAME=x; sleep 2s; notify WATCHDOG=trigger; ", "notify STOPPING=1; sleep 1s; ", "escape; ")
	line("exec %s%snotify %s; %s%s", w.pick("", "ignore TERM; "), before, ready, after, w.main())
}

func (w *walker) hook() string {
	return w.pick("true", "true", "true", "sleep 1s", "sleep 8s; exit 3", "exit 3", "die SEGV", "noexec unable to execute: No such file or directory", "hang", "leak; true", "ignore TERM; escape; true")
}

// readying is what a program does to be ready; sometimes it is wrong.
func (w *walker) readying(expect string) string {
	if w.one(6) {
		expect = w.pick("", "stop", "fork", "daemon")
	}
	switch expect {
	case "stop":
		return "sleep 100ms; stop; "
	case "fork":
		return w.pick("daemon; ", "daemon; ", "linger 1s; ", "leak; linger 3s 1; ", "wrap; ")
	case "daemon":
		return w.pick("daemon 2; ", "daemon 2; ", "daemon; exec; daemon; ", "linger 12s; daemon; ", "daemon; linger 2s; ", "linger 1s; linger 2s; ")
	}
	return ""
}

func (w *walker) main() string {
	return w.pick("hang", "hang", "hang", "sleep 2s", "sleep 1s; exit 3", "sleep 30s; die SEGV", "crash 20s; hang",
		"leak; hang", "escape; hang", "leak; escape; sleep 3s", "leak 2; linger 5s; hang", "exit 0", "sleep 100ms; exit 1", "raise TSTP; sleep 1s", "noexec unable to change working directory: Not a directory", "listen; hang")
}

func (w *walker) condition() string {
	switch w.rng.IntN(6) {
	case 0:
		return w.operand() + " and " + w.operand()
	case 1:
		return w.operand() + " or " + w.operand()
	case 2:
		return "(" + w.operand() + " or " + w.operand() + ") and " + w.operand()
	}
	return w.operand()
}

func (w *walker) operand() string {
	switch w.rng.IntN(8) {
	case 0, 1:
		return w.pick("starting", "started", "stopping", "stopped") + " " + w.job()
	case 2:
		return w.pick("stopped", "stopping") + " JOB=" + w.job() + " RESULT=" + w.pick("ok", "failed", "*")
	case 3:
		return w.event() + " " + w.pick("X=1", "X!=1", "X=$X", "Y=[ab]")
	case 4:
		return w.pick("startup", "alias", "session-end", "ea/failed", "starting/failed")
	}
	return w.event()
}

func (w *walker) factCondition() string {
	switch w.rng.IntN(5) {
	case 0:
		return w.fact() + " and " + w.fact()
	case 1:
		return w.fact() + " and not " + w.fact()
	case 2:
		return "fa X=* or fb"
	case 3:
		return "fa X=* and fb Y=a"
	}
	return w.fact()
}

// act does the action that a number stands for, and lets its consequences
// come about.
func (w *walker) act(number uint64) {
	w.rng = rand.New(rand.NewPCG(number, 3))
	if w.one(10) {
		w.tell("snapshot")
		w.manager.Snapshot()
	}
	if w.one(5) {
		w.manager.CrashIn = w.rng.IntN(60)
		w.tell("crash in %d moments", w.manager.CrashIn)
	}
	switch n := w.rng.IntN(100); {
	case n < 45:
		w.request()
	case n < 70:
		d := []time.Duration{10 * millisecond, time.Second, 6 * time.Second, 20 * time.Second}[w.rng.IntN(4)]
		w.tell("pass %v", d)
		w.manager.Pass(d)
	case n < 80:
		w.edit()
	case n < 92:
		w.disturb()
	default:
		w.fault()
	}
	w.manager.Pass(0)
}

// request lets a client ask for something, or go.
func (w *walker) request() {
	i := w.rng.IntN(len(w.conns))
	if w.one(10) {
		w.tell("client %d hangs up", w.conns[i])
		w.world.Hangup(w.conns[i])
		w.conns[i] = w.world.Connect()
		return
	}
	if !w.world.Connected(w.conns[i]) { // a manager died in the middle of a reply
		w.conns[i] = w.world.Connect()
	}
	c := w.call()
	who := control.Caller{Conn: w.conns[i], UID: w.manager.Options.UID, PID: 9}
	if w.one(4) {
		who.Session = "/srv" // counts with chroot sessions only
		c.Target.Session = who.Session
	}
	if w.one(12) {
		who.UID = 77
	}
	w.tell("client %d of %q: %s %+v", w.conns[i], who.Session, c.Method.Spec().Name, c)
	w.world.CallAs(who, c)
}

func (w *walker) call() control.Call {
	c := control.Call{Wait: !w.one(3), Replace: w.one(2)}
	switch n := w.rng.IntN(20); {
	case n < 6:
		c.Method, c.Name = control.EmitEvent, w.event()
		c.Env = w.pairs()
		if w.one(6) {
			c.Method, c.File = control.EmitEventWithFile, w.newFile()
		}
	case n < 12:
		c.Method = []control.Method{control.JobStart, control.JobStart, control.JobStop, control.JobRestart, control.JobGetInstance}[w.rng.IntN(5)]
		c.Target = control.ClassObject("", w.job())
		c.Env = w.pairs()
	case n < 15:
		c.Method = []control.Method{control.InstanceStart, control.InstanceStop, control.InstanceRestart, control.InstanceReload, control.InstanceStopForce}[w.rng.IntN(5)]
		c.Target = control.InstanceObject("", w.job(), w.pick("", "", "0", "1", "2"))
	case n < 18:
		c.Method = []control.Method{control.SetFact, control.SetFact, control.ClearFact, control.AssertFact, control.RetractFact}[w.rng.IntN(5)]
		c.Name, c.Env = w.pick("fa", "fb"), w.pairs()
		if c.Method == control.AssertFact && w.one(2) {
			c.Method, c.Name, c.File = control.AssertFactWithFile, w.pick("fa", w.event(), w.event()), w.newFile()
		}
	default:
		w.anyCall(&c)
	}
	return c
}

// anyCall makes a call of any method that ends neither session nor image.
func (w *walker) anyCall(c *control.Call) {
	c.Method = control.Method(w.rng.IntN(len(control.Methods)))
	if c.Method == control.EndSession && !w.one(4) {
		c.Method = control.GetFacts
	}
	c.Name = w.pick("", w.job(), "X", "log_priority", "goal", "ea")
	c.Env = w.pairs()
	c.Value = w.pick("debug", "info", "unix:path=/bus", "")
	if w.one(2) {
		c.Job = []string{w.job(), w.pick("", "1")}[:1+w.rng.IntN(2)]
	}
	if c.Method == control.EmitEventWithFile || c.Method == control.AssertFactWithFile {
		c.File = w.newFile()
	}
	switch c.Method.Spec().Interface {
	case control.InterfaceJob:
		c.Target = control.ClassObject("", w.job())
	case control.InterfaceInstance:
		c.Target = control.InstanceObject("", w.job(), w.pick("", "1"))
	case control.InterfaceProperties:
		w.propertyCall(c)
	case control.InterfaceIntrospect:
		c.Target = control.ClassObject("", w.job())
	}
}

// newFile returns a descriptor that nobody had before.
func (w *walker) newFile() int {
	w.lastFile++
	return w.lastFile
}

// propertyCall makes a property call as NewCall lets it through.
func (w *walker) propertyCall(c *control.Call) {
	switch w.rng.IntN(3) {
	case 0:
		c.Name = "log_priority"
	case 1:
		c.Target, c.Name = control.ClassObject("", w.job()), "start_on"
	case 2:
		c.Target, c.Name = control.InstanceObject("", w.job(), ""), "processes"
	}
	if c.Method == control.PropertySet && c.Name != "log_priority" {
		c.Method = control.PropertyGet
	}
}

func (w *walker) pairs() (env []string) {
	for !w.one(3) {
		env = append(env, w.pair())
	}
	return env
}

// edit changes a file.
func (w *walker) edit() {
	path := w.pick("/etc/init/", "/etc/init/", "/lib/init/", "/srv/etc/init/") + w.pick("j0", "j1", "j2", "j3", "j4", "j5")
	switch n := w.rng.IntN(12); {
	case n < 5:
		text := w.class()
		w.tell("file %s.conf: %q", path, text)
		w.world.WriteFile(path+".conf", text)
	case n < 7:
		w.tell("no file %s.conf", path)
		w.world.RemoveFile(path + ".conf")
	case n == 7:
		w.tell("file %s.override", path)
		w.world.WriteFile(path+".override", w.pick("manual\n", "kill timeout 1\n", "bad stanza\n", "start on ec\n"))
	case n == 8:
		w.tell("no file %s.override", path)
		w.world.RemoveFile(path + ".override")
	case n == 9:
		to := "/etc/init/" + w.pick("j0", "j1", "j2") + ".conf"
		w.tell("rename %s.conf to %s", path, to)
		w.world.RenameFile(path+".conf", to)
	case n == 10:
		text := w.pick("on ea X=1\n", "on ea or eb\n", "on alias\n", "on starting j1\n")
		w.tell("file /etc/init/alias.alias: %q", text)
		w.world.WriteFile("/etc/init/alias.alias", text)
	case w.one(3):
		w.tell("no directory /etc/init")
		w.world.RemoveSource("/etc/init")
	default:
		w.tell("file %s.conf breaks", path)
		w.world.BreakFile(path+".conf", "Input/output error")
	}
}

// disturb does something to a process, or tells init something.
func (w *walker) disturb() {
	live := w.world.Processes()
	if len(live) == 0 || w.one(6) {
		what := []engine.Request{engine.Reload, engine.ControlAltDelete, engine.PowerStatusChanged, engine.ReconnectBus,
			engine.SubreaperFailed, engine.KeyboardRequest, engine.ReExec, engine.Reload}[w.rng.IntN(8)]
		if what == engine.ReExec && w.manager.Options.Mode == engine.Session {
			what = engine.Reload // it would be no re-exec but the end
		}
		w.tell("init is told %d", what)
		w.world.Tell(what)
		return
	}
	p := live[w.rng.IntN(len(live))]
	switch w.rng.IntN(5) {
	case 4:
		w.tell("process %d has no memory", p.PID)
		w.world.Starve(p.PID)
	case 0:
		w.tell("process %d exits", p.PID)
		w.world.End(p.PID, job.Exit(w.rng.IntN(4)))
	case 1:
		w.tell("process %d dies", p.PID)
		w.world.End(p.PID, job.Killed(9))
	case 2:
		w.tell("process %d forks", p.PID)
		w.world.Fork(p.PID)
	case 3:
		sig := []job.Signal{1, 15, 18, 19}[w.rng.IntN(4)]
		w.tell("process %d gets signal %d", p.PID, sig)
		w.world.Signal(p.PID, sig)
	}
}

// fault turns bad luck on or off.
func (w *walker) fault() {
	switch w.rng.IntN(4) {
	case 0:
		w.world.Faults = sim.Faults{SpawnTemporary: 300, SpawnFailed: 50, ExecFailed: 50}
	case 1:
		w.world.Faults = sim.Faults{SpawnTemporary: 900}
	case 2:
		w.world.Faults = sim.Faults{}
	case 3:
		d := time.Duration(w.rng.IntN(7200)-3600) * time.Second
		w.world.StepWall(d)
		w.tell("the clock is set by %v", d)
		return
	}
	w.tell("faults %+v", w.world.Faults)
}
