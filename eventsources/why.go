package eventsources

import (
	"errors"

	"onset/core/control"
)

// Historian is an Init that also tells what happened before the source was
// there. That of a host is one.
type Historian interface {
	// Why returns the last changes of a job as the Why method of init does, which
	// is JSON.
	Why(job string) (string, error)
}

// Why implements Historian.
func (v *view) Why(job string) (string, error) {
	var r reply
	select {
	case r = <-v.host.client.ask(control.Root, control.Why, []string{job}):
	case <-v.host.client.ctx.Done():
		r.err = v.host.client.ctx.Err()
	}
	if r.err != nil {
		return "", r.err
	}
	if len(r.body) == 1 {
		if text, ok := r.body[0].(string); ok {
			return text, nil
		}
	}
	return "", errors.New("init answered something else")
}
