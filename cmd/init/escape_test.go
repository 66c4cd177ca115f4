//go:build linux

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// escapes is how often each trick is tried: at least a hundred times in all,
// a thousand where ONSET_SOAK is set.
func escapes(tricks int) int {
	times := 100
	if os.Getenv("ONSET_SOAK") != "" {
		times = 1000
	}
	return (times + tricks - 1) / tricks
}

// TestEscapes stops jobs whose processes try to get away, and wants none of
// them to live when that is done: by their cgroup, and by a mark in their
// environment.
func TestEscapes(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const run = "exec env ONSET_ROW=NAME/$N ONSET_DONE=DIR/NAME.$N ONSET_ESCAPE=TRICK SELF\n"
	jobs := map[string]string{}
	for _, name := range []string{"daemon", "chroot", "detached", "traced", "deaf", "groups", "renamed", "subgroup", "nested", "vforks",
		"stopped", "bomb", "before", "quick"} {
		text := "instance $N\nkill timeout 1\n" + strings.ReplaceAll(run, "TRICK", name)
		switch name {
		case "quick":
			text += "expect fork\n"
		case "before":
			text += "pre-start " + strings.ReplaceAll(run, "TRICK", "quick")
		}
		jobs[name+".conf"] = strings.NewReplacer("NAME", name, "SELF", self).Replace(text)
	}
	m := startMachine(t, jobs)
	if _, err := os.Stat(m.path("/sys/fs/cgroup/cgroup.procs")); err != nil {
		t.Skip("without cgroup v2 processes can get away: ", err)
	}
	var group sync.WaitGroup
	for file := range jobs {
		group.Go(func() {
			for n := range escapes(len(jobs)) {
				m.tryEscape(strings.TrimSuffix(file, ".conf"), n)
			}
		})
	}
	group.Wait()
}

// tryEscape starts and stops an instance, most times after its trick has been
// carried out.
func (m *machine) tryEscape(name string, n int) {
	instance := fmt.Sprint("N=", n)
	out := m.must("start", name, instance)
	pid := 0
	if match := runningProcess.FindStringSubmatch(out); match != nil {
		pid, _ = strconv.Atoi(match[1])
	}
	if pid == 0 {
		m.t.Errorf("%s %d: %s", name, n, out)
	}
	if n%4 != 0 {
		m.await("the trick of "+name, func() bool {
			_, err := os.Stat(fmt.Sprintf("%s/%s.%d", m.dir, name, n))
			return err == nil
		})
	}
	group := m.processes()[pid].group
	m.must("stop", name, instance)
	for pid, p := range m.processes() {
		if p.row == fmt.Sprint(name, "/", n) || group != "" && strings.HasPrefix(p.group+"/", group+"/") {
			m.t.Errorf("%s %d: process %d (%s) lives on in %s", name, n, pid, p.program, p.group)
		}
	}
}
