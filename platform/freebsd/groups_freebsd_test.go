package freebsd

import (
	"os/exec"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/env"
	"onset/core/job"
	"onset/platform"
	"onset/platform/platformtest"
)

// TestGroupsHoldRunaways has a job with a reaper of its own, orphans below that, and
// a process that takes another set of processors: all are its, and die with it.
func TestGroupsHoldRunaways(t *testing.T) {
	for _, tool := range []string{"timeout", "cpuset"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("not here: " + err.Error())
		}
	}
	t.Setenv(platformtest.GroupsEnv, t.TempDir()+"/groups")
	poller, processes := backend()
	p := processes.(*Processes)
	s := &job.Spec{Job: "test", Slot: job.Main, Env: env.Table{"PATH=/bin:/usr/bin"}, Attrs: job.Attrs{Console: job.ConsoleNone, Umask: -1},
		Process: job.Process{Script: true, Text: "timeout 1000 sh -c '(sleep 991 &); sleep 992' &\ncpuset -c -l 0 sleep 993 &\n(sleep 994 &)\nexec sleep 995\n"}}
	started, err := p.Spawn(1, s, platform.Streams{Log: -1})
	if err != nil {
		t.Fatal(err)
	}
	var told []engine.Msg
	turn := func() {
		poller.Wait(time.Millisecond)
		p.Collect(func(m engine.Msg) { told = append(told, m) })
	}
	sleeping := func() (found []string) {
		for _, pid := range p.groups.living(1) {
			if argv := words(pid, procArgs); len(argv) == 2 && argv[0] == "sleep" {
				found = append(found, argv[1])
				if p.TokenOf(pid) != 1 {
					t.Errorf("process %q is of token %d", argv, p.TokenOf(pid))
				}
			}
		}
		slices.Sort(found)
		return found
	}
	all := []string{"991", "992", "993", "994", "995"}
	for end := time.Now().Add(time.Minute); !slices.Equal(sleeping(), all); turn() {
		if time.Now().After(end) {
			t.Fatalf("of the group are %q, want %q", sleeping(), all)
		}
	}
	if err := p.Kill(1, started.PID, job.Signal(unix.SIGKILL), engine.Tree); err != nil {
		t.Error(err)
	}
	over := func(m engine.Msg) bool {
		e, ended := m.(engine.Exited)
		return m == engine.Emptied{Token: 1} || ended && e.PID == started.PID && e.Left == 0
	}
	for end := time.Now().Add(time.Minute); !slices.ContainsFunc(told, over); turn() {
		if time.Now().After(end) {
			t.Fatalf("left are %q, told: %+v", sleeping(), told)
		}
	}
	if left := p.groups.members(1); len(left) != 0 || len(p.groups.of) != 0 {
		t.Errorf("left are %d of %d groups", left, len(p.groups.of))
	}
}
