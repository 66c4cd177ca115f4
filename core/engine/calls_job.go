package engine

import (
	"onset/core/cause"
	"onset/core/control"
	"onset/core/env"
	"onset/core/job"
)

// answerClass handles the requests on a class (UPSTART §6.4).
func (e *Engine) answerClass(r *request, c *Class) *control.Reply {
	switch r.Method {
	case control.JobGetInstance:
		j, err := e.lookup(r, c, r.Method)
		if err != nil {
			return failed(err)
		}
		return values(j.object().Path())
	case control.JobGetInstanceByName:
		j := c.instance(r.Name)
		if j == nil {
			return failed(control.UnknownInstance(r.Name))
		}
		return values(j.object().Path())
	case control.JobGetAllInstances:
		paths := []control.ObjectPath{}
		for _, j := range c.Instances {
			paths = append(paths, j.object().Path())
		}
		return values(paths)
	case control.ObjectIntrospect:
		var children []string
		for _, j := range c.Instances {
			children = append(children, control.Escape(j.Name))
		}
		return values(control.Introspect(r.Target, children))
	case control.PropertyGet, control.PropertySet, control.PropertyGetAll:
		return e.answerProperty(r, c.property)
	}
	if c.Session != r.Session {
		return failed(control.SessionMismatch(c.Def.Name))
	}
	switch r.Method {
	case control.JobStart:
		return e.startJob(r, c)
	case control.JobStop:
		return e.stopJob(r, c)
	default:
		return e.restartJob(r, c)
	}
}

// expandName expands the instance pattern of a class with the variables of a
// request (UPSTART §1.7).
func (e *Engine) expandName(r *request, c *Class, usage bool) (string, env.Table, *control.Error) {
	vars := e.classEnv(c).Merge(r.Env)
	name, err := env.Expand(c.Def.Instance, vars.Lookup)
	if err != nil {
		text := ""
		if usage {
			text = c.Def.Usage
		}
		return "", nil, control.ExpansionFailed(err.Error(), text)
	}
	return name, vars, nil
}

// lookup returns the instance that a request's variables name.
func (e *Engine) lookup(r *request, c *Class, m control.Method) (*Instance, *control.Error) {
	name, _, err := e.expandName(r, c, m == control.JobGetInstance)
	if err != nil {
		return nil, err
	}
	j := c.instance(name)
	if j == nil {
		return nil, control.UnknownInstance(name)
	}
	return j, nil
}

func (e *Engine) startJob(r *request, c *Class) *control.Reply {
	name, vars, err := e.expandName(r, c, true)
	if err != nil {
		return e.refuse(r, c, "", err)
	}
	j := c.instance(name)
	if j != nil && j.Goal == job.GoalStart {
		return e.refuse(r, c, name, control.AlreadyStarted(j.String()))
	}
	with, allowed := e.mayRun(c, name, vars)
	if !allowed {
		return e.refuse(r, c, name, e.conditionNotMet(c, name, vars))
	}
	e.asked(r, "start")
	if j == nil {
		j = e.newInstance(c, name)
	}
	e.prepare(j, with, nil)
	return e.begin(r, j, job.VerbStart, true)
}

// begin turns an instance to start on behalf of a request and answers it, now
// or when it is done.
func (e *Engine) begin(r *request, j *Instance, verb job.Verb, classLevel bool) *control.Reply {
	reply := e.waitFor(r, j, verb, classLevel)
	if j.Goal != job.GoalRespawn { // it is on its way already
		e.changeGoal(j, job.GoalStart)
	}
	return reply
}

// waitFor lets the old waiters of an instance go and makes the request one of
// its waiters if it asks for that. It returns the answer otherwise.
func (e *Engine) waitFor(r *request, j *Instance, verb job.Verb, classLevel bool) *control.Reply {
	e.finishWaiters(j, true)
	call := &job.Call{ID: r.ID, Conn: r.Conn, Verb: verb}
	if classLevel && verb != job.VerbStop {
		call.Path = string(j.object().Path())
	}
	if r.Wait {
		j.Waiters = append(j.Waiters, job.Waiter{Call: call})
		return nil
	}
	reply := outcome(call, true)
	return &reply
}

// refuse turns a request down and remembers that.
func (e *Engine) refuse(r *request, c *Class, name string, err *control.Error) *control.Reply {
	e.asked(r, r.Method.Spec().Name+" refused: "+err.Message)
	e.record(c, cause.Refuse, name)
	return failed(err)
}

// conditionNotMet says why the fact expression of a class forbids an instance
// with these variables.
func (e *Engine) conditionNotMet(c *Class, name string, vars env.Table) *control.Error {
	return control.ConditionNotMet(control.JobName(c.Def.Name, name), c.Def.While.String(), e.facts.False(c.Def.While, e.view(c, vars)))
}

func (e *Engine) stopJob(r *request, c *Class) *control.Reply {
	j, err := e.lookup(r, c, r.Method)
	if err != nil {
		return failed(err)
	}
	return e.stopAsked(r, j, env.Table(r.Env).Clone(), true)
}

func (e *Engine) stopAsked(r *request, j *Instance, vars env.Table, classLevel bool) *control.Reply {
	if j.Goal == job.GoalStop {
		return e.refuse(r, j.class, j.Name, control.AlreadyStopped(j.String()))
	}
	e.asked(r, "stop")
	j.StopEnv = vars
	reply := e.waitFor(r, j, job.VerbStop, classLevel)
	e.changeGoal(j, job.GoalStop)
	return reply
}

func (e *Engine) restartJob(r *request, c *Class) *control.Reply {
	j, err := e.lookup(r, c, r.Method)
	if err != nil {
		return failed(err)
	}
	vars := e.classEnv(c).Merge(r.Env)
	return e.restartAsked(r, j, j.Name, vars, true)
}

// restartAsked is stop and at once start on the same instance (UPSTART §2.5).
// A pre-stop process delays it but no longer prevents it (DECISIONS 1).
func (e *Engine) restartAsked(r *request, j *Instance, shown string, vars env.Table, classLevel bool) *control.Reply {
	if j.Goal == job.GoalStop {
		return e.refuse(r, j.class, j.Name, control.AlreadyStopped(shown))
	}
	e.asked(r, "restart")
	reply := e.waitFor(r, j, job.VerbRestart, classLevel)
	e.changeGoal(j, job.GoalStop)
	if vars != nil {
		files := j.Files
		if j.StartEnv != nil {
			files = j.StartFiles
		}
		e.prepare(j, vars, files)
	}
	restarting := j.State == job.InPreStop
	e.changeGoal(j, job.GoalStart)
	j.Restarting = restarting
	return reply
}

// answerInstance handles the requests on an instance (UPSTART §6.5).
func (e *Engine) answerInstance(r *request, j *Instance) *control.Reply {
	switch r.Method {
	case control.PropertyGet, control.PropertySet, control.PropertyGetAll:
		return e.answerProperty(r, func(name string) any { return j.property(name, e.s.Clock) })
	case control.ObjectIntrospect:
		return values(control.Introspect(r.Target, nil))
	}
	if j.Session != r.Session {
		return failed(control.SessionMismatch(j.Class.Name))
	}
	switch r.Method {
	case control.InstanceStart:
		return e.startInstance(r, j)
	case control.InstanceStop:
		return e.stopAsked(r, j, nil, false)
	case control.InstanceRestart:
		return e.restartAsked(r, j, j.String(), nil, false)
	case control.InstanceStopForce:
		return e.stopForce(r, j)
	case control.InstanceGetTree:
		return e.inspect(r, j)
	default:
		return e.reload(j)
	}
}

func (e *Engine) startInstance(r *request, j *Instance) *control.Reply {
	if j.Goal == job.GoalStart {
		return e.refuse(r, j.class, j.Name, control.AlreadyStarted(j.String()))
	}
	if _, allowed := e.mayRun(j.class, j.Name, j.Env); !allowed {
		return e.refuse(r, j.class, j.Name, e.conditionNotMet(j.class, j.Name, j.Env))
	}
	e.asked(r, "start")
	return e.begin(r, j, job.VerbStart, false)
}

// inspect has the platform look at the processes of an instance.
func (e *Engine) inspect(r *request, j *Instance) *control.Reply {
	var spawns []SlotSpawn
	for slot, p := range j.Live {
		if p.PID != 0 {
			spawns = append(spawns, SlotSpawn{job.Slot(slot).String(), p.Token, p.PID})
		}
	}
	for _, token := range j.Remembered() {
		spawns = append(spawns, SlotSpawn{Slot: "left behind", Token: token})
	}
	e.do(Inspect{r.ID, r.Conn, spawns})
	return nil
}

// stopForce stops an instance and ends what it waits for: a hung hook, a main
// process that is not ready or within its kill timeout, and with kill modes
// that allow it all they left (DECISIONS 13).
func (e *Engine) stopForce(r *request, j *Instance) *control.Reply {
	e.asked(r, "stop --force")
	reply := e.waitFor(r, j, job.VerbStop, false)
	e.changeGoal(j, job.GoalStop)
	j.Sweep, j.Force, j.KillDue = true, true, 0
	for slot, p := range j.Live {
		if p.PID != 0 {
			e.killSlot(j, job.Slot(slot))
		}
	}
	e.signalLeft(j, e.killSignal())
	return reply
}

func (e *Engine) reload(j *Instance) *control.Reply {
	pid := j.Proc(job.Main).PID
	if pid == 0 {
		return failed(control.NotRunning(j.String()))
	}
	e.do(Kill{j.Proc(job.Main).Token, pid, j.Class.ReloadSignal, Process})
	return ok
}
