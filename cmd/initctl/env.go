package main

import (
	"slices"
	"strings"

	"onset/core/control"
)

// jobDetails names the environment table to work on: that of the job whose
// process runs the command, else the global one (UPSTART §7.2).
func (t *tool) jobDetails() ([]string, error) {
	job, inJob := t.lookup("UPSTART_JOB")
	if !inJob || t.opts.has("global") {
		return []string{}, nil
	}
	instance, ok := t.lookup("UPSTART_INSTANCE")
	if !ok {
		return nil, usageError("missing job name")
	}
	return []string{job, instance}, nil
}

func (t *tool) getEnv(args []string) error {
	of, err := t.jobDetails()
	if err != nil {
		return err
	}
	value, err := ask[string](t, manager, control.GetEnv, of, args[0])
	if err == nil {
		t.print(value + "\n")
	}
	return err
}

// listEnv prints the table sorted by bytes; --json as an object of strings.
func (t *tool) listEnv([]string) error {
	of, err := t.jobDetails()
	if err != nil {
		return err
	}
	env, err := ask[[]string](t, manager, control.ListEnv, of)
	if err != nil {
		return err
	}
	if t.opts.has("json") {
		table := map[string]string{}
		for _, kv := range env {
			k, v, _ := strings.Cut(kv, "=")
			table[k] = v
		}
		return t.printJSON(table)
	}
	slices.Sort(env)
	for _, kv := range env {
		t.print(kv + "\n")
	}
	return nil
}

func (t *tool) setEnv(args []string) error {
	of, err := t.jobDetails()
	if err != nil {
		return err
	}
	return t.tell(manager, control.SetEnvList, of, args, !t.opts.has("retain"))
}

func (t *tool) unsetEnv(args []string) error {
	of, err := t.jobDetails()
	if err != nil {
		return err
	}
	return t.tell(manager, control.UnsetEnvList, of, args)
}

func (t *tool) resetEnv([]string) error {
	of, err := t.jobDetails()
	if err != nil {
		return err
	}
	return t.tell(manager, control.ResetEnv, of)
}
