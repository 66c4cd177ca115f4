package suspend

import (
	"strings"
	"testing"
)

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		method      Method
		state, want string
	}{
		{Suspend, "freeze mem disk\n", "mem"},
		{Suspend, "freeze standby", "standby"},
		{Suspend, "freeze", "freeze"},
		{Suspend, "disk", ""},
		{Suspend, "", ""},
		{Hibernate, "freeze mem disk", "disk"},
		{Hibernate, "freeze mem", ""},
	} {
		got, err := choose(c.method, c.state)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s of %q: %q, %v", c.method, c.state, got, err)
		}
		if err != nil && !strings.Contains(err.Error(), "cannot "+string(c.method)) {
			t.Errorf("%v", err)
		}
	}
}
