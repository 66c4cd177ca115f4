//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// instance is a row of "initctl list --json".
type instance struct {
	Job, Goal, State string
}

// change is a row of "initctl why --json".
type change struct {
	job      string
	Time     time.Time
	Action   string
	Instance string
	Causes   []struct{ Text string } // nearest first
}

// show prints the jobs and how they came to run.
func (m *machine) show() error {
	var jobs []instance
	err := m.await("the jobs to start", func() bool {
		text, err := m.initctl("list", "--json")
		return err == nil && json.Unmarshal(text, &jobs) == nil && !slices.ContainsFunc(jobs, instance.starting)
	})
	if err != nil {
		return err
	}
	text, err := m.initctl("list")
	if err != nil {
		return err
	}
	fmt.Printf("== initctl list\n%s", text)
	changes, err := m.changes(jobs)
	if err != nil {
		return err
	}
	fmt.Println("== what happened when (ms since init was executed)")
	for _, c := range changes {
		fmt.Println(c.format(m.started))
	}
	return nil
}

// starting reports whether the instance is on its way; a job that has not
// begun is not.
func (i instance) starting() bool { return i.Goal == "start" && i.State != "running" }

// changes are those of all jobs in the order of their times.
func (m *machine) changes(jobs []instance) ([]change, error) {
	var all []change
	asked := map[string]bool{}
	for _, i := range jobs {
		if asked[i.Job] {
			continue
		}
		asked[i.Job] = true
		text, err := m.initctl("why", "--all", "--json", i.Job)
		if err != nil {
			return nil, fmt.Errorf("cannot ask why %s runs: %v", i.Job, err)
		}
		var list []change
		if err := json.Unmarshal(text, &list); err != nil {
			return nil, fmt.Errorf("why %s: %v", i.Job, err)
		}
		slices.Reverse(list) // newest first
		for _, c := range list {
			c.job = i.Job
			all = append(all, c)
		}
	}
	slices.SortStableFunc(all, func(a, b change) int { return a.Time.Compare(b.Time) })
	return all, nil
}

func (c change) format(began time.Time) string {
	name, why := c.job, ""
	if c.Instance != "" {
		name += " (" + c.Instance + ")"
	}
	if len(c.Causes) > 0 {
		why = c.Causes[0].Text
	}
	return fmt.Sprintf("%8.1f  %-13s %-8s %s", float64(c.Time.Sub(began).Microseconds())/1000, name, c.Action, why)
}
