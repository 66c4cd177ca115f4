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

// TestKilledAgainAndAgain kills onset-sources all the time while interfaces come
// and go: the job of one that stays runs on, and at the end jobs run for what
// exists and nothing else. ONSET_SOAK=1 for a minute.
func TestKilledAgainAndAgain(t *testing.T) {
	if !apart(t) {
		return
	}
	long := 2 * time.Second
	if os.Getenv("ONSET_SOAK") != "" {
		long = 50 * time.Second
	}
	s := sourcetest.NewSession(t, map[string]string{
		"onset-sources.conf": "start on go\nrespawn\nrespawn limit unlimited\nexec PATH/onset-sources\n",
		"keep.conf":          "while net-device INTERFACE=keep\nscript\n\techo started\n\texec sleep 1000000\nend script\n",
		"each.conf":          "while net-device INTERFACE=v*\ninstance $INTERFACE\nexec sleep 1000000\n",
	})
	command(t, "go", "build", "-o", s.Path("onset-sources"), "onset/cmd/onset-sources")
	command(t, "ip", "link", "add", "keep", "type", "veth", "peer", "name", "peek")
	s.Initctl("emit", "go")
	running := func(job string) int {
		if m := process.FindStringSubmatch(s.Initctl("status", job)); m != nil {
			pid, _ := strconv.Atoi(m[1])
			return pid
		}
		return 0
	}
	s.Await("the job", func() bool { return running("keep") != 0 })
	before, kills, last := running("keep"), 0, 0
	exists := map[string]bool{}
	for i, end := 0, time.Now().Add(long); time.Now().Before(end); i++ {
		if pid := running("onset-sources"); pid != 0 && pid != last {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			kills, last = kills+1, pid
		}
		name := fmt.Sprintf("v%d", i%5)
		if exists[name] {
			command(t, "ip", "link", "del", name)
		} else {
			command(t, "ip", "link", "add", name, "type", "veth", "peer", "name", "p"+name[1:])
		}
		exists[name] = !exists[name]
	}
	if t.Logf("%d kills", kills); kills < 10 {
		t.Error("that is no storm")
	}
	s.Await("the jobs of what exists", func() bool {
		list := s.Initctl("list")
		for name, is := range exists {
			if strings.Contains(list, "each ("+name+") start/running") != is {
				return false
			}
		}
		return true
	})
	if now := running("keep"); now != before || s.Log("keep") != "started\n" {
		t.Errorf("keep was %d, is %d: %q", before, now, s.Log("keep"))
	}
}
