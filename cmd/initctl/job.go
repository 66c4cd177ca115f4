package main

import (
	"syscall"

	"onset/core/control"
)

const manager control.ObjectPath = control.Root

// target is the job a command is about.
type target struct {
	name string
	path control.ObjectPath // of the class
	env  []string           // chooses or parametrises the instance
	// own says that the job is the one whose process runs the command: its
	// instance is asked directly and nothing is waited for.
	own      bool
	instance string // own only
}

// targetName reads the arguments of a job command; without any it is the job
// of the caller (UPSTART §7.1).
func (t *tool) targetName(args []string) (target, error) {
	if len(args) > 0 {
		return target{name: args[0], env: args[1:]}, nil
	}
	job, inJob := t.lookup("UPSTART_JOB")
	instance, inInstance := t.lookup("UPSTART_INSTANCE")
	if !inJob || !inInstance {
		return target{}, usageError("missing job name")
	}
	return target{name: job, own: true, instance: instance}, nil
}

func (t *tool) target(args []string) (target, error) {
	tg, err := t.targetName(args)
	if err != nil {
		return tg, err
	}
	tg.path, err = t.job(tg.name)
	return tg, err
}

// job returns the path of a class.
func (t *tool) job(name string) (control.ObjectPath, error) {
	return ask[control.ObjectPath](t, manager, control.GetJobByName, name)
}

// instancePath returns the path of the instance that is meant.
func (t *tool) instancePath(tg target) (control.ObjectPath, error) {
	if tg.own {
		return ask[control.ObjectPath](t, tg.path, control.JobGetInstanceByName, tg.instance)
	}
	return ask[control.ObjectPath](t, tg.path, control.JobGetInstance, tg.env)
}

// ask makes a call that answers with one value.
func ask[T any](t *tool, path control.ObjectPath, m control.Method, args ...any) (T, error) {
	return only[T](t.call(path, m, args...))
}

// tell makes a call that answers with none.
func (t *tool) tell(path control.ObjectPath, m control.Method, args ...any) error {
	_, err := t.call(path, m, args...)
	return err
}

func (t *tool) call(path control.ObjectPath, m control.Method, args ...any) ([]any, error) {
	c, err := t.connect()
	if err != nil {
		return nil, err
	}
	return c.call(path, m, args...)
}

func (t *tool) wait() bool { return !t.opts.has("no-wait") }

func (t *tool) start(args []string) error {
	return t.begin(args, control.InstanceStart, control.JobStart)
}

func (t *tool) restart(args []string) error {
	return t.begin(args, control.InstanceRestart, control.JobRestart)
}

// begin calls the method of the own instance, not waiting for it, or that of
// the job named.
func (t *tool) begin(args []string, own, named control.Method) error {
	tg, err := t.target(args)
	if err != nil {
		return err
	}
	var path control.ObjectPath
	if tg.own {
		if path, err = t.instancePath(tg); err == nil {
			err = t.tell(path, own, false)
		}
	} else {
		path, err = ask[control.ObjectPath](t, tg.path, named, tg.env, t.wait())
	}
	if err != nil {
		return err
	}
	return t.printInstance(path)
}

func (t *tool) stop(args []string) error {
	tg, err := t.target(args)
	if err != nil {
		return err
	}
	path, err := t.instancePath(tg)
	if err != nil {
		return err
	}
	switch {
	case t.opts.has("force"):
		err = t.tell(path, control.InstanceStopForce, !tg.own && t.wait())
	case tg.own:
		err = t.tell(path, control.InstanceStop, false)
	default:
		err = t.tell(tg.path, control.JobStop, tg.env, t.wait())
	}
	if err != nil {
		return err
	}
	return t.printInstance(path)
}

func (t *tool) reload(args []string) error {
	tg, err := t.target(args)
	if err != nil {
		return err
	}
	path, err := t.instancePath(tg)
	if err != nil {
		return err
	}
	err = t.tell(path, control.InstanceReload)
	if isError(err, control.ErrUnknownMethod) {
		return t.hangUp(path)
	}
	return err
}

// hangUp reloads for an init that has no Reload.
func (t *tool) hangUp(path control.ObjectPath) error {
	st, err := t.instanceStatus(path)
	if err != nil {
		return err
	}
	if len(st.Processes) == 0 || st.Processes[0].Name != "main" {
		return spoken("Not running")
	}
	return syscall.Kill(st.Processes[0].PID, syscall.SIGHUP)
}

func (t *tool) usage(args []string) error {
	tg, err := t.target(args)
	if err != nil {
		return err
	}
	text, err := ask[string](t, tg.path, control.PropertyGet, control.InterfaceJob, "usage")
	if err != nil {
		return err
	}
	t.print("Usage: " + text + "\n")
	return nil
}
