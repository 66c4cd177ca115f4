package timers

import (
	"encoding/json"
	"strings"
	"time"

	"onset/core/expr"
	"onset/eventsources"
)

// late is how long a delay may be over whose event was before the source was
// there.
const late = time.Minute

// changes are what init writes in the history of a job for its events.
var changes = map[string]string{"starting": "start", "started": "ready", "stopping": "stop", "stopped": "rest"}

// lastOf returns when an event of a job happened last, as init remembers it;
// false if it did not, or is not of one job.
func (r *run) lastOf(event expr.Node, now moment) (when time.Duration, ok bool) {
	init, can := r.init.(eventsources.Historian)
	change, known := changes[event.Name]
	job, instance, plain := jobOf(event.Args)
	if !can || !known || !plain {
		return 0, false
	}
	text, err := init.Why(job)
	var list []struct {
		Time             time.Time
		Action, Instance string
	}
	if err != nil || json.Unmarshal([]byte(text), &list) != nil {
		return 0, false // there is no such job yet
	}
	for _, c := range list { // the newest first
		if c.Action == change && (instance == nil || *instance == c.Instance) {
			return now.runAt(c.Time), true
		}
	}
	return 0, false
}

// jobOf takes the arguments of an event of jobs apart: the job, and the
// instance if one is named. What else an event has is not in a history.
func jobOf(args []string) (job string, instance *string, plain bool) {
	for i, arg := range args {
		key, value, named := strings.Cut(arg, "=")
		if !named {
			key, value = []string{"JOB", "INSTANCE", ""}[min(i, 2)], arg
		}
		switch {
		case strings.ContainsAny(value, `*?[\`):
			return "", nil, false
		case key == "JOB":
			job = value
		case key == "INSTANCE":
			instance = &value
		default:
			return "", nil, false
		}
	}
	return job, instance, job != ""
}
