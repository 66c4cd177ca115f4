package linux

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestTreeAndUsage(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	w := newGroupWorld(t)
	token, pid := w.spawn(w.spec(`sh -c 'sleep 1000 & sleep 1001' &
		setsid sh -c 'sleep 1002 & exit'
		while :; do [ $((i += 1)) != 20000 ] || break; done; echo >$DIR/ready; exec sleep 1003`))
	want := "sleep 1003 below 0\nsh -c sleep 1000 & sleep 1001 below 1\nsleep 1000 below 2\nsleep 1001 below 2\nsleep 1002 below 0\n"
	story := func() string {
		var b strings.Builder
		place := map[int]int{}
		tree := w.procs.Tree(token, pid)
		for i, p := range tree {
			place[p.PID] = i + 1
			b.WriteString(p.Command + " below " + itoa(place[p.Parent]) + "\n")
			if p.Started < tree[0].Started || p.Started == 0 {
				t.Errorf("%s started %v after the boot, main %v", p.Command, p.Started, tree[0].Started)
			}
		}
		return b.String()
	}
	w.until("the tree is there: "+want, func() bool { return story() == want })
	u := w.procs.Usage(token)
	if u == nil || u.CPU == nil || *u.CPU == 0 || u.Memory == nil || *u.Memory < 5*4096 || *u.PIDs != 5 {
		t.Errorf("usage %+v", u)
	}
	if u := w.procs.Usage(99); u != nil {
		t.Errorf("usage of nothing: %+v", u)
	}
	groups := w.procs.cgroups
	w.procs.cgroups = nil
	want = strings.TrimSuffix(want, "sleep 1002 below 0\n")
	if got := story(); got != want {
		t.Errorf("without groups:\n%s", got)
	}
	w.procs.cgroups = groups
	w.kill(token, pid, unix.SIGKILL)
	w.over(token, pid)
	if tree := w.procs.Tree(token, pid); len(tree) > 0 {
		t.Errorf("tree of nothing: %+v", tree)
	}
}

// TestUsageV1 counts memory and tasks where a limit has the kernel count them.
func TestUsageV1(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	w := newLimitWorld(t)
	w.needV1("memory", "pids")
	token, pid := w.spawn(w.limited(waits, group("memory", "upstart/x", "max=1G"), group("pids", "upstart/x", "max=7")))
	u := w.procs.Usage(token)
	if got := total([]string{w.groupOf(pid, "memory")}, "memory.usage_in_bytes"); u == nil || got == nil || *u.Memory == 0 || *u.PIDs != 1 {
		t.Errorf("usage %+v, group %v", u, got)
	}
	w.end(token, pid)
}
