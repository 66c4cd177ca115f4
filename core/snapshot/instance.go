package snapshot

import (
	"onset/core/engine"
	"onset/core/event"
	"onset/core/job"
)

// instance visits all that an instance does not have from its class.
func (c *codec) instance(j *engine.Instance) {
	num(c, &j.ID)
	c.word(&j.Name)
	enum(c, &j.Goal, job.GoalRespawn)
	enum(c, &j.State, job.NumStates-1)
	list(c, &j.Env, (*codec).word)
	list(c, &j.StopEnv, (*codec).word)
	c.eventFiles(&j.Files)
	list(c, &j.StartEnv, (*codec).word)
	c.eventFiles(&j.StartFiles)
	list(c, &j.StopHeld, num[event.ID])
	slots := job.NumSlots
	if c.version < 3 {
		slots = int(job.Security) + 1
	}
	procs := make([]job.Proc, slots)
	copy(procs, j.Live)
	fill(c, procs, (*codec).proc)
	for slot, p := range procs {
		if c.reading && p != (job.Proc{}) {
			*j.At(job.Slot(slot)) = p
		}
	}
	num(c, &j.Blocker)
	list(c, &j.Waiters, (*codec).waiter)
	num(c, &j.KillDue)
	c.slot(&j.KillSlot)
	c.bool(&j.Failed)
	c.slot(&j.FailedSlot)
	num(c, &j.FailedStatus)
	num(c, &j.RespawnSince)
	num(c, &j.RespawnCount)
	num(c, &j.TraceForks)
	enum(c, &j.TraceState, job.TraceNormal)
	c.bool(&j.Restarting)
	list(c, &j.Dependents, num[job.ID])
	c.cause(&j.Cause)
	if c.version < 2 {
		j.Overdue = job.NoSlot
		return
	}
	num(c, &j.Due)
	c.slot(&j.Overdue)
	num(c, &j.RunSince)
	num(c, &j.Delay)
	c.bool(&j.Delayed)
	if c.version >= 3 {
		c.service(j)
		c.tree(j)
	}
}

// tree visits how main is followed, and what is left of the job's processes.
func (c *codec) tree(j *engine.Instance) {
	num(c, &j.Settle)
	c.bool(&j.Assumed)
	list(c, &j.Left, num[uint64])
	list(c, &j.Sweeping, num[uint64])
	c.bool(&j.Sweep)
	c.bool(&j.Force)
	c.bool(&j.FailedOOM)
	num(c, &j.OOMKills)
}

// service visits what main says of itself and how it is watched.
func (c *codec) service(j *engine.Instance) {
	r, h := &j.Report, &j.Checkup
	c.str(&r.Text)
	enum(c, &r.Phase, job.EndingItself)
	num(c, &r.Watchdog)
	num(c, &r.Fed)
	num(c, &r.Due)
	num(c, &r.First)
	num(c, &h.Due)
	num(c, &h.Failures)
	c.bool(&h.Late)
	num(c, &h.Status)
	c.bool(&j.Starved)
	num(c, &j.SignDue)
	list(c, &j.Stored, (*codec).namedFile)
}

func (c *codec) namedFile(f *job.NamedFile) {
	c.str(&f.Name)
	num(c, &f.File)
}

// eventFiles visits descriptors that had no names before version 4.
func (c *codec) eventFiles(files *[]job.NamedFile) {
	list(c, files, func(c *codec, f *job.NamedFile) {
		if c.version >= 4 {
			c.namedFile(f)
			return
		}
		f.Name = "event"
		num(c, &f.File)
	})
}

func (c *codec) proc(p *job.Proc) {
	num(c, &p.Token)
	num(c, &p.PID)
	num(c, &p.Tries)
	num(c, &p.RetryAt)
}

func (c *codec) slot(s *job.Slot) {
	if num(c, s); c.reading && (*s < job.NoSlot || *s >= job.NumSlots) {
		c.fail(errRange)
		*s = job.NoSlot
	}
}

func (c *codec) waiter(w *job.Waiter) {
	num(c, &w.Event)
	optional(c, &w.Call, func(c *codec, k *job.Call) {
		num(c, &k.ID)
		num(c, &k.Conn)
		enum(c, &k.Verb, job.VerbRestart)
		c.str(&k.Path)
	})
}
