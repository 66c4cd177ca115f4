package snapshot

import (
	"strings"
	"time"

	"onset/core/cause"
	"onset/core/control"
	"onset/core/engine"
	"onset/core/event"
	"onset/core/expr"
	"onset/core/job"
)

var (
	goalNames  = []string{"JOB_STOP", "JOB_START", "JOB_RESPAWN"}
	stateNames = []string{"JOB_WAITING", "JOB_STARTING", "JOB_SECURITY_SPAWNING", "JOB_SECURITY", "JOB_PRE_STARTING",
		"JOB_PRE_START", "JOB_SPAWNING", "JOB_SPAWNED", "JOB_POST_STARTING", "JOB_POST_START", "JOB_RUNNING",
		"JOB_PRE_STOPPING", "JOB_PRE_STOP", "JOB_STOPPING", "JOB_KILLED", "JOB_POST_STOPPING", "JOB_POST_STOP"}
	slotNames = []string{"PROCESS_INVALID", "PROCESS_MAIN", "PROCESS_PRE_START", "PROCESS_POST_START",
		"PROCESS_PRE_STOP", "PROCESS_POST_STOP", "PROCESS_SECURITY", "PROCESS_HEALTH"}
	traceNames = []string{"TRACE_NONE", "TRACE_NEW", "TRACE_NEW_CHILD", "TRACE_NORMAL"}
	operNames  = []string{"EVENT_MATCH", "EVENT_AND", "EVENT_OR"}
)

func (d *dump) job(o *object, c *engine.Class, p **engine.Instance) {
	if o.reading() {
		d.s.LastInstance++
		*p = &engine.Instance{Instance: job.Instance{ID: d.s.LastInstance, Class: c.Def, Session: c.Session, Overdue: job.NoSlot}}
	}
	j := *p
	o.str("name", &j.Name)
	path := objectPath(control.InstanceObject(c.Session, c.Def.Name, j.Name))
	o.str("path", &path)
	name(o, "goal", &j.Goal, job.GoalStop, goalNames)
	name(o, "state", &j.State, job.Waiting, stateNames)
	o.strs("env", (*[]string)(&j.Env))
	o.strs("start_env", (*[]string)(&j.StartEnv))
	o.strs("stop_env", (*[]string)(&j.StopEnv))
	d.stopCondition(o, c, j)
	descriptors(o, "fds", &j.Files)
	d.pids(o, j)
	if o.has("blocker", j.Blocker != 0) {
		d.eventIndex(o, "blocker", &j.Blocker)
	}
	d.jobBlocking(o, j)
	d.killTimer(o, j)
	d.outcome(o, j)
	d.processes(o, j)
	d.jobExtra(o, j)
}

// stopCondition visits what the stop on of an instance holds.
func (d *dump) stopCondition(o *object, c *engine.Class, j *engine.Instance) {
	tree := c.StopOn
	if o.reading() {
		j.StopHeld = make([]event.ID, len(tree))
	}
	if o.has("stop_on", tree != nil) {
		held := j.StopHeld
		d.condition(o, "stop_on", &tree, &held)
		if sameShape(tree, c.StopOn) {
			j.StopHeld = held
		}
	}
}

// sameShape reports whether what one condition holds fits the other.
func sameShape(a, b expr.Tree) bool {
	for i := range min(len(a), len(b)) {
		if a[i].Op != b[i].Op || a[i].Name != b[i].Name {
			return false
		}
	}
	return len(a) == len(b)
}

// oper is one node of a condition.
type oper struct {
	expr.Node
	value bool
	held  event.ID
}

// condition visits a condition with the event each operand holds. Older
// versions have its text instead.
func (d *dump) condition(o *object, key string, t *expr.Tree, held *[]event.ID) {
	var list []oper
	for i, n := range *t {
		list = append(list, oper{Node: n, held: (*held)[i]})
		truth(list, *t, i)
	}
	if text, ok := o.in[key].(string); ok {
		*t = d.parseCondition(o, key, text)
		*held = make([]event.ID, len(*t))
		return
	}
	each(o, key, &list, d.oper)
	if !o.reading() {
		return
	}
	*t, *held = nil, nil
	for _, x := range list {
		*t, *held = append(*t, x.Node), append(*held, x.held)
	}
	if !isExpression(*t) {
		o.failf(key, "is no expression")
		*t = nil
	}
}

// truth sets the value of the node at i.
func truth(list []oper, t expr.Tree, i int) {
	switch t[i].Op {
	case expr.And:
		list[i].value = list[t.Left(i)].value && list[i-1].value
	case expr.Or:
		list[i].value = list[t.Left(i)].value || list[i-1].value
	default:
		list[i].value = list[i].held != 0
	}
}

func (d *dump) oper(o *object, x *oper) {
	name(o, "type", &x.Op, expr.Match, operNames)
	o.flag("value", &x.value)
	if x.Op != expr.Match {
		return
	}
	o.str("name", &x.Name)
	if o.has("env", x.Args != nil) {
		o.strs("env", &x.Args)
	}
	if o.has("event", x.held != 0) {
		d.eventIndex(o, "event", &x.held)
	}
}

// pids visits the processes. Older versions have no security process.
func (d *dump) pids(o *object, j *engine.Instance) {
	pids := make([]int, knownSlots)
	for slot := range pids {
		pids[slot] = j.Proc(job.Slot(slot)).PID
	}
	nums(o, "pid", &pids)
	if !o.reading() {
		return
	}
	for slot, pid := range pids[:min(len(pids), knownSlots)] {
		if pid > 0 {
			d.s.LastToken++
			*j.At(job.Slot(slot)) = job.Proc{Token: d.s.LastToken, PID: pid}
		}
	}
}

// jobBlocking visits the events that wait for an instance.
func (d *dump) jobBlocking(o *object, j *engine.Instance) {
	var list []blocked
	for _, w := range j.Waiters {
		if w.Call == nil {
			list = append(list, blocked{kind: 1, ID: w.Event})
		}
	}
	if o.has("blocking", list != nil) {
		each(o, "blocking", &list, d.blocked)
	}
	for i := 0; o.reading() && i < len(list); i++ {
		if b := list[i]; b.ID != 0 {
			j.Waiters = append(j.Waiters, job.Waiter{Event: b.ID})
		}
	}
}

// killTimer visits when a stubborn process is killed.
func (d *dump) killTimer(o *object, j *engine.Instance) {
	if o.has("kill_timer", j.KillDue != 0) {
		timeout := j.Class.KillTimeout
		o.sub("kill_timer", func(o *object) {
			number(o, "timeout", &timeout)
			seconds(o, "due", &j.KillDue)
		})
	}
	slot := j.KillSlot
	if j.KillDue == 0 {
		slot = job.NoSlot
	}
	if name(o, "kill_process", &slot, job.NoSlot, slotNames); o.reading() && slot != job.NoSlot {
		j.KillSlot = slot
	}
}

// seconds visits a moment; one that is set never becomes 0.
func seconds(o *object, key string, t *time.Duration) {
	n := int64((*t + time.Second - 1) / time.Second)
	number(o, key, &n)
	if !o.reading() {
		return
	}
	if *t = time.Duration(n) * time.Second; *t/time.Second != time.Duration(n) {
		o.failf(key, "is out of range")
	}
}

func (d *dump) outcome(o *object, j *engine.Instance) {
	o.flag("failed", &j.Failed)
	name(o, "failed_process", &j.FailedSlot, job.NoSlot, slotNames)
	number(o, "exit_status", &j.FailedStatus)
	seconds(o, "respawn_time", &j.RespawnSince)
	number(o, "respawn_count", &j.RespawnCount)
	number(o, "trace_forks", &j.TraceForks)
	name(o, "trace_state", &j.TraceState, job.TraceNone, traceNames)
}

// knownSlots is how many slots the format has.
const knownSlots = int(job.Security) + 1

// What stands for a log or a set-up that is not there, for every slot.
var (
	noLogs = []byte("[" + strings.Repeat(`,{"path":null}`, knownSlots)[1:] + "]")
	noData = []byte("[" + strings.Repeat(",null", knownSlots)[1:] + "]")
)

// processes visits the logs and the set-up of processes, which belong to the
// platform here.
func (d *dump) processes(o *object, j *engine.Instance) {
	if !o.reading() {
		o.raw("log", noLogs)
		o.raw("process_data", noData)
		return
	}
	get[[]any](o, "log")
	for slot, data := range get[[]any](o, "process_data") {
		if data != nil && slot < knownSlots {
			d.warnf("The %s process of %s was being set up", job.Slot(slot), j)
		}
	}
}

// jobExtra visits what the format cannot say about an instance. Of its cause
// the chain is kept, nearest first.
func (d *dump) jobExtra(o *object, j *engine.Instance) {
	if !o.has("onset", true) {
		return
	}
	o.sub("onset", func(o *object) {
		o.flag("restarting", &j.Restarting)
		descriptors(o, "start_fds", &j.StartFiles)
		fileNames(o, "fd_names", j.Files)
		fileNames(o, "start_fd_names", j.StartFiles)
		d.limits(o, j)
		d.service(o, j)
		var chain []cause.Cause
		for c := j.Cause; c != nil; c = c.Parent {
			chain = append(chain, *c)
		}
		if each(o, "causes", &chain, d.cause); !o.reading() {
			return
		}
		for i := len(chain) - 1; i >= 0 && len(chain) <= cause.MaxDepth; i-- {
			c := &chain[i]
			c.Parent, j.Cause = j.Cause, c
			c.Depth = len(chain) - i
		}
	})
}

// descriptors visits files without their names, for which Upstart has no place.
func descriptors(o *object, key string, files *[]job.NamedFile) {
	var fds []int
	for _, f := range *files {
		fds = append(fds, f.File)
	}
	if nums(o, key, &fds); !o.reading() {
		return
	}
	for _, fd := range fds {
		*files = append(*files, job.NamedFile{Name: "event", File: fd})
	}
}

// fileNames visits the names.
func fileNames(o *object, key string, files []job.NamedFile) {
	var names []string
	for _, f := range files {
		names = append(names, f.Name)
	}
	if !o.has(key, names != nil) {
		return
	}
	o.strs(key, &names)
	for i := range min(len(files), len(names)) {
		files[i].Name = names[i]
	}
}

// limits visits the time limits of an instance, and its way to the next
// respawn.
func (d *dump) limits(o *object, j *engine.Instance) {
	seconds(o, "due", &j.Due)
	name(o, "overdue", &j.Overdue, job.NoSlot, slotNames)
	seconds(o, "run_since", &j.RunSince)
	number(o, "delay", &j.Delay)
	o.flag("delayed", &j.Delayed)
}

var phaseNames = []string{"", "reloading", "stopping"}

// service visits what main says of itself and how it is watched, if there is
// any of that.
func (d *dump) service(o *object, j *engine.Instance) {
	r, h, health := &j.Report, &j.Checkup, j.Proc(job.Health).PID
	if !o.has("service", *r != job.Report{} || *h != job.Checkup{} || j.Starved || j.SignDue != 0 || j.Stored != nil) {
		return
	}
	o.sub("service", func(o *object) {
		o.str("text", &r.Text)
		name(o, "phase", &r.Phase, job.NoPhase, phaseNames)
		number(o, "watchdog", &r.Watchdog)
		number(o, "fed", &r.Fed)
		seconds(o, "watchdog_due", &r.Due)
		number(o, "first", &r.First)
		number(o, "health_pid", &health)
		seconds(o, "health_due", &h.Due)
		number(o, "health_failures", &h.Failures)
		o.flag("health_late", &h.Late)
		number(o, "health_status", &h.Status)
		o.flag("starved", &j.Starved)
		number(o, "sign_due", &j.SignDue)
		each(o, "stored", &j.Stored, func(o *object, f *job.NamedFile) {
			o.str("name", &f.Name)
			number(o, "fd", &f.File)
		})
	})
	if o.reading() && health > 0 {
		d.s.LastToken++
		*j.At(job.Health) = job.Proc{Token: d.s.LastToken, PID: health}
	}
}

var causeKinds = func() (names []string) {
	for k := cause.Init; k <= cause.Cut; k++ {
		names = append(names, k.String())
	}
	return names
}()

func (d *dump) cause(o *object, c *cause.Cause) {
	number(o, "mono", &c.At.Mono)
	number(o, "wall", &c.At.Wall)
	name(o, "kind", &c.Kind, cause.Init, causeKinds)
	o.str("text", &c.Text)
	if o.has("uid", c.Person != nil) {
		if o.reading() {
			c.Person = new(cause.Person)
		}
		number(o, "uid", &c.Person.UID)
		number(o, "pid", &c.Person.PID)
		o.str("command", &c.Person.Command)
	}
}
