package udev

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"onset/eventsources/sourcetest"
)

var process = regexp.MustCompile(`start/running, process (\d+)`)

// killed is a session with onset-sources, which can be kept from starting.
type killed struct {
	*sourcetest.Session
	t *testing.T
}

// running returns the process of a job; 0 without.
func (k killed) running(job string) int {
	m := process.FindStringSubmatch(k.Initctl("status", job))
	if m == nil {
		return 0
	}
	pid, _ := strconv.Atoi(m[1])
	return pid
}

// TestKilled kills onset-sources while interfaces come and go; the job of one
// that stays runs on.
func TestKilled(t *testing.T) {
	if !apart(t) {
		return
	}
	const job = "\ninstance $INTERFACE\ntask\nexec echo $ACTION\n"
	k := killed{t: t, Session: sourcetest.NewSession(t, map[string]string{
		"onset-sources.conf": "start on go\nrespawn\nrespawn limit unlimited\nexpect notify\n" +
			"pre-start exec sh -c 'while [ -e PATH/wait ]; do sleep 0.01; done'\nexec PATH/onset-sources\n",
		"keep.conf":    "while net-device INTERFACE=keep\nscript\n\techo started\n\texec sleep 1000000\nend script\n",
		"each.conf":    "while net-device INTERFACE=v*\ninstance $INTERFACE\nexec sleep 1000000\n",
		"added.conf":   "start on net-device-added INTERFACE=w*" + job,
		"removed.conf": "start on net-device-removed INTERFACE=w*" + job,
	})}
	command(t, "go", "build", "-o", k.Path("onset-sources"), "onset/cmd/onset-sources")
	command(t, "ip", "link", "add", "keep", "type", "veth", "peer", "name", "peek")
	k.Initctl("emit", "go")
	k.Await("the job", func() bool { return k.running("keep") != 0 })
	before := k.running("keep")
	for i := range 3 {
		k.away(i)
	}
	k.againAndAgain()
	if now := k.running("keep"); now != before || k.Log("keep") != "started\n" {
		t.Errorf("keep was %d, is %d: %q", before, now, k.Log("keep"))
	}
}

// away has interfaces come and go between the death of onset-sources and its
// next start, and wants each to be told once.
func (k killed) away(i int) {
	pid := 0
	k.Await("the source", func() bool { pid = k.running("onset-sources"); return pid != 0 })
	if err := os.WriteFile(k.Path("wait"), nil, 0o600); err != nil {
		k.t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		k.t.Fatal(err)
	}
	k.Await("its death", func() bool { return strings.Contains(k.Initctl("status", "onset-sources"), "pre-start") })
	stays, goes := fmt.Sprintf("w%da", i), fmt.Sprintf("w%db", i)
	command(k.t, "ip", "link", "add", stays, "type", "veth", "peer", "name", fmt.Sprintf("x%d", i))
	command(k.t, "ip", "link", "add", goes, "type", "veth", "peer", "name", fmt.Sprintf("y%d", i))
	command(k.t, "ip", "link", "del", goes)
	if err := os.Remove(k.Path("wait")); err != nil {
		k.t.Fatal(err)
	}
	k.Await("all events", func() bool {
		return k.Log("added-"+stays) == "add\n" && k.Log("added-"+goes) == "add\n" && k.Log("removed-"+goes) == "remove\n"
	})
}

// againAndAgain kills onset-sources all the time; at the end jobs run for what
// exists and nothing else. On a slow machine a process may be killed before it
// has told anything: now and then one must, within init's grace time.
// ONSET_SOAK=1 for a minute.
func (k killed) againAndAgain() {
	long := 2 * time.Second
	if os.Getenv("ONSET_SOAK") != "" {
		long = 50 * time.Second
	}
	const least = 10
	t, kills, last, told, exists := k.t, 0, 0, time.Now(), map[string]bool{}
	for i, end := 0, time.Now().Add(long); kills < least || time.Now().Before(end); i++ {
		if pid := k.running("onset-sources"); pid != 0 && pid != last {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if kills, last = kills+1, pid; time.Since(told) > time.Second {
				k.tells(exists)
				told = time.Now()
			}
		}
		name := fmt.Sprintf("v%d", i%5)
		if exists[name] {
			command(t, "ip", "link", "del", name)
		} else {
			command(t, "ip", "link", "add", name, "type", "veth", "peer", "name", "p"+name[1:])
		}
		exists[name] = !exists[name]
	}
	t.Logf("%d kills", kills)
	k.tells(exists)
}

// tells waits until jobs run for what exists and nothing else.
func (k killed) tells(exists map[string]bool) {
	k.t.Helper()
	k.Await("the jobs of what exists", func() bool {
		list := k.Initctl("list")
		for name, is := range exists {
			if strings.Contains(list, "each ("+name+") start/running") != is {
				return false
			}
		}
		return true
	})
}
