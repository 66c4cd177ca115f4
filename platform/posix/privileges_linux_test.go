package posix

import (
	"fmt"
	"strings"
	"testing"

	"onset/core/job"
)

var readStatus = []string{"cat", "/proc/self/status"}

// own is a line of this process's status.
func own(t *testing.T, name string) string {
	text, _ := asRoot.run(t, isolated(job.Isolation{}, readStatus...))
	return ofStatus(text, name)
}

func TestPrivileges(t *testing.T) {
	full := own(t, "CapBnd")
	for _, c := range []struct {
		name   string
		by     starter
		user   string // setuid
		i      job.Isolation
		want   map[string]string
		reason string
	}{
		{name: "nothing", by: asRoot, want: map[string]string{"CapBnd": full, "CapPrm": full, "CapAmb": mask(), "NoNewPrivs": "0", "Seccomp": "0"}},
		{name: "no new privileges", by: asRoot, i: job.Isolation{NoNewPrivs: true}, want: map[string]string{"NoNewPrivs": "1", "CapPrm": full}},
		{name: "no new privileges by a user", by: asUser, i: job.Isolation{NoNewPrivs: true}, want: map[string]string{"NoNewPrivs": "1", "CapPrm": mask()}},
		{name: "bounding", by: asRoot, i: job.Isolation{CapBounding: []string{"CAP_CHOWN", "kill", "Cap_Net_Bind_Service"}},
			want: map[string]string{"CapBnd": mask(0, 5, 10), "CapPrm": mask(0, 5, 10), "CapEff": mask(0, 5, 10), "CapInh": mask(), "CapAmb": mask()}},
		{name: "bounding without setuid, and setuid", by: asRoot, user: "daemon", i: job.Isolation{CapBounding: []string{"chown"}},
			want: map[string]string{"CapBnd": mask(0), "CapPrm": mask(), "Uid": "1\t1\t1\t1"}},
		{name: "ambient of a user", by: asRoot, user: "daemon", i: job.Isolation{CapAmbient: []string{"net_bind_service", "kill"}},
			want: map[string]string{"CapBnd": full, "CapPrm": mask(5, 10), "CapEff": mask(5, 10), "CapInh": mask(5, 10), "CapAmb": mask(5, 10), "Uid": "1\t1\t1\t1"}},
		{name: "ambient of root", by: asRoot, i: job.Isolation{CapAmbient: []string{"kill"}},
			want: map[string]string{"CapPrm": full, "CapAmb": mask(5)}},
		{name: "all of them", by: asRoot, user: "daemon",
			i:    job.Isolation{CapBounding: []string{"kill", "chown"}, CapAmbient: []string{"kill"}, NoNewPrivs: true, Setgroups: []string{"tty", "4242"}},
			want: map[string]string{"CapBnd": mask(0, 5), "CapPrm": mask(5), "CapEff": mask(5), "CapAmb": mask(5), "NoNewPrivs": "1", "Groups": "5 4242", "Gid": "1\t1\t1\t1"}},
		{name: "groups of root", by: asRoot, i: job.Isolation{Setgroups: []string{"daemon"}}, want: map[string]string{"Groups": "1", "Gid": "0\t0\t0\t0"}},
		{name: "bounding by a user", by: asUser, i: job.Isolation{CapBounding: []string{"chown"}}, reason: "unable to set capabilities: Operation not permitted"},
		{name: "ambient by a user", by: asUser, i: job.Isolation{CapAmbient: []string{"chown"}}, reason: "unable to set capabilities: init itself does not have cap_chown"},
		{name: "groups by a user", by: asUser, i: job.Isolation{Setgroups: []string{"daemon"}}, reason: "unable to initgroups: Operation not permitted"},
		{name: "an unknown one", by: asRoot, i: job.Isolation{CapBounding: []string{"chown", "cap_chmod"}}, reason: `unable to set capabilities: unknown capability "cap_chmod"`},
		{name: "an unknown ambient one", by: asRoot, i: job.Isolation{CapAmbient: []string{"x"}}, reason: `unable to set capabilities: unknown capability "x"`},
		{name: "ambient out of bounds", by: asRoot, i: job.Isolation{CapBounding: []string{"chown"}, CapAmbient: []string{"kill"}},
			reason: "unable to set capabilities: cap_kill is ambient and not in the bounding set"},
		{name: "an unknown group", by: asRoot, i: job.Isolation{Setgroups: []string{"no-such-group"}}, reason: `unable to find group "no-such-group": no such account`},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := isolated(c.i, readStatus...)
			p.Setuid = c.user
			text, reason := c.by.run(t, p)
			if reason != c.reason {
				t.Fatalf("the reason is %q, want %q", reason, c.reason)
			}
			for name, want := range c.want {
				if got := ofStatus(text, name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	}
}

// mask is how the kernel shows these capabilities.
func mask(numbers ...int) string {
	set := uint64(0)
	for _, n := range numbers {
		set |= 1 << n
	}
	return fmt.Sprintf("%016x", set)
}

func TestCapabilityNumbers(t *testing.T) {
	for name, want := range map[string]int{"chown": 0, "net_bind_service": 10, "sys_admin": 21, "audit_write": 29, "checkpoint_restore": 40} {
		set, err := parseCapabilities([]string{"CAP_" + strings.ToUpper(name)})
		if err != nil || set != 1<<want || set.String() != "cap_"+name || !set.has(name) {
			t.Errorf("%s is %b, %v", name, set, err)
		}
	}
}

func TestScheduling(t *testing.T) {
	stat := func(text string, field int) string { // after the name in brackets, counted as in proc(5)
		f := strings.Fields(text[strings.LastIndex(text, ")")+1:])
		return f[field-3]
	}
	for _, c := range []struct {
		name             string
		by               starter
		i                job.Isolation
		policy, priority string
		reason           string
	}{
		{name: "fifo", by: asRoot, i: job.Isolation{Sched: "fifo", SchedPrio: 7}, policy: "1", priority: "7"},
		{name: "rr", by: asRoot, i: job.Isolation{Sched: "rr", SchedPrio: 99}, policy: "2", priority: "99"},
		{name: "batch", by: asUser, i: job.Isolation{Sched: "batch"}, policy: "3", priority: "0"},
		{name: "idle", by: asUser, i: job.Isolation{Sched: "idle"}, policy: "5", priority: "0"},
		{name: "fifo by a user", by: asUser, i: job.Isolation{Sched: "fifo", SchedPrio: 7}, reason: "unable to set scheduling: Operation not permitted"},
		{name: "realtime i/o by a user", by: asUser, i: job.Isolation{IOPrio: "realtime 1"}, reason: "unable to set scheduling: Operation not permitted"},
		{name: "no such processor", by: asRoot, i: job.Isolation{CPUAffinity: "1000"}, reason: "unable to set scheduling: Invalid argument"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text, reason := c.by.run(t, isolated(c.i, "cat", "/proc/self/stat"))
			if reason != c.reason {
				t.Fatalf("the reason is %q, want %q", reason, c.reason)
			}
			if reason == "" && (stat(text, 41) != c.policy || stat(text, 40) != c.priority) {
				t.Errorf("policy %s priority %s, want %s %s", stat(text, 41), stat(text, 40), c.policy, c.priority)
			}
		})
	}
	for arg, want := range map[string]string{"idle": "idle", "best-effort 3": "best-effort: prio 3", "realtime 2": "realtime: prio 2"} {
		if text, reason := asRoot.run(t, isolated(job.Isolation{IOPrio: arg}, "ionice")); strings.TrimSpace(text) != want {
			t.Errorf("ioprio %s is %q, %s", arg, text, reason)
		}
	}
	if text, _ := asUser.run(t, isolated(job.Isolation{CPUAffinity: "0"}, readStatus...)); ofStatus(text, "Cpus_allowed_list") != "0" {
		t.Errorf("the processors are %s", ofStatus(text, "Cpus_allowed_list"))
	}
}
