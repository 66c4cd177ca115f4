package engine

import (
	"encoding/json"
	"time"

	"onset/core/cause"
	"onset/core/control"
)

// record adds a change of a job to its history, with e.cause as the reason.
func (e *Engine) record(c *Class, a cause.Action, instance string) {
	c.History.Add(cause.Change{At: e.s.Clock, Action: a, Instance: instance, Cause: e.cause})
}

// whyChange and whyCause are the JSON that the Why method answers with
// (EXTENSIONS §13).
type whyChange struct {
	Time     string     `json:"time"`
	Action   string     `json:"action"`
	Instance string     `json:"instance"`
	Causes   []whyCause `json:"causes"` // nearest first
}

type whyCause struct {
	Time    string `json:"time"`
	Kind    string `json:"kind"`
	Text    string `json:"text"`
	UID     *int   `json:"uid,omitempty"`
	PID     *int   `json:"pid,omitempty"`
	Command string `json:"command,omitempty"`
}

// why answers what happened to a job and for what reasons, newest first.
// With an instance named, only what happened to that.
func (e *Engine) why(c *Class, job []string) *control.Reply {
	changes := c.History.Changes()
	out := make([]whyChange, 0, len(changes))
	for i := len(changes) - 1; i >= 0; i-- {
		if ch := changes[i]; len(job) < 2 || ch.Instance == job[1] {
			out = append(out, whyChange{stamp(ch.At), ch.Action.String(), ch.Instance, causeChain(ch.Cause)})
		}
	}
	text, err := json.Marshal(out)
	if err != nil {
		return failed(control.SystemError(err.Error()))
	}
	return values(string(text))
}

func causeChain(c *cause.Cause) []whyCause {
	var chain []whyCause
	for ; c != nil; c = c.Parent {
		w := whyCause{Time: stamp(c.At), Kind: c.Kind.String(), Text: c.Text}
		if p := c.Person; p != nil {
			w.UID, w.PID, w.Command = &p.UID, &p.PID, p.Command
		}
		chain = append(chain, w)
	}
	return chain
}

func stamp(c cause.Clock) string { return time.Unix(0, c.Wall).UTC().Format(time.RFC3339Nano) }
